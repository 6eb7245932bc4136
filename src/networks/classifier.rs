//! Telling what a picture shows that not everybody should see.

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::kind::{Kind, Outputs};
use crate::networks::net::{Net, open};
use crate::networks::patch::Samples;
use crate::onnx::Graph;
use crate::video::{resize::Filter, resize::resize};

/// The classes of a [`Classifier`]'s network: harmless, and not safe for work.
const CLASSES: usize = 2;

/// What a classifier is shown of a picture, and how its answer is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierRecipe {
    /// Pixels on a side that the picture is stretched to before its middle, of the size of the network's input, is cut out; none where it is
    /// stretched to just that.
    pub stretched_to: Option<u32>,
    /// Whether blue comes first.
    pub bgr: bool,
    /// What is taken off samples of 0 to 255, channel by channel in the order that the network takes them.
    pub mean: [f32; 3],
    /// What they are divided by then.
    pub deviation: [f32; 3],
    /// Which of the two classes is that which is not safe for work, 0 or 1.
    pub unsafe_class: usize,
}

impl ClassifierRecipe {
    /// Yahoo's open_nsfw, [1, 224, 224, 3]: 256 pixels, of which the middle is shown, blue first, less Caffe's means. Its own code also
    /// compresses the picture as JPEG and reads it back, which is left out here.
    pub const OPEN_NSFW: Self =
        Self { stretched_to: Some(256), bgr: true, mean: [104.0, 117.0, 123.0], deviation: [1.0; 3], unsafe_class: 1 };
    /// Classifiers by vision transformers, [1, 3, H, W], such as `Falconsai/nsfw_image_detection`: samples from -1 to 1.
    pub const VIT: Self = Self { stretched_to: None, bgr: false, mean: [127.5; 3], deviation: [127.5; 3], unsafe_class: 1 };
}

/// Tells how surely a picture is not safe for work. An application may bring its own.
pub trait Classifier: wgpu::WasmNotSend {
    /// From 0, harmless, to 1.
    ///
    /// # Errors
    /// Those of the classifier.
    fn score(&mut self, picture: &RgbImage) -> Result<f32>;
}

/// A classifier of two classes from an ONNX file.
#[derive(Debug)]
pub struct OnnxClassifier {
    net: Net,
    recipe: ClassifierRecipe,
    channels_last: bool,
}

impl OnnxClassifier {
    /// Opens a file, or a folder with one. Whether it is shown pictures by [`ClassifierRecipe::OPEN_NSFW`] or [`ClassifierRecipe::VIT`] is told
    /// from its input: channels last, or first.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no ONNX file, or none of a network of two classes; [`Error::Unsupported`] for operators that are not
    /// supported; [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(file: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::load(open(&file.into())?, device)
    }

    fn load(graph: Graph, device: &Device) -> Result<Self> {
        match Outputs::of(&graph).kind() {
            Kind::Classes(CLASSES) => {}
            other => {
                let message = format!("this is {other}, where one of two classes is wanted: harmless, and not safe for work");
                return Err(Error::weights(graph.path(), message));
            }
        }
        let channels_last = matches!(graph.inputs()[0].shape.as_deref(), Some([_, _, _, 3]));
        let recipe = if channels_last { ClassifierRecipe::OPEN_NSFW } else { ClassifierRecipe::VIT };
        Ok(Self { net: Net::load(graph, device)?, recipe, channels_last })
    }

    /// How it is shown pictures, in place of what its input tells.
    ///
    /// # Errors
    /// [`Error::Input`] for a class that is neither 0 nor 1, deviations of 0, and a size to stretch to that is smaller than the network's input.
    pub fn recipe(mut self, recipe: ClassifierRecipe) -> Result<Self> {
        let (width, height) = self.net.input_size();
        let is_smaller = recipe.stretched_to.is_some_and(|side| (side as usize) < width.max(height));
        let is_finite = recipe.mean.iter().chain(&recipe.deviation).all(|value| value.is_finite());
        if recipe.unsafe_class >= CLASSES || recipe.deviation.contains(&0.0) || !is_finite || is_smaller {
            return Err(Error::Input(format!(
                "{recipe:?}: the class must be 0 or 1, means and deviations finite, these not 0, and pictures at least as large as the input, \
                 {width}x{height}"
            )));
        }
        self.recipe = recipe;
        Ok(self)
    }

    /// The samples that it is shown.
    fn samples(&self, picture: &RgbImage) -> Result<Vec<f32>> {
        let (width, height) = self.net.input_size();
        let (width, height) = (width as u32, height as u32);
        let (x, y) = self.recipe.stretched_to.map_or((width, height), |side| (side, side));
        let stretched = resize(picture, x, y, Filter::Bilinear)?;
        let middle = image::imageops::crop_imm(&stretched, (x - width) / 2, (y - height) / 2, width, height).to_image();
        let ClassifierRecipe { bgr, mean, deviation, .. } = self.recipe;
        Ok(Samples { channels_last: self.channels_last, bgr, mean, deviation }.of(&middle))
    }
}

impl Classifier for OnnxClassifier {
    fn score(&mut self, picture: &RgbImage) -> Result<f32> {
        let samples = self.samples(picture)?;
        let made = self.net.run(samples)?;
        match *made.floats(0) {
            [a, b] => Ok(shares([a, b])[self.recipe.unsafe_class]),
            _ => Err(Error::weights(self.net.path(), format!("it gives {} numbers, where 2 are wanted", made.floats(0).len()))),
        }
    }
}

/// Shares of 1: as they are, or of logits.
fn shares(values: [f32; 2]) -> [f32; 2] {
    let are_shares = values.iter().all(|value| (0.0..=1.0).contains(value)) && (values[0] + values[1] - 1.0).abs() < 1e-3;
    if are_shares {
        return values;
    }
    let [a, b] = values;
    let share = 1.0 / (1.0 + (b - a).exp());
    [share, 1.0 - share]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_and_shares_are_told_apart() {
        assert_eq!(shares([0.25, 0.75]), [0.25, 0.75]);
        let [a, b] = shares([2.0, 5.0]);
        assert!((b - 0.952_574_1).abs() < 1e-6 && (a + b - 1.0).abs() < 1e-6);
        assert_eq!(shares([-90.0, 90.0]), [0.0, 1.0]);
    }
}
