//! Largest elements and means of windows.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, WRITE, params};
use crate::gpu::{Arg, Kernel, Recorder, Slot, Tensor};
use crate::shape::Dims;

/// See `wgsl/pool.wgsl`.
pub static POOL: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::write("out", WRITE)],
    variants: &[&[("MEAN", &[0, 1])]],
    ..Kernel::of("pool", include_str!("../../wgsl/pool.wgsl"), size_of::<Params>())
};

params!(Params {
    count: u32,
    input: [u32; 2],
    output: [u32; 2],
    channels: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 2],
    end: [u32; 2],
    counted: u32
});

/// What is made of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The largest element.
    Max,
    /// The mean of the elements in the image.
    Mean,
    /// The mean of those and of the zeros around it.
    MeanWithPads,
}

/// How a window moves over an image; each by height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The window's extents.
    pub kernel: [usize; 2],
    /// Its steps.
    pub stride: [usize; 2],
    /// What is before the image and after it.
    pub pad: [(usize, usize); 2],
    /// How many places it has.
    pub places: [usize; 2],
}

impl Window {
    /// Checks that the window is somewhere, and in each of its places begins before the end of the image.
    pub(crate) fn check(&self, image: [usize; 2]) -> Result<()> {
        for axis in 0..2 {
            let (kernel, stride, places) = (self.kernel[axis], self.stride[axis], self.places[axis]);
            if kernel == 0 || stride == 0 || places == 0 || (places - 1) * stride >= image[axis] + self.pad[axis].0 {
                return Err(Error::Input(format!("{self:?} over {}x{} pixels", image[0], image[1])));
            }
        }
        Ok(())
    }
}

/// x [B, H, W, C] by windows to [B, H, W, C] of their places.
pub fn pool(rec: &mut Recorder, x: &Tensor, pool: Pool, window: &Window, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?;
    let image = [dims.get("H"), dims.get("W")];
    window.check(image)?;
    let [out_h, out_w] = window.places;
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    let count = out.rows() * out.cols().div_ceil(4);
    let words = |pair: [usize; 2]| pair.map(|size| size as u32);
    let params = Params {
        count: count as u32,
        input: words(image),
        output: words(window.places),
        channels: dims.get("C") as u32,
        kernel: words(window.kernel),
        stride: words(window.stride),
        pad: words(window.pad.map(|pad| pad.0)),
        end: words([0, 1].map(|axis| window.pad[axis].0 + image[axis] + window.pad[axis].1)),
        counted: u32::from(pool == Pool::MeanWithPads),
    };
    let flops = 64.0 * 4.0 * (window.kernel[0] * window.kernel[1]) as f64;
    rec.dispatch(&POOL, &[("MEAN", u32::from(pool != Pool::Max))], &params, &[Arg::rows(x), Arg::rows(&out)], count.div_ceil(64), flops)?;
    Ok(out)
}
