//! Animate: the backbone, plus the pose added to its patches and the face looked at after some of its blocks.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::layers::{Linear, Loader};
use crate::models::dit::config::Config;
use crate::models::dit::face_adapter::{FaceAdapter, FaceKeys, MOTION_PRECISION, load_all};
use crate::models::dit::face_encoder::FaceEncoder;
use crate::models::dit::motion_encoder::MotionEncoder;
use crate::models::dit::{Context, Dit, ENDS, Grid, Timestep, patch_embedding};
use crate::ops::copy::concat;
use crate::shape::Dims;
use crate::tensor::Tensor;

/// See the module.
#[derive(Debug)]
pub struct Animate {
    dit: Dit,
    pose_patch_embedding: Linear,
    motion_encoder: MotionEncoder,
    face_encoder: FaceEncoder,
    face_adapter: Vec<FaceAdapter>,
}

/// What the pose of one segment adds to the patches: [L, C], zero for the reference frame.
#[derive(Clone, Debug)]
pub struct Pose(Tensor);

/// What the faces of one segment offer to each adapter.
#[derive(Clone, Debug)]
pub struct Face(Vec<FaceKeys>);

impl Animate {
    /// Reads a `WanAnimateTransformer3DModel` in the names of diffusers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        Ok(Self {
            dit: Dit::load(loader, config)?,
            pose_patch_embedding: patch_embedding(&loader.with_precision(ENDS), "pose_patch_embedding", config.latent_channels()?, config)?,
            motion_encoder: MotionEncoder::load(&loader.scope("motion_encoder").with_precision(MOTION_PRECISION), config)?,
            face_encoder: FaceEncoder::load(&loader.scope("face_encoder").with_precision(MOTION_PRECISION), config)?,
            face_adapter: load_all(&loader.scope("face_adapter"), config)?,
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        self.dit.config()
    }

    /// See [`Dit::context`].
    pub fn context(&self, rec: &mut Recorder, text: &Tensor, image: Option<&Tensor>) -> Result<Context> {
        self.dit.context(rec, text, image)
    }

    /// The pose of a segment from the latents [C, T, H, W] of its pose video.
    pub fn pose(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Pose> {
        let grid = Grid::of(latents, self.config())?;
        let patches = grid.patches(rec, latents)?;
        let tokens = self.pose_patch_embedding.forward(rec, &patches, DType::F32)?;
        let [_, rows, cols] = grid.sizes();
        let zeros = rec.zeros(&[rows * cols, tokens.cols()])?;
        Ok(Pose(concat(rec, &[&zeros, &tokens])?))
    }

    /// Motion vectors [F, motion_encoder_dim] of face frames [F, S, S, 3] in [-1, 1]. Each frame's is independent of the others.
    pub fn motion(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        self.motion_encoder.forward(rec, frames)
    }

    /// The faces of a segment from its motion vectors [F, motion_encoder_dim], F = 4 (T - 1) + 1 for T latent frames. The
    /// reference frame in front gets tokens of zero.
    pub fn face(&self, rec: &mut Recorder, motion: &Tensor) -> Result<Face> {
        let tokens = self.face_encoder.forward(rec, motion)?;
        self.face_keys(rec, &tokens)
    }

    /// The same from the face encoder's tokens [T, tokens, C].
    pub fn face_keys(&self, rec: &mut Recorder, tokens: &Tensor) -> Result<Face> {
        let dims = Dims::new().check("face tokens", tokens, &["T", "tokens", "C"])?;
        let (frames, count, width) = (dims.get("T"), dims.get("tokens"), dims.get("C"));
        let zeros = rec.zeros(&[1, count, width])?;
        let tokens = concat(rec, &[&zeros, tokens])?.reshape(&[(frames + 1) * count, width]);
        let keys = self.face_adapter.iter().map(|adapter| adapter.keys(rec, &tokens, frames + 1)).collect::<Result<_>>()?;
        Ok(Face(keys))
    }

    /// The predicted velocity [C, T + 1, H, W] for the model's input [2 C + 4, T + 1, H, W].
    pub fn forward(
        &self,
        rec: &mut Recorder,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        pose: &Pose,
        face: &Face,
    ) -> Result<Tensor> {
        let every = self.config().inject_face_latents_blocks;
        let [_, frames, rows, cols] = latents.shape() else {
            return Err(Error::Input(format!("latents: shape {:?}, expected [C, T, H, W]", latents.shape())));
        };
        let tokens = frames * rows * cols / self.config().patch_pixels();
        if pose.0.rows() != tokens {
            return Err(Error::Input(format!("the pose has {} tokens, the latents {tokens}", pose.0.rows())));
        }
        self.dit.forward(rec, latents, Timestep::Of(timestep), context, Some(&pose.0), &mut |rec, i, x| match i % every {
            0 => self.face_adapter[i / every].forward(rec, &x, &face.0[i / every]),
            _ => Ok(x),
        })
    }
}
