//! Attention of any lengths and any head dim up to 1024, without ever holding the scores.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::gpu::kernel::{Arg, Element, Kernel, Needs, READ, Slot, WRITE};
use crate::tensor::Tensor;

const BIAS: &[Element] = &[Element::Absent, Element::F32];

/// See `wgsl/attention.wgsl`.
pub static ATTENTION: Kernel = Kernel {
    name: "attention",
    source: include_str!("../../wgsl/attention.wgsl"),
    libs: &[],
    workgroup: 64,
    slots: &[Slot::read("q", READ), Slot::read("k", READ), Slot::read("v", READ), Slot::read("bias", BIAS), Slot::write("out", WRITE)],
    params_bytes: size_of::<Params>(),
    variants: &[
        &[("BR", &[32]), ("COLS", &[4, 8, 16]), ("FOURS", &[1]), ("WG", &[64]), ("BIASED", &[0, 1])],
        &[("BR", &[32]), ("COLS", &[16]), ("FOURS", &[2]), ("WG", &[64]), ("BIASED", &[0, 1])],
        &[("BR", &[16]), ("COLS", &[32]), ("FOURS", &[2]), ("WG", &[64]), ("BIASED", &[0, 1])],
        &[("BR", &[16]), ("COLS", &[64]), ("FOURS", &[2]), ("WG", &[128]), ("BIASED", &[0, 1])],
        &[("BR", &[16]), ("COLS", &[128]), ("FOURS", &[2]), ("WG", &[256]), ("BIASED", &[0, 1])],
    ],
    needs: Needs::Nothing,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    q_len: u32,
    k_len: u32,
    heads: u32,
    q_tiles: u32,
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

/// q [B * Lq, N * D], k and v [B * Lk, N * D] to [B * Lq, N * D] as `dtype`.
pub fn attention(rec: &mut Recorder, q: &Tensor, k: &Tensor, v: &Tensor, how: Heads, dtype: DType) -> Result<Tensor> {
    let (q_len, k_len, dim) = check(q, k, v, how)?;
    let out = rec.alloc(q.shape(), if dim % 4 == 0 { dtype } else { DType::F32 })?;
    let tile = Tile::choose(dim);
    let q_tiles = q_len.div_ceil(tile.queries as usize);
    let params = Params {
        q_len: q_len as u32,
        k_len: k_len as u32,
        heads: how.heads as u32,
        q_tiles: q_tiles as u32,
        dim: dim as u32,
        scale: how.scale,
    };
    let constants = [
        ("BR", tile.queries),
        ("COLS", tile.columns),
        ("FOURS", tile.fours),
        ("WG", tile.lanes),
        ("BIASED", u32::from(how.bias.is_some())),
    ];
    let fours = dim % 4 == 0;
    let args = [
        Arg::aligned(q, fours),
        Arg::aligned(k, fours),
        Arg::aligned(v, fours),
        how.bias.map_or(Arg::ABSENT, Arg::scalar),
        Arg::aligned(&out, fours),
    ];
    let work = 4.0 * f64::from(tile.queries) * (k_len * dim) as f64;
    rec.dispatch(&ATTENTION, &constants, &params, &args, how.batches * how.heads * q_tiles, work)?;
    Ok(out)
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

/// Queries of a workgroup, and how its lanes share the head dim: what fits in 16 KiB of workgroup memory and in registers.
struct Tile {
    queries: u32,
    columns: u32,
    fours: u32,
    lanes: u32,
}

impl Tile {
    fn choose(dim: usize) -> Self {
        let (queries, columns, fours, lanes) = match dim {
            ..=16 => (32, 4, 1, 64),
            17..=32 => (32, 8, 1, 64),
            33..=64 => (32, 16, 1, 64),
            65..=128 => (32, 16, 2, 64),
            129..=256 => (16, 32, 2, 64),
            257..=512 => (16, 64, 2, 128),
            _ => (16, 128, 2, 256),
        };
        Self { queries, columns, fours, lanes }
    }
}
