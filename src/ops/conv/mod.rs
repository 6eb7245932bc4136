//! Convolutions in one, two and three dimensions, all as one kernel over [T, H, W, C].
//!
//! A batch of images is T of them with a kernel of time extent 1; a sequence is [T, 1, 1, C].

mod call;
mod coop;
mod reg;
mod sg;
mod tiled;
pub mod weight;

pub use call::ConvOptions;
pub use coop::CONV_COOP;
pub use reg::CONV_REG;
pub use sg::CONV_SG;
pub use tiled::CONV_TILED;
pub use weight::ConvWeight;

use crate::dtype::{DType, to_f16};
use crate::error::{Error, Result};
use crate::gpu::{Device, Family, Recorder, Sink, Tensor, family};
use crate::ops::{conv::call::Call, conv::weight::ReadValues, operand::operand_dtype};
use crate::shape::Dims;

impl ConvWeight {
    /// Uploads the values that `read` gives in the order of a checkpoint, [out, in, time, height, width], as `dtype` (f32 or f16; f16 only where
    /// the number of in channels is a multiple of four, f32 otherwise), for the family of kernels that suits the device.
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 5], dtype: DType, read: &ReadValues) -> Result<Self> {
        // Of few channels, a tile of 32 would be mostly empty.
        let fits = |family| match family {
            Family::Tiled | Family::Sg => true,
            Family::Coop => shape[0] > 16 && operand_dtype(dtype, shape[1]) == DType::F16,
            Family::Reg => false,
        };
        let choose = |device: Device| device.family("conv", fits, |family| test(&device, family));
        Self::upload_for(sink.device().map_or(Family::Tiled, choose), sink, label, shape, dtype, read)
    }
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
    if options.past[0].is_some() && shape[0] != 1 {
        return Err(Error::Input(format!("past frames stand before the one frame that is made, not {}", shape[0])));
    }
    let out = rec.alloc(&shape, operand_dtype(dtype, weight.out_channels()))?;
    options.finish.check(&out)?;
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
