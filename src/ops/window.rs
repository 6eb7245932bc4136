//! Windows that move over images.

use crate::error::{Error, Result};
use crate::gpu::{Tensor, kernel::params};

params!(WindowParams {
    count: u32,
    input: [u32; 2],
    output: [u32; 2],
    channels: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 2],
    end: [u32; 2],
    counted: u32,
    last: u32,
    rows: u32
});

/// How a window moves over an image; each by height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: [usize; 2],
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

    /// What the kernels of `wgsl/lib/window.wgsl` are told of a window over x [B, H, W, C], of which a lane makes four channels of a pixel.
    pub(super) fn params(&self, x: &Tensor) -> WindowParams {
        let (image, channels) = ([x.shape()[1], x.shape()[2]], x.cols());
        let words = |pair: [usize; 2]| pair.map(|size| size as u32);
        WindowParams {
            count: (x.shape()[0] * self.places[0] * self.places[1] * channels.div_ceil(4)) as u32,
            input: words(image),
            output: words(self.places),
            channels: channels as u32,
            kernel: words(self.kernel),
            stride: words(self.stride),
            pad: words(self.pad.map(|pad| pad.0)),
            end: words([0, 1].map(|axis| self.pad[axis].0 + image[axis] + self.pad[axis].1)),
            counted: 0,
            last: 0,
            rows: 1,
        }
    }
}
