//! Animate: the backbone, plus the pose added to its patches and the face looked at after some of its blocks.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Sink, Tensor};
use crate::layers::{Linear, Loader, Precision};
use crate::models::dit::backbone::{Dit, ENDS, patch_embedding};
use crate::models::dit::face_adapter::{self, Face, FaceAdapter, MOTION_PRECISION};
use crate::models::dit::{
    block::Block, cache::work::Work, config::Config, embed::Timestep, face_encoder::FaceEncoder, grid::Grid, hooks::Hooks, hooks::Layer,
    motion_encoder::MotionEncoder, prediction::Prediction, session::Session,
};
use crate::ops::{copy::concat, copy::slice};
use crate::shape::Dims;
use crate::weights::Weights;

#[derive(Debug)]
pub struct Animate {
    dit: Dit<FaceBlock>,
    pose_patch_embedding: Linear,
    motion_encoder: MotionEncoder,
    face_encoder: FaceEncoder,
}

/// A block, and the face adapter that acts after it where there is one, with its number.
#[derive(Debug)]
pub struct FaceBlock {
    block: Block,
    face_adapter: Option<(usize, FaceAdapter)>,
}

impl Layer for FaceBlock {
    fn load(loader: &Loader, config: &Config, i: usize) -> Result<Self> {
        let every = config.inject_face_latents_blocks;
        let adapter = |number: usize| Ok((number, FaceAdapter::load(&loader.scope("face_adapter").scope(number), config)?));
        Ok(Self { block: Layer::load(loader, config, i)?, face_adapter: i.is_multiple_of(every).then(|| adapter(i / every)).transpose()? })
    }

    fn block(&self) -> &Block {
        &self.block
    }
}

/// What the pose of one segment adds to the patches: tokens that are made of it run by run, zero for the reference frame.
#[derive(Clone, Debug)]
pub struct Pose {
    embedding: Linear,
    /// [L - F, C * p * q]
    patches: Tensor,
    /// F, the tokens of a latent frame.
    frame: usize,
}

/// What Animate's backbone looks at beside the prompt.
#[derive(Debug)]
pub struct Driving<'a> {
    pub pose: &'a Pose,
    pub face: &'a mut Face,
}

impl Hooks<FaceBlock> for Driving<'_> {
    fn before_blocks(&mut self, rec: &mut Recorder, frames: Range<usize>) -> Result<Option<Tensor>> {
        self.pose.tokens(rec, frames).map(Some)
    }

    fn after_block(&mut self, rec: &mut Recorder, layer: &FaceBlock, frames: Range<usize>, x: Tensor) -> Result<Tensor> {
        let Some((number, adapter)) = &layer.face_adapter else { return Ok(x) };
        let keys = self.face.keys(rec, *number, adapter, frames)?;
        adapter.forward(rec, &x, &keys)
    }
}

impl Pose {
    /// That of some latent frames, not counting the reference.
    pub fn of(&self, rec: &mut Recorder, frames: &Range<usize>) -> Result<Self> {
        let patches = slice(rec, &self.patches, frames.start * self.frame, frames.len() * self.frame)?;
        Ok(Self { embedding: self.embedding.clone(), patches, frame: self.frame })
    }

    /// [L, C] for the tokens of these latent frames, of which 0 is the reference.
    fn tokens(&self, rec: &mut Recorder, frames: Range<usize>) -> Result<Tensor> {
        let first = frames.start.max(1);
        if frames.end <= first {
            return rec.zeros(&[frames.len() * self.frame, self.embedding.outputs()]);
        }
        let patches = slice(rec, &self.patches, (first - 1) * self.frame, (frames.end - first) * self.frame)?;
        let tokens = self.embedding.forward(rec, &patches, DType::F32)?;
        if frames.start > 0 {
            return Ok(tokens);
        }
        let zeros = rec.zeros(&[self.frame, tokens.cols()])?;
        concat(rec, &[&zeros, &tokens])
    }

    /// Latent frames, the reference's included.
    fn frames(&self) -> usize {
        1 + self.patches.rows() / self.frame
    }
}

impl Animate {
    /// Reads a `WanAnimateTransformer3DModel` in the names of diffusers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        Self::with_backbone(loader, config, Dit::load)
    }

    /// The same, but the blocks are read when they are needed.
    pub fn open(sink: &dyn Sink, weights: &Arc<Weights>, precision: Precision, config: &Config) -> Result<Self> {
        let loader = Loader::new(sink, weights, precision);
        Self::with_backbone(&loader, config, |loader, config| Dit::open(loader, weights, config))
    }

    fn with_backbone(loader: &Loader, config: &Config, load: impl FnOnce(&Loader, &Config) -> Result<Dit<FaceBlock>>) -> Result<Self> {
        config.check()?;
        face_adapter::check(config)?;
        Ok(Self {
            dit: load(loader, config)?,
            pose_patch_embedding: patch_embedding(&loader.with_precision(ENDS), "pose_patch_embedding", config.latent_channels()?, config)?,
            motion_encoder: MotionEncoder::load(&loader.scope("motion_encoder").with_precision(MOTION_PRECISION), config)?,
            face_encoder: FaceEncoder::load(&loader.scope("face_encoder").with_precision(MOTION_PRECISION), config)?,
        })
    }

    /// The backbone, for its sessions and blocks.
    pub fn dit(&self) -> &Dit<FaceBlock> {
        &self.dit
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        self.dit.config()
    }

    /// The pose of a segment from the latents [C, T, H, W] of its pose video.
    pub fn pose(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Pose> {
        let grid = Grid::of(latents, self.config())?;
        let [_, rows, cols] = grid.sizes();
        Ok(Pose { embedding: self.pose_patch_embedding.clone(), patches: grid.patches(rec, latents)?, frame: rows * cols })
    }

    /// Motion vectors [F, motion_encoder_dim] of face frames [F, S, S, 3] in [-1, 1]. Each frame's is independent of the others.
    pub fn motion(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        self.motion_encoder.forward(rec, frames)
    }

    /// The tokens [T, tokens, C] of a segment's faces from its motion vectors [F, motion_encoder_dim], F = 4 (T - 1) + 1 for T latent frames.
    pub fn face_tokens(&self, rec: &mut Recorder, motion: &Tensor) -> Result<Tensor> {
        self.face_encoder.forward(rec, motion)
    }

    /// Faces from their tokens. The reference frame in front gets tokens of zero.
    pub fn face_keys(&self, rec: &mut Recorder, tokens: &Tensor) -> Result<Face> {
        let dims = Dims::new().check("face tokens", tokens, &["T", "tokens", "C"])?;
        let (frames, count, width) = (dims.get("T"), dims.get("tokens"), dims.get("C"));
        let zeros = rec.zeros(&[1, count, width])?;
        let tokens = concat(rec, &[&zeros, tokens])?.reshape(&[(frames + 1) * count, width]);
        Ok(Face::new(frames + 1, tokens, self.config().num_layers / self.config().inject_face_latents_blocks))
    }

    /// The predicted velocity [C, T + 1, H, W] for the model's input [2 C + 4, T + 1, H, W] and a prompt of the session.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        session: &mut Session<FaceBlock>,
        prompt: usize,
        latents: &Tensor,
        timestep: f64,
        driving: Driving,
    ) -> Result<Tensor> {
        self.predict(rec, session, prompt, latents, timestep, Work::default(), driving).map(|prediction| prediction.velocity)
    }

    /// The same, where layers may be reused.
    #[allow(clippy::too_many_arguments, reason = "what a pass looks at")]
    pub fn predict(
        &self,
        rec: &mut Recorder,
        session: &mut Session<FaceBlock>,
        prompt: usize,
        latents: &Tensor,
        timestep: f64,
        work: Work,
        mut driving: Driving,
    ) -> Result<Prediction> {
        let [_, rows, cols] = Grid::of(latents, self.config())?.sizes();
        let frames = latents.shape()[1];
        let Driving { pose, face } = &driving;
        if (pose.frames(), pose.frame) != (frames, rows * cols) {
            return Err(Error::Input(format!(
                "a pose of {} frames of {} tokens, latents of {frames} of {}",
                pose.frames(),
                pose.frame,
                rows * cols
            )));
        }
        if face.frames() != frames {
            return Err(Error::Input(format!("faces of {} frames, latents of {frames}", face.frames())));
        }
        self.dit.predict(rec, session, prompt, latents, Timestep::Of(timestep), work, &mut driving)
    }
}
