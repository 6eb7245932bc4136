//! One convolution: how it is done, and what every family's kernel takes of it.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{READ, READ_OPTIONAL, VECTOR_OPTIONAL, WRITE, params};
use crate::gpu::{Arg, Cost, Element, Family, Kernel, Recorder, Slot, Tensor};
use crate::ops::{conv::weight::ConvWeight, finish::Finish};

/// The slots of every kernel, with weights in these formats.
pub(super) const fn slots(weights: &'static [Element]) -> [Slot; 8] {
    [
        Slot::read("x", READ),
        Slot::read("past1", READ_OPTIONAL),
        Slot::read("past2", READ_OPTIONAL),
        Slot::read("w", weights),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::read("slope", VECTOR_OPTIONAL),
        Slot::write("out", WRITE),
    ]
}

params!(Params {
    input: [u32; 4],
    output: [u32; 4],
    kernel: [u32; 3],
    stride_t: u32,
    stride: u32,
    pad: [u32; 3],
    up: u32,
    past: u32,
    last: u32,
    column_groups: u32
});

/// How a convolution is done.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions<'a> {
    pub stride_t: usize,
    /// Steps in height and width.
    pub stride: usize,
    /// Zeros before and after, in time, height and width.
    pub pad: [(usize, usize); 3],
    /// Sees the input at twice its height and width, nearest neighbour.
    pub upsample: bool,
    /// What follows the sums.
    pub finish: Finish<'a>,
    /// Frames [1, H, W, C] before x, the newest first, seen where the padding in time would be; then T of x is 1. Where a newer one
    /// is missing, so are all the older scalar_arrays.
    pub past: [Option<&'a Tensor>; 2],
}

impl Default for ConvOptions<'_> {
    fn default() -> Self {
        Self { stride_t: 1, stride: 1, pad: [(0, 0); 3], upsample: false, finish: Finish::default(), past: [None; 2] }
    }
}

/// A convolution whose shapes fit, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) x: &'a Tensor,
    pub(super) weight: &'a ConvWeight,
    pub(super) options: ConvOptions<'a>,
    pub(super) out: &'a Tensor,
}

impl<'a> Call<'a> {
    /// Dispatches a kernel whose workgroups make `pixels` pixels of `channels` channels each.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        [pixels, channels]: [u32; 2],
    ) -> Result<()> {
        let column_groups = self.weight.out_channels().div_ceil(channels as usize);
        let pixel_groups = self.out.rows().div_ceil(pixels as usize);
        let constants = [constants, &[("ACT", self.options.finish.function())]].concat();
        let args = self.args();
        let cost = Cost::of(2.0 * self.out.len() as f64 * self.weight.depth() as f64, &args);
        rec.dispatch(kernel, &constants, &self.params(column_groups), &args, pixel_groups * column_groups, cost)
    }

    /// The constant that says whether there are frames of the past, for kernels that have loops of their own for them.
    pub(super) fn past(&self) -> (&'static str, u32) {
        ("PAST", u32::from(self.options.past[0].is_some()))
    }

    fn params(&self, column_groups: usize) -> Params {
        let size = |tensor: &Tensor| [0, 1, 2, 3].map(|axis| tensor.shape()[axis] as u32);
        Params {
            input: size(self.x),
            output: size(self.out),
            kernel: self.weight.kernel().map(|size| size as u32),
            stride_t: self.options.stride_t as u32,
            stride: self.options.stride as u32,
            pad: self.options.pad.map(|(before, _)| before as u32),
            up: u32::from(self.options.upsample),
            past: self.options.past.iter().flatten().count() as u32,
            last: self.options.finish.last(),
            column_groups: column_groups as u32,
        }
    }

    /// Of [`slots`].
    fn args(&self) -> [Arg<'a>; 8] {
        let vec4s = self.weight.in_channels().is_multiple_of(4);
        let [bias, residual, slope] = self.options.finish.args();
        let frame = |frame: &'a Tensor| match self.weight.family() {
            Family::Coop if frame.dtype() == DType::F16 => Arg::native_f16(frame),
            _ => Arg::aligned(frame, vec4s),
        };
        let [past1, past2] = self.options.past.map(|past| past.map_or(Arg::ABSENT, frame));
        [frame(self.x), past1, past2, self.weight.arg(), bias, residual, slope, Arg::rows(self.out)]
    }
}
