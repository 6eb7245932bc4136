//! The diffusion transformer of Wan, and the parts that Animate adds to it.
//!
//! [`Dit`] is the backbone that every Wan model shares; [`Animate`](animate::Animate) holds one and adds the pose patches, the
//! motion and face encoders and the face adapter. The backbone's block loop has a seam after each block, which is where the
//! face adapter acts.
//!
//! What is the same for all steps of a segment, the keys and values of cross-attention among it, is computed once: see
//! [`Context`]. [`Footprint`] says what of it is kept, and how long the [runs](runs) of tokens are that are worked on at a time.

pub mod animate;
pub mod block;
pub mod config;
pub mod embed;
pub mod face_adapter;
pub mod face_encoder;
pub mod modulation;
pub mod motion_encoder;
pub mod names;
pub mod positions;
pub mod runs;
pub mod spec;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Sink};
use crate::layers::{Linear, Loader, Precision};
use crate::models::dit::animate::Driving;
use crate::models::dit::block::{Block, CrossKeys};
use crate::models::dit::config::Config;
use crate::models::dit::embed::{ConditionEmbedder, TimeEmbedding};
use crate::models::dit::face_adapter::FaceAdapter;
use crate::models::dit::modulation::modulation;
use crate::models::dit::runs::{MOST_TOKENS, Run};
use crate::ops::copy::{concat, slice};
use crate::ops::layer_norm::{Affine, layer_norm};
use crate::ops::permute::permute;
use crate::residency::Stack;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::weights::Weights;

/// What lies before the first block and after the last is in f32 whatever the precision: it takes next to no time, and its
/// rounding would reach every token.
pub(crate) const ENDS: Precision = Precision::F32;

/// The backbone.
#[derive(Debug)]
pub struct Dit {
    config: Config,
    precision: Precision,
    footprint: Mutex<Footprint>,
    patch_embedding: Linear,
    condition_embedder: ConditionEmbedder,
    blocks: Stack<Layer>,
    /// Shift and scale of the last norm, each `[C]`.
    scale_shift_table: [Tensor; 2],
    proj_out: Linear,
}

/// A block, and the face adapter that acts after it where there is one.
#[derive(Debug)]
pub struct Layer {
    pub(crate) block: Block,
    pub(crate) face_adapter: Option<FaceAdapter>,
}

/// Memory that a pass takes to be faster. The result is the same bits whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Tokens that are worked on at a time, where one latent frame has no more.
    pub tokens: usize,
    /// Whether keys and values of cross-attention are kept from step to step, or computed anew.
    pub keep_keys: bool,
}

impl Default for Footprint {
    fn default() -> Self {
        Self { tokens: MOST_TOKENS, keep_keys: true }
    }
}

/// What the text and the reference image contribute to every step: tokens [L, C], and keys and values for each block as soon as
/// the block has been there once.
#[derive(Clone, Debug)]
pub struct Context {
    text: Tensor,
    image: Option<Tensor>,
    keys: Vec<OnceLock<CrossKeys>>,
}

/// What the model is fed beside latents: how far along they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timestep {
    /// The same for all tokens.
    Of(f64),
    /// This for all tokens but those of the first latent frame, which is finished: theirs is 0.
    AfterFirstFrame(f64),
}

impl Dit {
    /// Reads the backbone's tensors in the names of diffusers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let blocks = Stack::load(loader, config.num_layers, |loader, i| Layer::load(loader, config, i))?;
        Self::with_blocks(loader, config, blocks)
    }

    /// Reads what lies before the first block and after the last; the blocks are read when they are needed.
    pub fn open(sink: &dyn Sink, weights: &Arc<Weights>, precision: Precision, config: &Config) -> Result<Self> {
        let own = config.clone();
        let blocks = Stack::open(weights, precision, config.num_layers, move |loader, i| Layer::load(loader, &own, i));
        Self::with_blocks(&Loader::new(sink, weights, precision), config, blocks)
    }

    pub(super) fn with_blocks(loader: &Loader, config: &Config, blocks: Stack<Layer>) -> Result<Self> {
        let ends = loader.with_precision(ENDS);
        Ok(Self {
            config: config.clone(),
            precision: loader.precision(),
            footprint: Mutex::default(),
            patch_embedding: patch_embedding(&ends, "patch_embedding", config.in_channels()?, config)?,
            condition_embedder: ConditionEmbedder::load(&ends.scope("condition_embedder"), config)?,
            blocks,
            scale_shift_table: embed::table(loader, "scale_shift_table", config.width())?,
            proj_out: Linear::load(&ends, "proj_out", config.width(), config.out_channels()? * config.patch_pixels())?,
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The blocks, to say how many of them stay on the GPU.
    pub fn blocks(&self) -> &Stack<Layer> {
        &self.blocks
    }

    /// What a pass may take.
    pub fn footprint(&self) -> Footprint {
        *self.footprint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on passes take no more than this.
    pub fn set_footprint(&self, footprint: Footprint) {
        *self.footprint.lock().unwrap_or_else(PoisonError::into_inner) = footprint;
    }

    /// What the steps see of a prompt and an image. `text` [L, text_dim] holds the prompt's embeddings, zero rows included;
    /// `image` [L', image_dim] those of CLIP, for models that have an image branch.
    pub fn context(&self, rec: &mut Recorder, text: &Tensor, image: Option<&Tensor>) -> Result<Context> {
        let text = self.condition_embedder.text(rec, text)?;
        let image = image.map(|image| self.condition_embedder.image(rec, image)).transpose()?;
        if self.config.added_kv_proj_dim.is_some() && image.is_none() {
            return Err(Error::Input("this transformer needs the embeddings of a reference image".into()));
        }
        Ok(Context { text, image, keys: vec![OnceLock::new(); self.blocks.len()] })
    }

    /// The predicted velocity of `latents` [C, T, H, W] at `timestep`, [C', T, H, W] in f32. `driving` is for Animate.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        latents: &Tensor,
        timestep: Timestep,
        context: &Context,
        driving: Option<Driving>,
    ) -> Result<Tensor> {
        let grid = Grid::of(latents, &self.config)?;
        let parts = timestep.parts(grid.frames);
        let times = parts.iter().map(|&(_, timestep)| self.condition_embedder.time(rec, timestep)).collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = parts.iter().map(|&(frames, _)| frames).collect();
        let mut runs = self.embed(rec, &grid, latents, &parts, driving)?;
        self.blocks.pass(rec, |rec, i, Layer { block, face_adapter }| {
            let keys = self.cross_keys(rec, block, context, i)?;
            let after = |rec: &mut Recorder, run: &Run, x: Tensor| match (face_adapter, driving) {
                (Some(adapter), Some(driving)) => {
                    let number = i / self.config.inject_face_latents_blocks;
                    let keys = driving.face.keys(rec, number, adapter, run.frames.clone())?;
                    adapter.forward(rec, &x, &keys)
                }
                _ => Ok(x),
            };
            block.forward(rec, &mut runs, &times, &keys, &after, self.precision)
        })?;
        self.head(rec, &runs, &times, &grid)
    }

    fn cross_keys(&self, rec: &mut Recorder, block: &Block, context: &Context, number: usize) -> Result<CrossKeys> {
        let place = &context.keys[number];
        if let Some(keys) = place.get() {
            return Ok(keys.clone());
        }
        let keys = block.cross_keys(rec, &context.text, context.image.as_ref(), self.precision)?;
        match self.footprint().keep_keys {
            true => Ok(place.get_or_init(|| keys).clone()),
            false => Ok(keys),
        }
    }

    /// The tokens of the patches. `parts` are latent frames of one timestep in a row.
    fn embed(&self, rec: &mut Recorder, grid: &Grid, latents: &Tensor, parts: &[usize], driving: Option<Driving>) -> Result<Vec<Run>> {
        let [frames, rows, cols] = grid.sizes();
        let longest = self.config.rope_max_seq_len;
        if let Some(size) = [frames, rows, cols].into_iter().find(|&size| size > longest) {
            return Err(Error::Limits(format!("{size} tokens along one axis; the model has positions for {longest}")));
        }
        let tokens = rows * cols;
        let count = runs::frames_of_a_run(rec.device(), &self.config, tokens, self.precision.operand(), self.footprint().tokens);
        let patches = grid.patches(rec, latents)?;
        let run = |(frames, time): (std::ops::Range<usize>, usize)| {
            let own = slice(rec, &patches, frames.start * tokens, frames.len() * tokens)?;
            let x = match driving {
                Some(driving) => {
                    let pose = driving.pose.tokens(rec, frames.clone())?;
                    self.patch_embedding.forward_residual(rec, &own, None, &pose)?
                }
                None => self.patch_embedding.forward(rec, &own, DType::F32)?,
            };
            let angles = positions::tables(rec, self.config.attention_head_dim, frames.clone(), [rows, cols])?;
            Ok(Run { frames, x, angles, time })
        };
        runs::cut(parts, count).into_iter().map(run).collect()
    }

    fn head(&self, rec: &mut Recorder, runs: &[Run], times: &[TimeEmbedding], grid: &Grid) -> Result<Tensor> {
        let vectors = times.iter().map(|time| modulation(rec, &self.scale_shift_table, [&time.embedding, &time.embedding]));
        let vectors = vectors.collect::<Result<Vec<_>>>()?;
        let project = |run: &Run| {
            let [shift, scale] = &vectors[run.time];
            let x = layer_norm(rec, &run.x, Affine::Modulation(scale, shift), self.config.eps, ENDS.operand())?;
            self.proj_out.forward(rec, &x, DType::F32)
        };
        let projected = runs.iter().map(project).collect::<Result<Vec<_>>>()?;
        let tokens = concat(rec, &projected.iter().collect::<Vec<_>>())?;
        grid.unpatch(rec, &tokens)
    }
}

impl Layer {
    /// Block `i` alone.
    fn load(loader: &Loader, config: &Config, i: usize) -> Result<Self> {
        Ok(Self { block: Block::load(&loader.scope(format_args!("blocks.{i}")), config)?, face_adapter: None })
    }
}

impl Timestep {
    /// Latent frames in a row that share a timestep, of `frames` in all.
    fn parts(self, frames: usize) -> Vec<(usize, f64)> {
        match self {
            Self::Of(timestep) => vec![(frames, timestep)],
            Self::AfterFirstFrame(timestep) if frames > 1 => vec![(1, 0.0), (frames - 1, timestep)],
            Self::AfterFirstFrame(_) => vec![(frames, 0.0)],
        }
    }
}

/// `name.weight` [width, channels, 1, p, q] and `name.bias`, as a linear layer over patches.
pub(crate) fn patch_embedding(loader: &Loader, name: &str, channels: usize, config: &Config) -> Result<Linear> {
    let scope = loader.scope(name);
    let [t, h, w] = config.patch_size;
    let weight = scope.matrix("weight", &[config.width(), channels, t, h, w])?;
    Ok(Linear::new(weight, Some(scope.tensor("bias", &[config.width()])?)))
}

/// Latents as a grid of patches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    frames: usize,
    rows: usize,
    cols: usize,
    patch: [usize; 2],
}

impl Grid {
    pub(crate) fn of(latents: &Tensor, config: &Config) -> Result<Self> {
        let dims = Dims::new().check("latents", latents, &["C", "T", "H", "W"])?;
        let [_, p, q] = config.patch_size;
        let (h, w) = (dims.get("H"), dims.get("W"));
        if h % p != 0 || w % q != 0 {
            return Err(Error::Input(format!("latents of {h}x{w} cannot be cut into patches of {p}x{q}")));
        }
        Ok(Self { frames: dims.get("T"), rows: h / p, cols: w / q, patch: [p, q] })
    }

    /// Tokens along time, height and width.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        [self.frames, self.rows, self.cols]
    }

    /// [C, T, H, W] to tokens [L, C * p * q].
    pub(crate) fn patches(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Tensor> {
        let channels = latents.shape()[0];
        let [p, q] = self.patch;
        let split = latents.reshape(&[channels, self.frames, self.rows, p, self.cols, q]);
        let cols = channels * p * q;
        let tokens = permute(rec, &split, &[1, 2, 4, 0, 3, 5], DType::F32)?;
        Ok(tokens.reshape(&[self.frames * self.rows * self.cols, cols]))
    }

    /// Tokens [L, p * q * C] to [C, T, H, W].
    fn unpatch(&self, rec: &mut Recorder, tokens: &Tensor) -> Result<Tensor> {
        let [p, q] = self.patch;
        let channels = tokens.cols() / (p * q);
        let split = tokens.reshape(&[self.frames, self.rows, self.cols, p, q, channels]);
        let latents = permute(rec, &split, &[5, 0, 1, 3, 2, 4], DType::F32)?;
        Ok(latents.reshape(&[channels, self.frames, self.rows * p, self.cols * q]))
    }
}
