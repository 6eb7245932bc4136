//! Convolutions in one, two and three dimensions, all as one kernel over [T, H, W, C].
//!
//! A batch of images is T of them with a kernel of time extent 1; a sequence is [T, 1, 1, C].

mod coop;
mod reg;
mod sg;
mod tiled;
pub mod weight;

pub use coop::CONV_COOP;
pub use reg::CONV_REG;
pub use sg::CONV_SG;
pub use tiled::CONV_TILED;
pub use weight::ConvWeight;

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arg::Arg;
use crate::gpu::kernel::{Kernel, READ, READ_OPTIONAL, Slot, VECTOR_OPTIONAL, WRITE};
use crate::gpu::{Family, Recorder};
use crate::ops::activation::Activation;
use crate::ops::operand::operand_dtype;
use crate::shape::Dims;
use crate::tensor::Tensor;

/// The slots of every kernel.
const SLOTS: &[Slot] = &[
    Slot::read("x", READ),
    Slot::read("past1", READ_OPTIONAL),
    Slot::read("past2", READ_OPTIONAL),
    Slot::read("w", READ),
    Slot::read("bias", VECTOR_OPTIONAL),
    Slot::read("residual", READ_OPTIONAL),
    Slot::write("out", WRITE),
];

/// Of every kernel.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    input: [u32; 4],
    output: [u32; 4],
    kernel: [u32; 3],
    stride_t: u32,
    stride: u32,
    pad: [u32; 3],
    up: u32,
    past: u32,
    column_groups: u32,
}

/// How a convolution is done.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions<'a> {
    /// Steps in time.
    pub stride_t: usize,
    /// Steps in height and width.
    pub stride: usize,
    /// Zeros before and after, in time, height and width.
    pub pad: [(usize, usize); 3],
    /// Sees the input at twice its height and width, nearest neighbour.
    pub upsample: bool,
    /// `[C]`, added to each pixel.
    pub bias: Option<&'a Tensor>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Added last; of the shape of the result.
    pub residual: Option<&'a Tensor>,
    /// Frames [1, H, W, C] before x, the newest first, seen where the padding in time would be; then T of x is 1. Where a newer one
    /// is missing, so are all the older ones.
    pub past: [Option<&'a Tensor>; 2],
}

impl Default for ConvOptions<'_> {
    fn default() -> Self {
        Self {
            stride_t: 1,
            stride: 1,
            pad: [(0, 0); 3],
            upsample: false,
            bias: None,
            activation: Activation::None,
            residual: None,
            past: [None; 2],
        }
    }
}

/// A convolution whose shapes fit, and where it goes.
#[derive(Clone, Copy)]
struct Call<'a> {
    x: &'a Tensor,
    weight: &'a ConvWeight,
    options: ConvOptions<'a>,
    out: &'a Tensor,
}

/// x [T, H, W, C] to [T', H', W', C'] as `dtype`, by the family of kernels that the weights were uploaded for. With weights of f16, cooperative
/// matrices round x to f16 too.
pub fn conv(rec: &mut Recorder, x: &Tensor, weight: &ConvWeight, options: ConvOptions, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["T", "H", "W", "C"])?;
    if dims.get("C") != weight.in_channels() {
        return Err(Error::Input(format!("weight: C is {}, was {}", weight.in_channels(), dims.get("C"))));
    }
    check_past(x, &options)?;
    let shape = out_shape(x.shape(), weight, &options)?;
    let out = rec.alloc(&shape, operand_dtype(dtype, weight.out_channels()))?;
    Dims::new().check("out", &out, &["T", "H", "W", "C"])?.check_optional("bias", options.bias, &["C"])?.check_optional(
        "residual",
        options.residual,
        &["T", "H", "W", "C"],
    )?;
    let call = Call { x, weight, options, out: &out };
    match weight.family() {
        Family::Tiled => tiled::record(rec, &call)?,
        Family::Sg => sg::record(rec, &call)?,
        Family::Coop => coop::record(rec, &call)?,
        Family::Reg => reg::record(rec, &call)?,
    }
    Ok(out)
}

fn check_past(x: &Tensor, options: &ConvOptions) -> Result<()> {
    let past: Vec<_> = options.past.iter().flatten().collect();
    if past.is_empty() {
        return Ok(());
    }
    if let Some(frame) = past.iter().find(|frame| frame.shape() != x.shape()) {
        return Err(Error::Input(format!("a past frame: shape {:?}, expected that of x, {:?}", frame.shape(), x.shape())));
    }
    if x.shape()[0] != 1 || options.stride_t != 1 || options.pad[0].0 < past.len() || options.past[0].is_none() {
        let (frames, pad) = (x.shape()[0], options.pad[0].0);
        return Err(Error::Input(format!("{} past frames stand before one frame, in the padding: not {frames} and {pad}", past.len())));
    }
    Ok(())
}

impl<'a> Call<'a> {
    /// Dispatches a kernel whose workgroups make `pixels` pixels of `channels` channels each.
    fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        [pixels, channels]: [u32; 2],
    ) -> Result<()> {
        let column_groups = self.weight.out_channels().div_ceil(channels as usize);
        let pixel_groups = self.out.rows().div_ceil(pixels as usize);
        let constants = [constants, &[("ACT", self.options.activation as u32)]].concat();
        let work = 2.0 * f64::from(pixels * channels) * self.weight.depth() as f64;
        rec.dispatch(kernel, &constants, &self.params(column_groups), &self.args(), pixel_groups * column_groups, work)
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
            column_groups: column_groups as u32,
        }
    }

    /// [`SLOTS`]
    fn args(&self) -> [Arg<'a>; 7] {
        let fours = self.weight.in_channels().is_multiple_of(4);
        let [past1, past2] = self.options.past.map(|frame| frame.map_or(Arg::ABSENT, |frame| Arg::aligned(frame, fours)));
        [
            Arg::aligned(self.x, fours),
            past1,
            past2,
            self.weight.arg(),
            Arg::optional_rows(self.options.bias),
            Arg::optional_rows(self.options.residual),
            Arg::rows(self.out),
        ]
    }
}

fn out_shape(input: &[usize], weight: &ConvWeight, options: &ConvOptions) -> Result<[usize; 4]> {
    let mut shape = [0, 0, 0, weight.out_channels()];
    for axis in 0..3 {
        let (scale, stride) = if axis == 0 { (1, options.stride_t) } else { (1 + usize::from(options.upsample), options.stride) };
        let (before, after) = options.pad[axis];
        let padded = input[axis] * scale + before + after;
        if padded < weight.kernel()[axis] || stride == 0 {
            let kernel = weight.kernel();
            return Err(Error::Input(format!("a convolution of {kernel:?} over {input:?} has no result: too few pixels or frames")));
        }
        shape[axis] = (padded - weight.kernel()[axis]) / stride + 1;
    }
    Ok(shape)
}
