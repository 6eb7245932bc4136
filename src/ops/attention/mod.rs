//! Attention of any lengths and any head dim up to 1024, without ever holding the scores.
//!
//! All kernels go through the keys tile by tile with a running maximum and sum in f32. Workgroups are numbered so that those
//! beside each other share a head, and so its keys and values.

mod coop;
mod reg;
mod sg;
mod short;
mod tiled;

pub use coop::ATTENTION_COOP;
pub use reg::ATTENTION_REG;
pub use sg::ATTENTION_SG;
pub use short::ATTENTION_SHORT;
pub use tiled::ATTENTION_TILED;

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arg::Arg;
use crate::gpu::kernel::{Kernel, READ, Slot, WRITE};
use crate::gpu::pipeline::Element;
use crate::gpu::{Device, Family, Recorder, Sink, family};
use crate::tensor::Tensor;

const BIAS: &[Element] = &[Element::Absent, Element::F32];

/// The slots of every kernel.
const SLOTS: &[Slot] =
    &[Slot::read("q", READ), Slot::read("k", READ), Slot::read("v", READ), Slot::read("bias", BIAS), Slot::write("out", WRITE)];

/// Of every kernel; `tiles` are those of the queries of one head.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    q_len: u32,
    k_len: u32,
    heads: u32,
    tiles: u32,
    dim: u32,
    scale: f32,
}

/// How an attention is done.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// N, the number of heads side by side in a row.
    pub heads: usize,
    /// Independent runs of rows: queries of run b see the keys of run b alone.
    pub batches: usize,
    /// What scores are multiplied with; usually 1 / sqrt(D).
    pub scale: f32,
    /// [N, queries, keys], added to the scores; for one batch.
    pub bias: Option<&'a Tensor>,
}

impl Heads<'_> {
    /// One batch of heads with scores divided by the root of the head dim.
    pub fn scaled(heads: usize, width: usize) -> Self {
        Self { heads, batches: 1, scale: 1.0 / ((width / heads.max(1)) as f32).sqrt(), bias: None }
    }
}

/// An attention whose shapes fit, and where it goes.
#[derive(Clone, Copy)]
struct Call<'a> {
    q: &'a Tensor,
    k: &'a Tensor,
    v: &'a Tensor,
    how: Heads<'a>,
    out: &'a Tensor,
    q_len: usize,
    k_len: usize,
    dim: usize,
}

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
        if self.k_len <= short::KEYS && self.how.bias.is_none() {
            return short::record(rec, self);
        }
        let device = rec.device().clone();
        let fits = |family| match family {
            Family::Tiled | Family::Sg => self.dim <= 128,
            Family::Reg => true,
            Family::Coop => coop::fits(self),
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

    /// Dispatches a kernel of [`SLOTS`] whose workgroups make `queries` queries of one head each.
    fn dispatch_biased(&self, rec: &mut Recorder, kernel: &'static Kernel, constants: &[(&'static str, u32)], queries: u32) -> Result<()> {
        let constants = [constants, &[("BIASED", u32::from(self.how.bias.is_some()))]].concat();
        self.dispatch(rec, kernel, &constants, &self.args(), queries)
    }

    fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        args: &[Arg],
        queries: u32,
    ) -> Result<()> {
        let tiles = self.q_len.div_ceil(queries as usize);
        let work = 4.0 * f64::from(queries) * (self.k_len * self.dim) as f64;
        rec.dispatch(kernel, constants, &self.params(tiles), args, self.how.batches * self.how.heads * tiles, work)
    }

    fn params(&self, tiles: usize) -> Params {
        Params {
            q_len: self.q_len as u32,
            k_len: self.k_len as u32,
            heads: self.how.heads as u32,
            tiles: tiles as u32,
            dim: self.dim as u32,
            scale: self.how.scale,
        }
    }

    /// [`SLOTS`]
    fn args(&self) -> [Arg<'_>; 5] {
        let fours = self.dim.is_multiple_of(4);
        let bias = self.how.bias.map_or(Arg::ABSENT, Arg::scalar);
        [Arg::aligned(self.q, fours), Arg::aligned(self.k, fours), Arg::aligned(self.v, fours), bias, Arg::aligned(self.out, fours)]
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, how: Heads) -> Result<(usize, usize, usize)> {
    let (width, heads, batches) = (q.cols(), how.heads, how.batches);
    if heads == 0 || batches == 0 || width == 0 {
        return Err(Error::Input(format!("attention in {heads} heads and {batches} batches over rows of {width}")));
    }
    let (q_len, k_len) = (q.rows() / batches, k.rows() / batches);
    if k.shape() != v.shape() || k.cols() != width {
        return Err(Error::Input(format!("attention of q {:?}, k {:?} and v {:?}", q.shape(), k.shape(), v.shape())));
    }
    if width % heads != 0 || q.rows() != q_len * batches || k.rows() != k_len * batches || k_len == 0 || q_len == 0 {
        let (q, k) = (q.shape(), k.shape());
        return Err(Error::Input(format!("attention of q {q:?} and k {k:?} in {heads} heads and {batches} batches")));
    }
    if let Some(bias) = how.bias
        && (bias.shape() != [heads, q_len, k_len] || batches != 1)
    {
        return Err(Error::Input(format!("attention bias: shape {:?}, expected [{heads}, {q_len}, {k_len}]", bias.shape())));
    }
    if width / heads > 1024 {
        return Err(Error::Unsupported(format!("attention heads of {}, at most 1024", width / heads)));
    }
    Ok((q_len, k_len, width / heads))
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
    let how = Heads { heads: HEADS, batches: 1, scale: 0.5, bias: None };
    Call { q: &q_on, k: &k_on, v: &v_on, how, out: &out, q_len: QUERIES, k_len: KEYS, dim: DIM }.record_in(&mut rec, family)?;
    family::agree(&rec.download(&out)?, &(0..QUERIES * WIDTH).map(exact).collect::<Vec<_>>(), 2e-3)
}
