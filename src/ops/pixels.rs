//! From 8-bit samples to the numbers that models take: a frame travels as bytes, a quarter of its f32s.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::INDEX, kernel::SCALAR};

pub static PIXELS: Kernel = Kernel {
    slots: &[Slot::read("bytes", INDEX), Slot::read("values", SCALAR), Slot::write("out", &[Element::F32x4])],
    ..Kernel::of("pixels", include_str!("../../wgsl/pixels.wgsl"), size_of::<Params>())
};

params!(Params { count: u32 });

/// A tensor of `shape` in f32 from as many 8-bit samples; `value` says which number a sample stands for. On a dry device nobody asks for
/// either.
///
/// The numbers come from a table that the host makes, so that they are the same bits on every GPU: division is not.
pub fn pixels(rec: &mut Recorder, shape: &[usize], samples: impl FnOnce() -> Result<Vec<u8>>, value: impl Fn(u8) -> f32) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let words = || {
        let mut bytes = samples()?;
        if bytes.len() != count {
            return Err(Error::Input(format!("{} samples for pixels of shape {shape:?}", bytes.len())));
        }
        bytes.resize(count.next_multiple_of(4), 0);
        Ok(bytemuck::pod_collect_to_vec::<u8, u32>(&bytes))
    };
    let bytes = rec.upload_words(&[count.div_ceil(4)], words)?;
    let values = rec.upload_with(&[256], || Ok((0..=255).map(value).collect()))?;
    let out = rec.alloc(shape, DType::F32)?;
    let args = [Arg::index(&bytes), Arg::scalar(&values), Arg::flat(&out)];
    rec.dispatch(&PIXELS, &[], &Params { count: count as u32 }, &args, count.div_ceil(256), Cost::of(0.0, &args))?;
    Ok(out)
}

/// A sample of an image in [-1, 1].
pub fn signed(sample: u8) -> f32 {
    2.0 * (f32::from(sample) / 255.0) - 1.0
}
