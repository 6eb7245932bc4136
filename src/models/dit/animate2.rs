//! Animate-2: the backbone of Wan2.1's I2V, which sees a driving video in self-attention.
//!
//! A [pass over the driving video](Animate2::watch) keeps what each block makes of it. In the steps, tokens of latent frame j see frame j - 1
//! of it; latent frame 0 is the reference's, and sees none.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{Recorder, Sink, Tensor};
use crate::layers::{Loader, Precision};
use crate::models::dit::beside::{Beside, DrivingCache, Keeper, Kept, Seen};
use crate::models::dit::{
    backbone::Dit, block::Block, cache::work::Work, config::Config, embed::Timestep, grid::Grid, hooks::Hooks, positions::Angles,
    prediction::Prediction, session::Session,
};
use crate::weights::Weights;

/// The timestep at which the driving video is looked at.
const WATCHED_AT: f64 = 1.0;

/// The block that the unconditional pass leaves out.
const SKIPPED: usize = 9;

#[derive(Debug)]
pub struct Animate2 {
    dit: Dit,
}

/// A driving video as the blocks see it.
#[derive(Clone, Debug)]
pub struct Driving {
    /// By block, then by latent frame.
    blocks: Vec<Vec<Kept>>,
    /// Tokens of a latent frame.
    frame: usize,
}

/// What is particular to a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// Added to the scores of the tokens of the first generated latent frame; -1.3 for the distilled model as officially released.
    pub log_scale: f32,
    /// Whether it is the pass that guidance leads away from, which leaves out a block.
    pub is_unconditional: bool,
}

/// The pass over the driving video.
struct Watching {
    cache: DrivingCache,
    quantizes: bool,
    angles: Vec<Angles>,
    blocks: Vec<Vec<Kept>>,
}

impl Hooks<Block> for Watching {
    /// One frame later than those that see it, and to the right of them.
    fn places(&self, frames: Range<usize>, [rows, cols]: [usize; 2]) -> [Range<usize>; 3] {
        [frames.start + 1..frames.end + 1, 0..rows, cols..2 * cols]
    }

    fn beside(&mut self, _number: usize) -> Beside {
        let Self { cache, quantizes, .. } = *self;
        Beside::Keep(Keeper { cache, quantizes, angles: std::mem::take(&mut self.angles), frames: Vec::new() })
    }

    fn take_back(&mut self, beside: Beside) {
        if let Beside::Keep(Keeper { angles, frames, .. }) = beside {
            self.angles = angles;
            self.blocks.push(frames);
        }
    }
}

/// A pass of a step.
struct Looking<'a> {
    driving: &'a Driving,
    look: Look,
}

impl Hooks<Block> for Looking<'_> {
    fn skips(&self, number: usize) -> bool {
        self.look.is_unconditional && number == SKIPPED
    }

    fn beside(&mut self, number: usize) -> Beside {
        let Driving { blocks, frame } = self.driving;
        Beside::See(Seen { frames: blocks[number].clone(), frame: *frame, log_scale: self.look.log_scale })
    }
}

impl Driving {
    /// Bytes of it on the host.
    pub fn host_bytes(&self) -> u64 {
        self.blocks.iter().flatten().map(Kept::host_bytes).sum()
    }
}

impl Animate2 {
    /// Reads a `WanAnimate2Transformer3DModel` in the names of diffusers' other transformers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        Ok(Self { dit: Dit::load(loader, config)? })
    }

    /// The same, but the blocks are read when they are needed.
    pub fn open(sink: &dyn Sink, weights: &Arc<Weights>, precision: Precision, config: &Config) -> Result<Self> {
        config.check()?;
        Ok(Self { dit: Dit::open(&Loader::new(sink, weights, precision), weights, config)? })
    }

    /// The backbone, for its sessions and blocks.
    pub fn dit(&self) -> &Dit {
        &self.dit
    }

    /// The prompt that goes with the driving video, as the session's next prompt: see [`Dit::add_prompt`].
    pub fn add_driving_prompt(
        &self,
        rec: &mut Recorder,
        session: &mut Session<Block>,
        text: &Tensor,
        image: Option<&Tensor>,
    ) -> Result<()> {
        self.dit.add_prompt(rec, session, text, image)?;
        if let Some(prompt) = session.prompts.last_mut() {
            prompt.once = true;
        }
        Ok(())
    }

    /// What the blocks make of a driving video, from the model's input [2 C + 4, T, H, W] for it and its prompt of the session; kept in 8 bits
    /// or as it is.
    pub fn watch(
        &self,
        rec: &mut Recorder,
        session: &mut Session<Block>,
        prompt: usize,
        latents: &Tensor,
        quantizes: bool,
    ) -> Result<Driving> {
        let [_, rows, cols] = Grid::of(latents, self.dit.config())?.sizes();
        let mut watching = Watching { cache: session.options.driving, quantizes, angles: Vec::new(), blocks: Vec::new() };
        let mut pass = self.dit.begin(rec, session, prompt, latents, Timestep::Of(WATCHED_AT), &mut watching)?;
        self.dit.layers(rec, session, &mut pass, self.dit.blocks().all(), &mut watching)?;
        Ok(Driving { blocks: watching.blocks, frame: rows * cols })
    }

    /// The predicted velocity [C, T + 1, H, W] for the model's input [2 C + 4, T + 1, H, W] and a prompt of the session.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        session: &mut Session<Block>,
        prompt: usize,
        latents: &Tensor,
        timestep: f64,
        seen: (&Driving, Look),
    ) -> Result<Tensor> {
        self.predict(rec, session, prompt, latents, timestep, Work::default(), seen).map(|prediction| prediction.velocity)
    }

    /// The same, where layers may be reused. Gives also whether all were computed.
    #[allow(clippy::too_many_arguments, reason = "what a pass looks at")]
    pub fn predict(
        &self,
        rec: &mut Recorder,
        session: &mut Session<Block>,
        prompt: usize,
        latents: &Tensor,
        timestep: f64,
        work: Work,
        (driving, look): (&Driving, Look),
    ) -> Result<Prediction> {
        let [frames, rows, cols] = Grid::of(latents, self.dit.config())?.sizes();
        let watched = driving.blocks.first().map_or(0, Vec::len);
        if (watched + 1, driving.frame) != (frames, rows * cols) {
            let own = rows * cols;
            return Err(Error::Input(format!(
                "a driving video of {watched} frames of {} tokens, latents of {frames} of {own}",
                driving.frame
            )));
        }
        self.dit.predict(rec, session, prompt, latents, Timestep::Of(timestep), work, &mut Looking { driving, look })
    }
}
