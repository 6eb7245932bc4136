//! Finding the points of a person.

use image::{GrayImage, RgbImage};

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::heatmap::decode_heatmaps;
use crate::networks::kind::{Kind, Outputs};
use crate::networks::net::{Net, open};
use crate::networks::patch::{Affine, Patch, Samples};
use crate::onnx::Graph;
use crate::preprocess::{Keypoint, NUM_KEYPOINTS, PersonBox, WholeBody};

/// Room around a person.
const PADDING: f64 = 1.25;

/// A person in a picture, found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pose {
    /// Its points, in pixels of the picture.
    pub points: WholeBody,
    /// Where it is in the picture, white, where the network tells.
    pub mask: Option<GrayImage>,
}

impl Pose {
    /// Points without a mask.
    pub fn new(points: WholeBody) -> Self {
        Self { points, mask: None }
    }
}

/// Finds the points of a person. An application may bring its own.
pub trait PoseEstimator: wgpu::WasmNotSend {
    /// The points of the person within these bounds. Frames of a video come in their order, so that one may help with the next.
    ///
    /// # Errors
    /// Those of the estimator.
    fn pose(&mut self, frame: &RgbImage, person: &PersonBox) -> Result<Pose>;

    /// The next picture has nothing to do with those before, or the person is looked for anew. Does nothing by default.
    fn restart(&mut self) {}
}

/// In which order a pose network is given the channels of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// As the reference does: BGR for heatmaps, which Wan2.2's own preprocessing uses so, and RGB for SimCC, which is trained with it.
    #[default]
    Reference,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// A pose network from an ONNX file: heatmaps (ViTPose) or SimCC (DWPose, RTMW), of 133 points.
#[derive(Debug)]
pub struct OnnxPose {
    net: Net,
    is_simcc: bool,
    order: ChannelOrder,
}

impl OnnxPose {
    /// Opens a file, or a folder with one.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no ONNX file, or none of a network of 133 points; [`Error::Unsupported`] for operators that are not
    /// supported; [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(file: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::load(open(&file.into())?, device)
    }

    pub(super) fn load(graph: Graph, device: &Device) -> Result<Self> {
        match Outputs::of(&graph).kind() {
            kind @ (Kind::Heatmaps | Kind::SimCc) => {
                let is_simcc = kind == Kind::SimCc;
                Ok(Self { net: Net::load(graph, device)?, is_simcc, order: ChannelOrder::default() })
            }
            other => Err(Error::weights(graph.path(), format!("this is {other}, where a network of {NUM_KEYPOINTS} key points is wanted"))),
        }
    }

    /// In which order it is given the channels. Default: [`ChannelOrder::Reference`].
    pub fn channel_order(mut self, order: ChannelOrder) -> Self {
        self.order = order;
        self
    }

    fn samples(&self) -> Samples {
        let bgr = match self.order {
            ChannelOrder::Reference => !self.is_simcc,
            ChannelOrder::Rgb => false,
            ChannelOrder::Bgr => true,
        };
        Samples { bgr, ..Samples::IMAGENET }
    }

    /// Heatmaps of a window of whole pixels, as Wan2.2's own preprocessing cuts it.
    fn by_heatmaps(&mut self, frame: &RgbImage, Frame { centre, size }: &Frame) -> Result<WholeBody> {
        let (width, height) = self.net.input_size();
        let [[left, right], [top, bottom]] =
            [(centre.0, size.0, width), (centre.1, size.1, height)].map(|axis| edges(axis.0, axis.1, axis.2));
        let patch = Patch::window([left, top, right, bottom], (width, height));
        let made = self.net.run(patch.samples(frame, &self.samples()))?;
        let output = Outputs::of(self.net.graph()).find(|shape| shape.len() == 4 && shape[1] == NUM_KEYPOINTS).unwrap_or_default();
        let (height, width) = (made.shape(output)[2], made.shape(output)[3]);
        let points = decode_heatmaps(made.floats(output), (width, height));
        let place = |at: Keypoint| Keypoint {
            x: at.x * size.0 / width as f64 + centre.0 - size.0 / 2.0,
            y: at.y * size.1 / height as f64 + centre.1 - size.1 / 2.0,
            score: at.score,
        };
        WholeBody::new(&points.into_iter().map(place).collect::<Vec<_>>())
    }

    /// Two rows for each point, of half pixels along each axis.
    fn by_simcc(&mut self, frame: &RgbImage, Frame { centre, size }: &Frame) -> Result<WholeBody> {
        let (width, height) = self.net.input_size();
        let scale = (size.0 / width as f64, size.1 / height as f64);
        let map = Affine::scale(scale, (centre.0 - size.0 / 2.0, centre.1 - size.1 / 2.0));
        let patch = Patch::warp(map, (width, height));
        let made = self.net.run(patch.samples(frame, &self.samples()))?;
        let outputs = Outputs::of(self.net.graph());
        let rows = |side: usize| outputs.find(|shape| *shape == [1, NUM_KEYPOINTS, 2 * side]).unwrap_or_default();
        let best = |output: usize, side: usize| made.floats(output).chunks_exact(2 * side).map(highest).collect::<Vec<_>>();
        // Of square inputs the first is that of x.
        let (x, y) = (rows(width), if width == height { 1 } else { rows(height) });
        let pairs = best(x, width).into_iter().zip(best(y, height));
        let point = |((x, score_x), (y, score_y)): ((usize, f32), (usize, f32))| {
            let (x, y) = patch.back.apply((x as f64 / 2.0, y as f64 / 2.0));
            Keypoint { x, y, score: score_x.min(score_y).max(0.0).into() }
        };
        WholeBody::new(&pairs.map(point).collect::<Vec<_>>())
    }
}

/// What a network is shown around a person.
struct Frame {
    centre: (f64, f64),
    size: (f64, f64),
}

impl Frame {
    /// With room around it, in the aspect of an input.
    fn around(person: &PersonBox, (width, height): (usize, usize)) -> Self {
        let aspect = height as f64 / width as f64;
        // In units of 200 pixels, as the reference does, whose rounding decides which whole pixels a window has.
        let size = (person.width() * aspect).max(person.height()).max(1.0) / 200.0 * PADDING * 200.0;
        let centre = ((person.x1 + person.x2) / 2.0, (person.y1 + person.y2) / 2.0);
        Self { centre, size: (size / aspect, size) }
    }
}

/// The whole pixels that a window begins and ends at, by the steps of the reference: which way halves go depends on them.
fn edges(centre: f64, side: f64, pixels: usize) -> [i64; 2] {
    let (scale, shift) = (pixels as f64 / side, pixels as f64 * (-centre / side + 0.5));
    let begin = -shift * (1.0 / scale);
    [begin, pixels as f64 * (1.0 / scale) + begin].map(|edge| edge.round_ties_even() as i64)
}

/// The place of the first of the largest numbers, and it.
fn highest(values: &[f32]) -> (usize, f32) {
    values.iter().copied().enumerate().fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
}

impl PoseEstimator for OnnxPose {
    fn pose(&mut self, frame: &RgbImage, person: &PersonBox) -> Result<Pose> {
        let shown = Frame::around(person, self.net.input_size());
        let points = if self.is_simcc { self.by_simcc(frame, &shown) } else { self.by_heatmaps(frame, &shown) }?;
        Ok(Pose::new(points))
    }
}
