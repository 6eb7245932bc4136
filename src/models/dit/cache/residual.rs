//! What layers add to the tokens of one run, as a polynomial of the pass's number.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::cache::parked::Parked;
use crate::ops::{lincomb::lincomb, magnitude::row_norms};

/// Keeps quotients finite, as in diffusers.
const LEAST: f64 = 1e-8;

/// See the module: the residual at a pass, and divided differences of those before, up to an order. With order 0 that is the residual alone.
#[derive(Debug)]
pub struct Residual {
    /// The pass that it was last computed in.
    number: usize,
    factors: Vec<Parked>,
}

impl Residual {
    /// After the pass of a number that added `added`, [L, C]. `before` is what was known till then.
    pub fn new(rec: &mut Recorder, before: Option<&Self>, number: usize, added: Tensor, order: usize, on_host: bool) -> Result<Self> {
        let mut factors = vec![added];
        for (before, factor) in before.iter().flat_map(|before| before.factors.iter().map(|factor| (before.number, factor))).take(order) {
            let by = 1.0 / (number - before) as f64;
            let (newer, older) = (&factors[factors.len() - 1], factor.tensor(rec)?);
            factors.push(lincomb(rec, &[(by, newer), (-by, &older)], DType::F32)?);
        }
        let factors = factors.into_iter().map(|factor| Parked::new(rec, factor, on_host)).collect::<Result<_>>()?;
        Ok(Self { number, factors })
    }

    /// By token, the size of what a later pass `added` [L, C] in parts of this one's. Waits for the GPU.
    pub fn ratios(&self, rec: &mut Recorder, added: &Tensor) -> Result<Vec<f64>> {
        let own = self.factors[0].tensor(rec)?;
        let (before, now) = (row_norms(rec, &own)?, row_norms(rec, added)?);
        Ok(now.into_iter().zip(before).map(|(now, before)| f64::from(now) / (f64::from(before) + LEAST)).collect())
    }

    /// The tokens x [L, C] with what the layers would have added in the pass of a number.
    pub fn add_to(&self, rec: &mut Recorder, x: &Tensor, number: usize) -> Result<Tensor> {
        let distance = (number - self.number) as f64;
        let mut sum = x.clone();
        let mut weight = 1.0;
        for (order, factor) in self.factors.iter().enumerate() {
            let factor = factor.tensor(rec)?;
            sum = lincomb(rec, &[(1.0, &sum), (weight, &factor)], DType::F32)?;
            weight *= distance / (order + 1) as f64;
        }
        Ok(sum)
    }
}
