//! Convolutions in one, two and three dimensions, all as one kernel over [T, H, W, C].
//!
//! A batch of images is T of them with a kernel of time extent 1; a sequence is [T, 1, 1, C].

use bytemuck::{Pod, Zeroable};

use crate::dtype::{DType, to_f16};
use crate::error::{Error, Result};
use crate::gpu::kernel::{Arg, Kernel, Needs, READ, READ_OPTIONAL, Slot, VECTOR_OPTIONAL, WEIGHT, WRITE};
use crate::gpu::{Recorder, Sink};
use crate::ops::{ACTIVATION, ACTIVATIONS, Activation};
use crate::shape::Dims;
use crate::tensor::Tensor;

/// See `wgsl/conv.wgsl`.
pub static CONV: Kernel = Kernel {
    name: "conv",
    source: include_str!("../../wgsl/conv.wgsl"),
    libs: &[ACTIVATION],
    workgroup: 64,
    slots: &[
        Slot::read("x", READ),
        Slot::read("w", WEIGHT),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    params_bytes: size_of::<Params>(),
    variants: &[
        &[("TM", &[8]), ("TN", &[8]), ("WN", &[1, 2, 4, 8]), ("ACT", ACTIVATIONS)],
        &[("TM", &[8]), ("TN", &[4]), ("WN", &[1]), ("ACT", ACTIVATIONS)],
    ],
    needs: Needs::Nothing,
};

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
    column_groups: u32,
}

/// Weights of a convolution on the GPU, as [out channels, taps * in channels].
#[derive(Clone, Debug)]
pub struct ConvWeight {
    weight: Tensor,
    kernel: [usize; 3],
    in_channels: usize,
}

impl ConvWeight {
    /// Uploads `values` in the order of a checkpoint, [out, in, time, height, width], as `dtype` (f32 or f16; f16 only where
    /// the number of in channels is a multiple of four, f32 otherwise).
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 5], values: &[f32], dtype: DType) -> Result<Self> {
        let [rows, in_channels, t, h, w] = shape;
        let taps = t * h * w;
        if values.is_empty() || values.len() != rows * in_channels * taps {
            return Err(Error::Input(format!("`{label}`: {} values for {shape:?}", values.len())));
        }
        let dtype = super::operand_dtype(dtype, in_channels);
        let bytes = match (sink.device().rehearsal(), dtype) {
            (Some(_), _) => vec![0; values.len() * dtype.bytes() as usize],
            (None, DType::F32) => bytemuck::cast_slice(&taps_first(values, in_channels, taps)).to_vec(),
            (None, _) => bytemuck::cast_slice(&to_f16(&taps_first(values, in_channels, taps))).to_vec(),
        };
        let weight = sink.upload(label, &[rows, taps * in_channels], dtype, &bytes)?;
        Ok(Self { weight, kernel: [t, h, w], in_channels })
    }

    /// Out channels.
    pub fn out_channels(&self) -> usize {
        self.weight.rows()
    }

    /// In channels.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Extent in time, height and width.
    pub fn kernel(&self) -> [usize; 3] {
        self.kernel
    }
}

/// Rows of [in channels, taps] to rows of [taps, in channels].
fn taps_first(values: &[f32], in_channels: usize, taps: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(values.len());
    for row in values.chunks(in_channels * taps) {
        for tap in 0..taps {
            ordered.extend((0..in_channels).map(|channel| row[channel * taps + tap]));
        }
    }
    ordered
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
}

impl Default for ConvOptions<'_> {
    fn default() -> Self {
        Self { stride_t: 1, stride: 1, pad: [(0, 0); 3], upsample: false, bias: None, activation: Activation::None, residual: None }
    }
}

/// x [T, H, W, C] to [T', H', W', C'] as `dtype`.
pub fn conv(rec: &mut Recorder, x: &Tensor, weight: &ConvWeight, options: ConvOptions, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["T", "H", "W", "C"])?;
    if dims.get("C") != weight.in_channels {
        return Err(Error::Input(format!("weight: C is {}, was {}", weight.in_channels, dims.get("C"))));
    }
    let shape = out_shape(x.shape(), weight, &options)?;
    let out = rec.alloc(&shape, super::operand_dtype(dtype, weight.out_channels()))?;
    Dims::new().check("out", &out, &["T", "H", "W", "C"])?.check_optional("bias", options.bias, &["C"])?.check_optional(
        "residual",
        options.residual,
        &["T", "H", "W", "C"],
    )?;
    let tile = Tile::choose(weight.out_channels());
    let column_groups = weight.out_channels().div_ceil((tile.wn * tile.tn) as usize);
    let pixel_groups = out.rows().div_ceil((CONV.workgroup / tile.wn * tile.tm) as usize);
    let params = Params {
        input: [0, 1, 2, 3].map(|axis| x.shape()[axis] as u32),
        output: shape.map(|size| size as u32),
        kernel: weight.kernel.map(|size| size as u32),
        stride_t: options.stride_t as u32,
        stride: options.stride as u32,
        pad: options.pad.map(|(before, _)| before as u32),
        up: u32::from(options.upsample),
        column_groups: column_groups as u32,
    };
    let constants = [("TM", tile.tm), ("TN", tile.tn), ("WN", tile.wn), ("ACT", options.activation as u32)];
    let fours = weight.in_channels.is_multiple_of(4);
    let args = [
        Arg::aligned(x, fours),
        Arg::aligned(&weight.weight, fours),
        Arg::optional_rows(options.bias),
        Arg::optional_rows(options.residual),
        Arg::rows(&out),
    ];
    let work = 2.0 * f64::from(CONV.workgroup * tile.tm * tile.tn) * weight.weight.cols() as f64;
    rec.dispatch(&CONV, &constants, &params, &args, pixel_groups * column_groups, work)?;
    Ok(out)
}

fn out_shape(input: &[usize], weight: &ConvWeight, options: &ConvOptions) -> Result<[usize; 4]> {
    let mut shape = [0, 0, 0, weight.out_channels()];
    for axis in 0..3 {
        let (scale, stride) = if axis == 0 { (1, options.stride_t) } else { (1 + usize::from(options.upsample), options.stride) };
        let (before, after) = options.pad[axis];
        let padded = input[axis] * scale + before + after;
        if padded < weight.kernel[axis] || stride == 0 {
            let kernel = weight.kernel;
            return Err(Error::Input(format!("a convolution of {kernel:?} over {input:?} has no result: too few pixels or frames")));
        }
        shape[axis] = (padded - weight.kernel[axis]) / stride + 1;
    }
    Ok(shape)
}

/// Pixels and channels of a lane, and lanes of channels across a workgroup.
struct Tile {
    tm: u32,
    tn: u32,
    wn: u32,
}

impl Tile {
    fn choose(channels: usize) -> Self {
        let tn = if channels <= 4 { 4 } else { 8 };
        let wn = (channels as u32).div_ceil(tn).next_power_of_two().min(8);
        Self { tm: 8, tn, wn }
    }
}
