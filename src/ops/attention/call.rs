//! One attention: its shapes, its scale, and what every family's kernel takes of it.

use crate::error::{Error, Result};
use crate::gpu::kernel::{Variants, params};
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::READ, kernel::WRITE};
use crate::ops::attention::ranges::KeyRanges;

const BIAS: &[Element] = &[Element::Absent, Element::F32];

pub(super) const RANGES: Slot = Slot::read("ranges", &[Element::Absent, Element::U32]);

/// The slots of every kernel that takes a bias.
pub(super) const SLOTS: &[Slot] =
    &[Slot::read("q", READ), Slot::read("k", READ), Slot::read("v", READ), Slot::read("bias", BIAS), RANGES, Slot::write("out", WRITE)];

/// What may be done about scores: nothing, a bias, a shift, or keys that are not seen.
pub(super) const SCORES: &[Variants] = &[&[("BIASED", &[0, 1, 2]), ("RANGED", &[0])], &[("BIASED", &[0]), ("RANGED", &[1])]];

// Of every kernel; `tiles` are those of the queries of one head. Scores of keys `from..to` are raised by `shift`.
params!(Params { q_len: u32, k_len: u32, heads: u32, tiles: u32, dim: u32, scale: f32, from: u32, to: u32, shift: f32 });

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
    /// A number that is added to the scores of some keys of each batch; not beside a bias.
    pub shift: Option<Shift>,
    /// Which keys are seen, where not all; for one batch, and beside neither a bias nor a shift.
    pub ranges: Option<&'a KeyRanges>,
}

/// See [`Heads::shift`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The first key, and the one after the last.
    pub keys: (usize, usize),
    pub by: f32,
}

impl Heads<'_> {
    /// One batch of heads with scores divided by the root of the head dim.
    pub fn scaled(heads: usize, width: usize) -> Self {
        Self { heads, batches: 1, scale: 1.0 / ((width / heads.max(1)) as f32).sqrt(), bias: None, shift: None, ranges: None }
    }
}

/// An attention whose shapes fit, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) q: &'a Tensor,
    pub(super) k: &'a Tensor,
    pub(super) v: &'a Tensor,
    pub(super) how: Heads<'a>,
    pub(super) out: &'a Tensor,
    pub(super) q_len: usize,
    pub(super) k_len: usize,
    pub(super) dim: usize,
}

impl Call<'_> {
    /// Dispatches a kernel of [`SLOTS`] whose workgroups make `queries` queries of one head each.
    pub(super) fn dispatch_biased(
        &self,
        rec: &mut Recorder,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        queries: u32,
    ) -> Result<()> {
        let biased = if self.how.shift.is_some() { 2 } else { u32::from(self.how.bias.is_some()) };
        let constants = [constants, &[("BIASED", biased), self.ranged()]].concat();
        self.dispatch(rec, kernel, &constants, &self.args(), queries)
    }

    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        args: &[Arg],
        queries: u32,
    ) -> Result<()> {
        let tiles = self.q_len.div_ceil(queries as usize);
        rec.dispatch(kernel, constants, &self.params(tiles), args, self.how.batches * self.how.heads * tiles, self.cost(args))
    }

    pub(super) fn ranged(&self) -> (&'static str, u32) {
        ("RANGED", u32::from(self.how.ranges.is_some()))
    }

    pub(super) fn ranges(&self) -> Arg<'_> {
        self.how.ranges.map_or(Arg::ABSENT, |ranges| Arg::index(&ranges.table))
    }

    /// Of both products.
    pub(super) fn cost(&self, args: &[Arg]) -> Cost {
        let pairs = self.how.ranges.map_or(self.q.rows() * self.k_len, |ranges| ranges.pairs(self.q_len));
        Cost::of(4.0 * self.q.cols() as f64 * pairs as f64, args)
    }

    pub(super) fn params(&self, tiles: usize) -> Params {
        let Shift { keys: (from, to), by } = self.how.shift.unwrap_or(Shift { keys: (0, 0), by: 0.0 });
        Params {
            q_len: self.q_len as u32,
            k_len: self.k_len as u32,
            heads: self.how.heads as u32,
            tiles: tiles as u32,
            dim: self.dim as u32,
            scale: self.how.scale,
            from: from as u32,
            to: to as u32,
            shift: by,
        }
    }

    /// [`SLOTS`]
    pub(super) fn args(&self) -> [Arg<'_>; 6] {
        let vec4s = self.dim.is_multiple_of(4);
        let bias = self.how.bias.map_or(Arg::ABSENT, Arg::scalar);
        let [q, k, v, out] = [self.q, self.k, self.v, self.out].map(|tensor| Arg::aligned(tensor, vec4s));
        [q, k, v, bias, self.ranges(), out]
    }
}

pub(super) fn check(q: &Tensor, k: &Tensor, v: &Tensor, how: Heads) -> Result<(usize, usize, usize)> {
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
    if let Some(Shift { keys: (from, to), .. }) = how.shift
        && (from > to || to > k_len || how.bias.is_some())
    {
        return Err(Error::Input(format!("attention to {k_len} keys with other scores for {from} to {to}, or with a bias beside that")));
    }
    if let Some(ranges) = how.ranges
        && (!ranges.suits(q_len, k_len) || batches != 1 || how.bias.is_some() || how.shift.is_some())
    {
        let message =
            format!("attention of {q_len} queries in {batches} batches to ranges of {k_len} keys that are for others, or with a bias");
        return Err(Error::Input(message));
    }
    if width / heads > 1024 {
        return Err(Error::Unsupported(format!("attention heads of {}, at most 1024", width / heads)));
    }
    Ok((q_len, k_len, width / heads))
}
