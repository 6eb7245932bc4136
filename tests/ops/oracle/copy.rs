use std::ops::Range;

use crate::approx::Approx;
use crate::host::Host;

pub fn concat(parts: &[Host]) -> Vec<Approx> {
    parts.iter().flat_map(|part| (0..part.values.len()).map(|i| part.at(i))).collect()
}

pub fn slice(x: &Host, from: usize, count: usize) -> Vec<Approx> {
    let row = x.values.len() / x.shape[0];
    (from * row..(from + count) * row).map(|i| x.at(i)).collect()
}

pub fn join_inner(parts: &[(Host, Range<usize>)]) -> Vec<Approx> {
    let row = |x: &Host| x.shape[2..].iter().product::<usize>();
    let entries = |outer: usize| parts.iter().flat_map(move |(x, range)| range.clone().map(move |inner| (x, outer * x.shape[1] + inner)));
    (0..parts[0].0.shape[0]).flat_map(entries).flat_map(|(x, entry)| (0..row(x)).map(move |i| x.at(entry * row(x) + i))).collect()
}
