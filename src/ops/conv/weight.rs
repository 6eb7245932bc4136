//! Weights of convolutions, in the order in which the kernels of a family read them.

use crate::dtype::{DType, to_f16};
use crate::error::{Error, Result};
use crate::gpu::arena::bytes_of;
use crate::gpu::arg::Arg;
use crate::gpu::{Device, Family, Recorder, Sink, family};
use crate::ops::conv::{ConvOptions, conv, sg};
use crate::ops::operand::operand_dtype;
use crate::tensor::Tensor;

/// Makes the values of a weight.
pub type ReadValues<'a> = dyn Fn() -> Result<Vec<f32>> + 'a;

/// Weights of a convolution on the GPU.
#[derive(Clone, Debug)]
pub struct ConvWeight {
    /// [out channels, taps * in channels]; for [`Family::Sg`] [tiles * taps * in channels in fours, channels of a tile].
    weight: Tensor,
    family: Family,
    kernel: [usize; 3],
    in_channels: usize,
    out_channels: usize,
}

impl ConvWeight {
    /// Uploads the values that `read` gives in the order of a checkpoint, [out, in, time, height, width], as `dtype` (f32 or f16; f16 only where
    /// the number of in channels is a multiple of four, f32 otherwise), for the family of kernels that suits the device.
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 5], dtype: DType, read: &ReadValues) -> Result<Self> {
        // Of few channels, a tile of 32 would be mostly empty.
        let fits = |family| match family {
            Family::Tiled => true,
            Family::Sg => shape[0] > 16,
            Family::Coop => shape[0] > 16 && operand_dtype(dtype, shape[1]) == DType::F16,
            Family::Reg => false,
        };
        let choose = |device: Device| device.family("conv", fits, |family| test(&device, family));
        Self::upload_for(sink.device().map_or(Family::Tiled, choose), sink, label, shape, dtype, read)
    }

    fn upload_for(family: Family, sink: &dyn Sink, label: &str, shape: [usize; 5], dtype: DType, read: &ReadValues) -> Result<Self> {
        let [out_channels, in_channels, t, h, w] = shape;
        let (taps, dtype, count) = (t * h * w, operand_dtype(dtype, in_channels), shape.iter().product::<usize>());
        if count == 0 {
            return Err(Error::Input(format!("`{label}`: no values for {shape:?}")));
        }
        let (size, order): ([usize; 2], Order) = match family {
            Family::Sg => (tiles(out_channels, in_channels, taps), in_tiles),
            _ => ([out_channels, taps * in_channels], in_rows),
        };
        let read = || match read()? {
            values if values.len() == count => Ok(dtype.store(&order(out_channels, in_channels, taps, &values)).into()),
            values => Err(Error::Input(format!("`{label}`: {} values for {shape:?}", values.len()))),
        };
        let weight = sink.read(label, &size, dtype, bytes_of(&size, dtype)?, &read)?;
        Ok(Self { weight, family, kernel: [t, h, w], in_channels, out_channels })
    }

    /// Out channels.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// In channels.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Extent in time, height and width.
    pub fn kernel(&self) -> [usize; 3] {
        self.kernel
    }

    /// The kernels that read it.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Products that make one number of the result.
    pub(super) fn depth(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.in_channels
    }

    pub(super) fn arg(&self) -> Arg<'_> {
        match self.family {
            Family::Sg => Arg::rows(&self.weight),
            Family::Coop => Arg::halves(&self.weight),
            _ => Arg::aligned(&self.weight, self.in_channels.is_multiple_of(4)),
        }
    }
}

/// From [out, in, taps], given by these three, to the order of a family.
type Order = fn(usize, usize, usize, &[f32]) -> Vec<f32>;

/// [out, taps, in], so that the channels of a pixel lie together.
fn in_rows(_out: usize, inner: usize, taps: usize, values: &[f32]) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(values.len());
    for row in values.chunks(inner * taps) {
        for tap in 0..taps {
            ordered.extend((0..inner).map(|channel| row[channel * taps + tap]));
        }
    }
    ordered
}

/// The extents of what [`in_tiles`] makes.
fn tiles(out: usize, inner: usize, taps: usize) -> [usize; 2] {
    let width = sg::tile_channels(out);
    [out.div_ceil(width) * taps * inner.next_multiple_of(4), width]
}

/// [tile, tap, in, out within the tile], with zeros up to a multiple of four in channels and whole tiles.
fn in_tiles(out: usize, inner: usize, taps: usize, values: &[f32]) -> Vec<f32> {
    let ([rows, width], depth) = (tiles(out, inner, taps), inner.next_multiple_of(4));
    let mut ordered = vec![0.0; rows * width];
    for (row, kernels) in values.chunks(inner * taps).enumerate() {
        for (channel, kernel) in kernels.chunks(taps).enumerate() {
            for (tap, &value) in kernel.iter().enumerate() {
                ordered[((row / width * taps + tap) * depth + channel) * width + row % width] = value;
            }
        }
    }
    ordered
}

/// A causal convolution of two frames over tails of every tile, exact in f16, against the formula on the host.
fn test(device: &Device, family: Family) -> Result<()> {
    const SIZE: [usize; 2] = [5, 7];
    const IN: usize = 36;
    const OUT: usize = 40;
    let number = |i: usize, seed: usize| ((i * seed) % 31) as f32 / 8.0 - 2.0;
    let frames: Vec<Vec<f32>> = (0..2).map(|t| (0..SIZE[0] * SIZE[1] * IN).map(|i| number(i, 37 + t)).collect()).collect();
    let weights: Vec<_> = (0..OUT * IN * 18).map(|i| number(i, 41)).collect();
    let pixel = |t: usize, y: usize, x: usize, channel: usize| match (y, x) {
        (1.., 1..) if y <= SIZE[0] && x <= SIZE[1] => frames[t][((y - 1) * SIZE[1] + x - 1) * IN + channel],
        _ => 0.0,
    };
    let exact = |i: usize| -> f32 {
        let (y, x, out) = (i / (OUT * SIZE[1]), i / OUT % SIZE[1], i % OUT);
        let term = |k: usize| weights[out * IN * 18 + k] * pixel(k % 18 / 9, y + k % 9 / 3, x + k % 3, k / 18);
        (0..IN * 18).map(term).sum()
    };

    let upload = |values: &[f32]| device.upload("test", &[1, SIZE[0], SIZE[1], IN], DType::F16, bytemuck::cast_slice(&to_f16(values)));
    let (past, x) = (upload(&frames[0])?, upload(&frames[1])?);
    let weight = ConvWeight::upload_for(family, device, "test", [OUT, IN, 2, 3, 3], DType::F16, &|| Ok(weights.clone()))?;
    let mut rec = Recorder::new(device, crate::Cancel::new());
    let options = ConvOptions { pad: [(1, 0), (1, 1), (1, 1)], past: [Some(&past), None], ..Default::default() };
    let out = conv(&mut rec, &x, &weight, options, DType::F32)?;
    family::agree(&rec.download(&out)?, &(0..SIZE[0] * SIZE[1] * OUT).map(exact).collect::<Vec<_>>(), 1e-2)
}
