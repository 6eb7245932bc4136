//! Finding where in a picture a person is.

use image::{GrayImage, RgbImage};

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::kind::{Kind, Outputs};
use crate::networks::net::{Net, open};
use crate::networks::patch::{Affine, Patch, Samples, warp_plane};
use crate::onnx::Graph;
use crate::preprocess::WholeBody;

/// Finds the mask of a person. An application may bring its own.
pub trait Segmenter: wgpu::WasmNotSend {
    /// White where the person with these points is. Frames of a video come in their order.
    ///
    /// # Errors
    /// Those of the segmenter.
    fn mask(&mut self, frame: &RgbImage, person: &WholeBody) -> Result<GrayImage>;
}

/// A network from an ONNX file that tells what is in front, [1, 1, H, W] of [1, 3, H, W]: U2Net and what else takes pictures
/// with the mean and deviation of ImageNet. Somebody in front who is not meant is in the mask too.
#[derive(Debug)]
pub struct OnnxMask {
    net: Net,
}

impl OnnxMask {
    /// Opens a file, or a folder with one.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no ONNX file, or none of a network of masks; [`Error::Unsupported`] for operators that are not supported;
    /// [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(file: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::load(open(&file.into())?, device)
    }

    pub(super) fn load(graph: Graph, device: &Device) -> Result<Self> {
        match Outputs::of(&graph).kind() {
            Kind::Mask => Ok(Self { net: Net::load(graph, device)? }),
            other => Err(Error::weights(graph.path(), format!("this is {other}, where a network of masks is wanted"))),
        }
    }
}

/// From what a network puts out to shares of 0 to 1: logits by the logistic function, all else stretched to that range, as rembg does.
fn shares(values: &mut [f32]) {
    let (least, most) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)));
    let is_logit = least < -0.5 || most > 1.5;
    let range = (most - least).max(1e-6);
    // A picture with nobody in it is not stretched until somebody is.
    let is_weak = most < 0.1;
    for value in values {
        *value = match (is_logit, is_weak) {
            (true, _) => 1.0 / (1.0 + (-*value).exp()),
            (false, true) => *value,
            (false, false) => (*value - least) / range,
        };
    }
}

impl Segmenter for OnnxMask {
    fn mask(&mut self, frame: &RgbImage, _: &WholeBody) -> Result<GrayImage> {
        let (width, height) = self.net.input_size();
        let patch = Patch::stretch(frame.dimensions(), (width, height));
        let made = self.net.run(patch.samples(frame, &Samples::IMAGENET))?;
        let output = Outputs::of(self.net.graph()).find(|shape| *shape == [1, 1, height, width]).unwrap_or_default();
        let mut values = made.floats(output).to_vec();
        shares(&mut values);
        let (x, y) = (width as f64 / f64::from(frame.width()), height as f64 / f64::from(frame.height()));
        // Between pixel centres; beyond the last of them its value goes on.
        let map = Affine::scale((x, y), (0.5 * x - 0.5, 0.5 * y - 0.5));
        let edges = Edges { values: &values, width, height };
        let seen = warp_plane(&edges.padded(), (width + 2, height + 2), &edges.shifted(map), frame.dimensions(), 0.0);
        let pixels = seen.into_iter().map(|share| if share > 0.5 { 255 } else { 0 }).collect();
        GrayImage::from_raw(frame.width(), frame.height(), pixels).ok_or_else(|| Error::Input("a frame of no size has no mask".into()))
    }
}

/// A plane whose edges are repeated once.
struct Edges<'a> {
    values: &'a [f32],
    width: usize,
    height: usize,
}

impl Edges<'_> {
    fn padded(&self) -> Vec<f32> {
        let at = |x: usize, y: usize| self.values[y.clamp(1, self.height).saturating_sub(1) * self.width + x.clamp(1, self.width) - 1];
        (0..self.height + 2).flat_map(|y| (0..self.width + 2).map(move |x| at(x, y))).collect()
    }

    fn shifted(&self, map: Affine) -> Affine {
        let (x0, y0) = map.apply((0.0, 0.0));
        let (x1, y1) = map.apply((1.0, 1.0));
        Affine::scale((x1 - x0, y1 - y0), (x0 + 1.0, y0 + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_and_shares_are_told_apart() {
        let mut logits = [-4.0, 0.0, 4.0];
        shares(&mut logits);
        assert!((logits[1] - 0.5).abs() < 1e-6 && logits[0] < 0.02 && logits[2] > 0.98);
        let mut faint = [0.2, 0.6, 0.4];
        shares(&mut faint);
        assert!(faint[0] == 0.0 && faint[1] == 1.0 && (faint[2] - 0.5).abs() < 1e-6);
        let mut nobody = [0.0, 0.05, 0.01];
        shares(&mut nobody);
        assert_eq!(nobody, [0.0, 0.05, 0.01]);
    }
}
