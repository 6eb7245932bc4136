use crate::approx::Approx;
use crate::host::Host;

pub fn rope(x: &Host, cos: &Host, sin: &Host) -> Vec<Approx> {
    let half = cos.cols();
    let element = |i: usize| {
        let (token, pair) = (i / x.cols(), i % x.cols() / 2);
        let (c, s) = (cos.at(token * half + pair % half), sin.at(token * half + pair % half));
        let (a, b) = (x.at(token * x.cols() + 2 * pair), x.at(token * x.cols() + 2 * pair + 1));
        if (i % x.cols()).is_multiple_of(2) { a * c - b * s } else { a * s + b * c }
    };
    (0..x.values.len()).map(element).collect()
}
