use crate::approx::Approx;
use crate::host::Host;

pub fn concat(parts: &[Host]) -> Vec<Approx> {
    parts.iter().flat_map(|part| (0..part.values.len()).map(|i| part.at(i))).collect()
}

pub fn slice(x: &Host, from: usize, count: usize) -> Vec<Approx> {
    let row = x.values.len() / x.shape[0];
    (from * row..(from + count) * row).map(|i| x.at(i)).collect()
}
