//! The diffusion transformer of Wan, and the parts that Animate adds to it.
//!
//! [`Dit`] is the backbone that every Wan model shares; [`Animate`](animate::Animate) holds one and adds the pose patches, the
//! motion and face encoders and the face adapter. The backbone's block loop has a seam after each block, which is where the
//! face adapter acts.
//!
//! What is the same for all steps of a segment, the keys and values of cross-attention among it, is computed once: see
//! [`Context`].

pub mod animate;
pub mod block;
pub mod config;
pub mod embed;
pub mod face_adapter;
pub mod face_encoder;
pub mod modulation;
pub mod motion_encoder;
pub mod positions;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::layers::{Linear, Loader, Precision};
use crate::models::dit::block::{Block, CrossKeys};
use crate::models::dit::config::Config;
use crate::models::dit::embed::{ConditionEmbedder, TimeEmbedding};
use crate::models::dit::modulation::Modulation;
use crate::ops::permute::permute;
use crate::shape::Dims;
use crate::tensor::Tensor;

/// What lies before the first block and after the last is in f32 whatever the precision: it takes next to no time, and its
/// rounding would reach every token.
pub(crate) const ENDS: Precision = Precision::F32;

/// The backbone.
#[derive(Debug)]
pub struct Dit {
    config: Config,
    precision: Precision,
    patch_embedding: Linear,
    condition_embedder: ConditionEmbedder,
    blocks: Vec<Block>,
    /// Shift and scale of the last norm, each `[C]`.
    scale_shift_table: [Tensor; 2],
    proj_out: Linear,
}

/// What the text and the reference image contribute to every step: keys and values for each block.
#[derive(Clone, Debug)]
pub struct Context {
    keys: Vec<CrossKeys>,
}

/// What the model is fed beside latents: how far along they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timestep {
    /// The same for all tokens.
    Of(f64),
    /// This for all tokens but those of the first latent frame, which is finished: theirs is 0.
    AfterFirstFrame(f64),
}

/// What happens to the tokens [L, C] after the block of that number.
pub type AfterBlock<'a> = dyn FnMut(&mut Recorder, usize, Tensor) -> Result<Tensor> + 'a;

impl Dit {
    /// Reads the backbone's tensors in the names of diffusers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let width = config.width();
        let ends = loader.with_precision(ENDS);
        let blocks =
            (0..config.num_layers).map(|i| Block::load(&loader.scope(format_args!("blocks.{i}")), config)).collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            precision: loader.precision(),
            patch_embedding: patch_embedding(&ends, "patch_embedding", config.in_channels()?, config)?,
            condition_embedder: ConditionEmbedder::load(&ends.scope("condition_embedder"), config)?,
            blocks,
            scale_shift_table: embed::table(loader, "scale_shift_table", width)?,
            proj_out: Linear::load(&ends, "proj_out", width, config.out_channels()? * config.patch_pixels())?,
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The keys and values of every block. `text` [L, text_dim] holds the prompt's embeddings, zero rows up to 512 included;
    /// `image` [L', image_dim] those of CLIP, for models that have an image branch.
    pub fn context(&self, rec: &mut Recorder, text: &Tensor, image: Option<&Tensor>) -> Result<Context> {
        let text = self.condition_embedder.text(rec, text)?;
        let image = image.map(|image| self.condition_embedder.image(rec, image)).transpose()?;
        let keys = self.blocks.iter().map(|block| block.cross_keys(rec, &text, image.as_ref(), self.precision)).collect::<Result<_>>()?;
        Ok(Context { keys })
    }

    /// The predicted velocity of `latents` [C, T, H, W] at `timestep`, [C', T, H, W] in f32.
    ///
    /// `bias` [L, width] is added to the patch tokens; `after_block` may change the tokens after each block.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        latents: &Tensor,
        timestep: Timestep,
        context: &Context,
        bias: Option<&Tensor>,
        after_block: &mut AfterBlock,
    ) -> Result<Tensor> {
        let grid = Grid::of(latents, &self.config)?;
        let time = self.time(rec, timestep, &grid)?;
        let angles = positions::tables(rec, self.config.attention_head_dim, grid.sizes(), self.config.rope_max_seq_len)?;
        let patches = grid.patches(rec, latents)?;
        let mut x = match bias {
            Some(bias) => self.patch_embedding.forward_residual(rec, &patches, None, bias)?,
            None => self.patch_embedding.forward(rec, &patches, DType::F32)?,
        };
        for (i, (block, keys)) in self.blocks.iter().zip(&context.keys).enumerate() {
            x = block.forward(rec, &x, &time, &angles, keys, self.precision)?;
            x = after_block(rec, i, x)?;
        }
        self.head(rec, &x, &time, &grid)
    }

    /// By run of tokens, in their order.
    fn time(&self, rec: &mut Recorder, timestep: Timestep, grid: &Grid) -> Result<Vec<TimeEmbedding>> {
        let [frames, rows, cols] = grid.sizes();
        let runs = match timestep {
            Timestep::Of(timestep) => vec![(frames, timestep)],
            Timestep::AfterFirstFrame(timestep) => vec![(1, 0.0), (frames - 1, timestep)],
        };
        let runs = runs.into_iter().filter(|&(frames, _)| frames > 0);
        runs.map(|(frames, timestep)| self.condition_embedder.time(rec, frames * rows * cols, timestep)).collect()
    }

    fn head(&self, rec: &mut Recorder, x: &Tensor, time: &[TimeEmbedding], grid: &Grid) -> Result<Tensor> {
        let modulation = Modulation::new(rec, &self.scale_shift_table, time, |time| [&time.embedding, &time.embedding])?;
        let [shift, scale] = [0, 1];
        let x = modulation.norm(rec, x, scale, shift, self.config.eps, ENDS.operand())?;
        let x = self.proj_out.forward(rec, &x, DType::F32)?;
        grid.unpatch(rec, &x)
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
