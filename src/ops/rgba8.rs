//! From a decoder's frames to bytes that can be shown.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{INDEX, SCALAR, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::shape::Dims;

pub static RGBA8: Kernel = Kernel {
    slots: &[Slot::read("frames", SCALAR), Slot::write("fault", INDEX), Slot::write("out", INDEX)],
    ..Kernel::of("rgba8", include_str!("../../wgsl/rgba8.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, width: u32, stride: u32 });

/// Pixels, and whether they are what was wanted.
#[derive(Debug)]
pub struct Rgba8 {
    /// Words [F, H, S] of which the first W in a row are pixels: bytes R, G, B and 255. S is W or more, as texture copies want it.
    pub words: Tensor,
    /// One word: 1 where a sample was not finite.
    pub fault: Tensor,
}

/// Frames [F, H, W, 3] in f32 from -1 to 1 in 8 bits, rounded to the nearest level (a tie to the even one).
pub fn rgba8(rec: &mut Recorder, frames: &Tensor) -> Result<Rgba8> {
    let dims = Dims::new().check("frames", frames, &["F", "H", "W", "C"])?;
    let (count, height, width) = (dims.get("F"), dims.get("H"), dims.get("W"));
    let stride = width.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize / 4);
    let words = rec.alloc(&[count, height, stride], DType::F32)?;
    let fault = rec.upload_indices(&[0])?;
    let pixels = count * height * width;
    let params = Params { count: pixels as u32, width: width as u32, stride: stride as u32 };
    let args = [Arg::scalar(frames), Arg::index(&fault), Arg::index(&words)];
    rec.dispatch(&RGBA8, &[], &params, &args, pixels.div_ceil(64), Cost::of(4.0 * frames.len() as f64, &args))?;
    Ok(Rgba8 { words, fault })
}
