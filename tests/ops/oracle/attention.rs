use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::ops::attention::Shift;

use crate::approx::{Approx, sum};
use crate::host::Host;

#[derive(Clone, Debug)]
pub struct Heads {
    pub heads: usize,
    pub batches: usize,
    pub scale: f32,
    pub bias: Option<Host>,
    pub shift: Option<Shift>,
}

pub fn attention(q: &Host, k: &Host, v: &Host, how: &Heads) -> Vec<Approx> {
    let (width, dim) = (q.cols(), q.cols() / how.heads);
    let (q_len, k_len) = (q.rows() / how.batches, k.rows() / how.batches);
    let element = |i: usize| {
        let (row, head, d) = (i / width, i % width / dim, i % dim);
        let (keys, query) = (row / q_len * k_len, row % q_len);
        let score = |key: usize| {
            let products = (0..dim).map(|d| q.at(row * width + head * dim + d) * k.at((keys + key) * width + head * dim + d));
            let scaled = sum(products) * Approx::exact(how.scale);
            let by = how.shift.filter(|shift| (shift.keys.0..shift.keys.1).contains(&key)).map_or(0.0, |shift| shift.by);
            let scaled = scaled + Approx::exact(by);
            how.bias.as_ref().map_or(scaled, |bias| scaled + bias.at((head * q_len + query) * k_len + key))
        };
        let scores: Vec<_> = (0..k_len).map(score).collect();
        let highest = scores.iter().map(|score| score.value).fold(f64::MIN, f64::max);
        let weight = |score: Approx| (score - Approx::exact(highest)).exp();
        // Cooperative matrices take weights as they take the operands, in f16.
        let rounded = |weight: Approx| if q.dtype == DType::F16 { weight.as_f16() } else { weight };
        let weights: Vec<_> = scores.into_iter().map(|score| rounded(weight(score))).collect();
        sum((0..k_len).map(|key| weights[key] * v.at((keys + key) * width + head * dim + d))) / sum(weights.iter().copied())
    };
    (0..q.values.len()).map(element).collect()
}
