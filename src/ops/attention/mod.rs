//! Attention of any lengths and any head dim up to 1024, without ever holding the scores.
//!
//! All kernels go through the keys tile by tile with a running maximum and sum in f32. Workgroups are numbered so that those
//! beside each other share a head, and so its keys and values.

mod call;
mod coop;
mod reg;
mod sg;
mod short;
mod tiled;

pub use call::{Heads, Shift};
pub use coop::ATTENTION_COOP;
pub use reg::ATTENTION_REG;
pub use sg::ATTENTION_SG;
pub use short::ATTENTION_SHORT;
pub use tiled::ATTENTION_TILED;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Device, Family, Recorder, Sink, Tensor, family};
use crate::ops::{attention::call::Call, attention::call::check};

/// q [B * Lq, N * D], k and v [B * Lk, N * D] to [B * Lq, N * D] as `dtype`.
pub fn attention(rec: &mut Recorder, q: &Tensor, k: &Tensor, v: &Tensor, how: Heads, dtype: DType) -> Result<Tensor> {
    let (q_len, k_len, dim) = check(q, k, v, how)?;
    let out = rec.alloc(q.shape(), if dim % 4 == 0 { dtype } else { DType::F32 })?;
    Call { q, k, v, how, out: &out, q_len, k_len, dim }.record(rec)?;
    Ok(out)
}

impl Call<'_> {
    /// In the family that suits the device; the same for few keys in all of them.
    fn record(&self, rec: &mut Recorder) -> Result<()> {
        if self.k_len <= short::KEYS && self.how.bias.is_none() && self.how.shift.is_none() {
            return short::record(rec, self);
        }
        let device = rec.device().clone();
        let fits = |family| match family {
            Family::Tiled | Family::Sg => self.dim <= 256,
            Family::Reg => true,
            Family::Coop => coop::fits(self, &device),
        };
        self.record_in(rec, device.family("attention", fits, |family| test(&device, family)))
    }

    fn record_in(&self, rec: &mut Recorder, family: Family) -> Result<()> {
        match family {
            Family::Tiled => tiled::record(rec, self),
            Family::Sg => sg::record(rec, self),
            Family::Reg => reg::record(rec, self),
            Family::Coop => coop::record(rec, self),
        }
    }
}

/// Two heads of 20 over tails of every tile, against the formula on the host.
fn test(device: &Device, family: Family) -> Result<()> {
    const QUERIES: usize = 37;
    const KEYS: usize = 70;
    const HEADS: usize = 2;
    const DIM: usize = 20;
    const WIDTH: usize = HEADS * DIM;
    // Exact in f16.
    let values = |rows: usize, seed: usize| (0..rows * WIDTH).map(|i| ((i * seed) % 31) as f32 / 16.0 - 1.0).collect::<Vec<_>>();
    let [q, k, v] = [values(QUERIES, 37), values(KEYS, 41), values(KEYS, 43)];
    let exact = |i: usize| {
        let (row, column) = (i / WIDTH, i % WIDTH);
        let head = column / DIM * DIM..column / DIM * DIM + DIM;
        let score = |key: usize| head.clone().map(|d| q[row * WIDTH + d] * k[key * WIDTH + d]).sum::<f32>() * 0.5;
        let weights: Vec<_> = (0..KEYS).map(|key| score(key).exp()).collect();
        let sum: f32 = weights.iter().zip(v[column..].iter().step_by(WIDTH)).map(|(weight, value)| weight * value).sum();
        sum / weights.iter().sum::<f32>()
    };
    let upload =
        |rows, values: &[f32]| device.upload("test", &[rows, WIDTH], DType::F16, bytemuck::cast_slice(&crate::dtype::to_f16(values)));
    let (q_on, k_on, v_on) = (upload(QUERIES, &q)?, upload(KEYS, &k)?, upload(KEYS, &v)?);
    let mut rec = Recorder::new(device, crate::Cancel::new());
    let out = rec.alloc(&[QUERIES, WIDTH], DType::F32)?;
    let how = Heads { heads: HEADS, batches: 1, scale: 0.5, bias: None, shift: None };
    Call { q: &q_on, k: &k_on, v: &v_on, how, out: &out, q_len: QUERIES, k_len: KEYS, dim: DIM }.record_in(&mut rec, family)?;
    family::agree(&rec.download(&out)?, &(0..QUERIES * WIDTH).map(exact).collect::<Vec<_>>(), 2e-3)
}
