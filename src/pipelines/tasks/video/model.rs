//! What kind of model a checkpoint holds, what it takes, and its official defaults.

use crate::cache::tables::Kin;
use crate::error::{Error, Result};
use crate::pipelines::checkpoint::{expert::Expert, open::Checkpoint, rules::Rules};

/// What a checkpoint can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    pub start: Start,
    pub two_experts: bool,
    /// Whether CLIP sees the images, and if so whether a first and a last one.
    pub clip: Option<Clip>,
}

/// How a model is told what the video begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not at all: from text.
    Text,
    /// By channels beside the latents.
    Channels,
    /// By a first latent frame that is finished, each token having a timestep of its own; or not at all.
    FirstFrame,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clip {
    FirstImage,
    BothImages,
}

/// What is taken where a request says nothing: the settings of the official release.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    pub size: (u32, u32),
    pub num_frames: usize,
    pub steps: usize,
    /// Of the high-noise and of the low-noise expert.
    pub guidance: (f64, f64),
    /// What stands before the negative prompt that all have.
    pub flaws: &'static str,
}

/// Channels of the tokens of the model of 1.3 billion weights.
const SMALL_WIDTH: usize = 1536;

/// The official command line has another shift for Wan2.1's I2V up to this size.
const SMALL: (usize, f64) = (832 * 480, 3.0);

impl Model {
    /// Looks at the configurations, which must agree with each other.
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self> {
        let (high, vae) = (&checkpoint.transformer.1, &checkpoint.files.vae.1);
        let low = checkpoint.low.as_ref().map(|((_, config), _)| config);
        let (z, inputs) = (vae.z_dim, high.in_channels()?);
        let start = match checkpoint.expand_timesteps {
            Some(true) if inputs == z => Start::FirstFrame,
            Some(false) | None if inputs == z => Start::Text,
            Some(false) | None if inputs == 2 * z + 4 => Start::Channels,
            _ => return Err(checkpoint.error(format!("the VAE has {z} latent channels, the transformer takes {inputs}"))),
        };
        for dit in std::iter::once(high).chain(low) {
            dit.check()?;
            let (images, texts) = (dit.image_dim == high.image_dim, dit.text_len == high.text_len);
            if dit.out_channels()? != z || dit.in_channels()? != inputs || !images || !texts {
                return Err(checkpoint.error("VAE and transformers disagree on channels, on the image branch or on `text_len`"));
            }
            if dit.patch_size != [1, 2, 2] {
                return Err(Error::Unsupported(format!("transformer config: `patch_size` {:?}; it must be [1, 2, 2]", dit.patch_size)));
            }
        }
        if vae.frames_per_latent() != 4 {
            return Err(Error::Unsupported(format!("a VAE of {} frames to a latent frame; it must be 4", vae.frames_per_latent())));
        }
        let clip = |_| if high.pos_embed_seq_len.is_some() { Clip::BothImages } else { Clip::FirstImage };
        Ok(Self { start, two_experts: low.is_some(), clip: high.image_dim.map(clip) })
    }

    /// Whether the model can do with these images, and without others.
    pub fn check_images(self, first: bool, last: bool, frames: usize) -> Result<()> {
        let message = match (self.start, self.clip) {
            (Start::Text, _) if first => "this checkpoint makes videos from text alone; for an image take an I2V or TI2V checkpoint",
            (Start::Channels, _) if !first => {
                "this checkpoint needs the image that the video begins with: `image_to_video` (example `i2v`)"
            }
            (Start::Text | Start::FirstFrame, _) if last => "this checkpoint cannot use a last image; take an I2V checkpoint",
            (_, Some(Clip::FirstImage)) if last => "this checkpoint's CLIP branch takes one image; for a last one take an FLF2V checkpoint",
            (_, Some(Clip::BothImages)) if !last => "this checkpoint needs a last image beside the first: `last_image`",
            _ if last && frames < 2 => "a first and a last image in a video of one frame",
            _ => return Ok(()),
        };
        Err(Error::Input(message.into()))
    }

    /// See [`Defaults`].
    pub fn defaults(self) -> Defaults {
        let guidance = match (self.two_experts, self.start) {
            (true, Start::Text) => (4.0, 3.0),
            (true, _) => (3.5, 3.5),
            (false, _) => (5.0, 5.0),
        };
        let steps = if self.two_experts || self.clip == Some(Clip::FirstImage) { 40 } else { 50 };
        let flaws = match self.clip {
            None => "",
            Some(Clip::FirstImage) => "镜头晃动，",
            Some(Clip::BothImages) => "镜头切换，镜头晃动，",
        };
        match self.start {
            Start::FirstFrame => Defaults { size: (1280, 704), num_frames: 121, steps, guidance, flaws },
            Start::Text | Start::Channels => Defaults { size: (832, 480), num_frames: 81, steps, guidance, flaws },
        }
    }

    /// Whose like a transformer is, of two experts one of them.
    pub fn kin(self, width: usize, pixels: usize, expert: Expert) -> Kin {
        let low = expert == Expert::LowNoise;
        match (self.start, self.two_experts) {
            (Start::FirstFrame, _) => Kin::Ti2v5b,
            (Start::Text, true) => Kin::T2vA14b { low },
            (Start::Channels, true) => Kin::I2vA14b { low },
            (Start::Text, false) if width <= SMALL_WIDTH => Kin::T2v1_3b,
            (Start::Text, false) => Kin::T2v14b,
            (Start::Channels, false) => Kin::i2v(pixels),
        }
    }

    /// The shift at a size of so many pixels, where it is another than the checkpoint's.
    pub fn shift(self, rules: Rules, pixels: usize) -> Option<f64> {
        let (most, shift) = SMALL;
        (rules == Rules::Official && self.clip == Some(Clip::FirstImage) && pixels <= most).then_some(shift)
    }
}
