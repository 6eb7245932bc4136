use crate::approx::Approx;
use crate::host::Host;

pub fn rope(x: &Host, cos: &Host, sin: &Host, turned: usize) -> Vec<Approx> {
    let (cols, half) = (x.cols(), cos.cols());
    let element = |i: usize| {
        let (row, pair) = (i / cols, i % cols / 2);
        if row >= turned {
            return x.at(i);
        }
        let angle = row % cos.rows() * half + pair;
        let (c, s) = (cos.at(angle), sin.at(angle));
        let (a, b) = (x.at(row * cols + 2 * pair), x.at(row * cols + 2 * pair + 1));
        if (i % cols).is_multiple_of(2) { a * c - b * s } else { a * s + b * c }
    };
    (0..x.values.len()).map(element).collect()
}
