//! The backbone that all models of Wan share.
//!
//! A pass over its blocks [begins](Dit::begin) with patches, goes through [layers](Dit::layers), all at once or range by range, and ends in
//! the [head](Dit::head). [`Dit::forward`] does it all.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader, Precision, stack::Stack};
use crate::models::dit::cache::{layer_cache, layer_cache::LayerCache, work::Work};
use crate::models::dit::embed::{self, ConditionEmbedder, TimeEmbedding, Timestep};
use crate::models::dit::prediction::Prediction;
use crate::models::dit::radial::Radial;
use crate::models::dit::runs::{self, TokenRun};
use crate::models::dit::session::{Prompt, Session, SessionOptions};
use crate::models::dit::{block::Block, config::Config, grid::Grid, hooks::Hooks, hooks::Layer, modulation::modulation, positions};
use crate::ops::{copy::concat, copy::slice, layer_norm::Affine, layer_norm::layer_norm};
use crate::weights::Weights;

/// What lies before the first block and after the last is in f32 whatever the precision: it takes next to no time, and its
/// rounding would reach every token.
pub(super) const ENDS: Precision = Precision::F32;

/// The backbone. Its layers are blocks, or what others made of them to act at its [`Hooks`].
#[derive(Debug)]
pub struct Dit<L = Block> {
    config: Config,
    precision: Precision,
    patch_embedding: Linear,
    condition_embedder: ConditionEmbedder,
    blocks: Stack<L>,
    /// Shift and scale of the last norm, each `[C]`.
    scale_shift_table: [Tensor; 2],
    proj_out: Linear,
}

/// A pass under way: the tokens, as far as the layers have come.
#[derive(Debug)]
pub struct Pass {
    /// The number of the session's prompt.
    prompt: usize,
    grid: Grid,
    times: Vec<TimeEmbedding>,
    runs: Vec<TokenRun>,
    /// What is attended to, where not everything.
    radial: Option<Radial>,
}

impl<L: Layer + 'static> Dit<L> {
    /// Reads the backbone's tensors in the names of diffusers.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let blocks = Stack::load(loader, config.num_layers, |loader, i| L::load(loader, config, i))?;
        Self::with_blocks(loader, config, blocks)
    }

    /// Reads what lies before the first block and after the last; the blocks are read when they are needed.
    pub fn open(loader: &Loader, weights: &Arc<Weights>, config: &Config) -> Result<Self> {
        let own = config.clone();
        let blocks = Stack::open(weights, loader.precision(), config.num_layers, move |loader, i| L::load(loader, &own, i));
        Self::with_blocks(loader, config, blocks)
    }

    fn with_blocks(loader: &Loader, config: &Config, blocks: Stack<L>) -> Result<Self> {
        let ends = loader.with_precision(ENDS);
        Ok(Self {
            config: config.clone(),
            precision: loader.precision(),
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

    pub fn blocks(&self) -> &Stack<L> {
        &self.blocks
    }

    /// For a generation that takes no more than `options`. No block stays for it yet, and it has no prompt.
    pub fn session(&self, options: SessionOptions) -> Session<L> {
        Session { options, stay: self.blocks.claim(), prompts: Vec::new(), cache: LayerCache::default() }
    }

    /// What the steps see of a prompt and an image, as the session's next prompt. `text` [L, text_dim] holds the prompt's embeddings, zero
    /// rows included; `image` [L', image_dim] those of CLIP, for models that have an image branch.
    pub fn add_prompt(&self, rec: &mut Recorder, session: &mut Session<L>, text: &Tensor, image: Option<&Tensor>) -> Result<()> {
        let text = self.condition_embedder.text(rec, text)?;
        let image = image.map(|image| self.condition_embedder.image(rec, image)).transpose()?;
        if self.config.added_kv_proj_dim.is_some() && image.is_none() {
            return Err(Error::Input("this transformer needs the embeddings of a reference image".into()));
        }
        let keys = self.blocks.all().map(|_| None).collect();
        session.prompts.push(Prompt { text, image, keys, once: false });
        Ok(())
    }

    /// The predicted velocity of `latents` [C, T, H, W] at `timestep` for a prompt of the session, [C', T, H, W] in f32.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        session: &mut Session<L>,
        prompt: usize,
        latents: &Tensor,
        timestep: Timestep,
        hooks: &mut dyn Hooks<L>,
    ) -> Result<Tensor> {
        self.predict(rec, session, prompt, latents, timestep, Work::default(), hooks).map(|prediction| prediction.velocity)
    }

    /// The same, where layers may be reused.
    #[allow(clippy::too_many_arguments, reason = "what a pass looks at")]
    pub fn predict(
        &self,
        rec: &mut Recorder,
        session: &mut Session<L>,
        prompt: usize,
        latents: &Tensor,
        timestep: Timestep,
        work: Work,
        hooks: &mut dyn Hooks<L>,
    ) -> Result<Prediction> {
        let on_host = session.options.cache_on_host;
        let ((front, back), all) = (work.ends, self.blocks.all().end);
        let mut pass = self.begin(rec, session, prompt, latents, timestep, hooks)?;
        pass.radial = work.radial.map(|radial| radial.over(rec, pass.grid.sizes())).transpose()?;
        let before = if front > 0 { layer_cache::tokens(rec, &pass.runs, false)? } else { Vec::new() };
        self.layers(rec, session, &mut pass, 0..front, hooks)?;
        let reuses = session.cache.reuses(rec, prompt, &work, &before, &pass.runs, on_host)?;
        drop(before);
        let mut ratio = None;
        if reuses {
            session.cache.apply(rec, prompt, &work, &mut pass.runs)?;
        } else {
            let before = if work.keeps || work.measures { layer_cache::tokens(rec, &pass.runs, on_host)? } else { Vec::new() };
            self.layers(rec, session, &mut pass, front..all - back, hooks)?;
            ratio = session.cache.store(rec, prompt, &work, before, &pass.runs, on_host)?;
        }
        if !work.keeps {
            session.cache.clear(prompt);
        }
        self.layers(rec, session, &mut pass, all - back..all, hooks)?;
        Ok(Prediction { velocity: self.head(rec, &pass)?, is_computed: !reuses, ratio })
    }

    /// The tokens before the first layer.
    pub fn begin(
        &self,
        rec: &mut Recorder,
        session: &Session<L>,
        prompt: usize,
        latents: &Tensor,
        timestep: Timestep,
        hooks: &mut dyn Hooks<L>,
    ) -> Result<Pass> {
        let grid = Grid::of(latents, &self.config)?;
        let (parts, timesteps): (Vec<_>, Vec<_>) = timestep.parts(grid.frames).into_iter().unzip();
        let times = timesteps.into_iter().map(|timestep| self.condition_embedder.time(rec, timestep)).collect::<Result<_>>()?;
        let runs = self.embed(rec, &grid, latents, &parts, session.options.tokens, hooks)?;
        Ok(Pass { prompt, grid, times, runs, radial: None })
    }

    /// Passes the tokens through a range of layers. Nothing of the layers after it is loaded.
    pub fn layers(
        &self,
        rec: &mut Recorder,
        session: &mut Session<L>,
        pass: &mut Pass,
        range: Range<usize>,
        hooks: &mut dyn Hooks<L>,
    ) -> Result<()> {
        let Session { options, stay, prompts, .. } = session;
        let prompt = prompts.get_mut(pass.prompt).ok_or_else(|| Error::Input(format!("there is no prompt {}", pass.prompt)))?;
        self.blocks.pass(rec, stay, range, |rec, number, layer| {
            if hooks.skips(number) {
                return Ok(());
            }
            let block = layer.block();
            let keys = prompt.keys(rec, block, number, self.precision, options.keep_keys && !prompt.once)?;
            let mut beside = hooks.beside(number);
            let mut after = |rec: &mut Recorder, run: &TokenRun, x| hooks.after_block(rec, layer, run.frames.clone(), x);
            let sight = pass.radial.as_ref().and_then(|radial| radial.of_layer(number));
            block.forward(rec, &mut pass.runs, &pass.times, (&keys, &mut beside, sight), &mut after, self.precision)?;
            hooks.take_back(beside);
            Ok(())
        })
    }

    /// The prediction [C', T, H, W] that the tokens after the last layer stand for.
    pub fn head(&self, rec: &mut Recorder, Pass { grid, times, runs, .. }: &Pass) -> Result<Tensor> {
        let vectors = times.iter().map(|time| modulation(rec, &self.scale_shift_table, [&time.embedding, &time.embedding]));
        let vectors = vectors.collect::<Result<Vec<_>>>()?;
        let project = |run: &TokenRun| {
            let [shift, scale] = &vectors[run.time];
            let x = layer_norm(rec, &run.x, Affine::Modulation(scale, shift), self.config.eps, ENDS.operand())?;
            self.proj_out.forward(rec, &x, DType::F32)
        };
        let projected = runs.iter().map(project).collect::<Result<Vec<_>>>()?;
        let tokens = concat(rec, &projected.iter().collect::<Vec<_>>())?;
        grid.unpatch(rec, &tokens)
    }

    /// The tokens of the patches in runs of about `most`. `parts` are latent frames of one timestep in a row.
    fn embed(
        &self,
        rec: &mut Recorder,
        grid: &Grid,
        latents: &Tensor,
        parts: &[usize],
        most: usize,
        hooks: &mut dyn Hooks<L>,
    ) -> Result<Vec<TokenRun>> {
        let [frames, rows, cols] = grid.sizes();
        let longest = self.config.rope_max_seq_len;
        if let Some(size) = [frames, rows, cols].into_iter().find(|&size| size > longest) {
            return Err(Error::limits(format!("{size} tokens along one axis; the model has positions for {longest}")));
        }
        let tokens = rows * cols;
        let count = runs::frames_of_a_run(rec.device(), &self.config, tokens, self.precision.operand(), most);
        let patches = grid.patches(rec, latents)?;
        let run = |(frames, time): (Range<usize>, usize)| {
            let own = slice(rec, &patches, frames.start * tokens, frames.len() * tokens)?;
            let x = match hooks.before_blocks(rec, frames.clone())? {
                Some(added) => self.patch_embedding.forward_residual(rec, &own, None, &added)?,
                None => self.patch_embedding.forward(rec, &own, DType::F32)?,
            };
            let places = hooks.places(frames.clone(), [rows, cols]);
            let angles = positions::tables(rec, self.config.attention_head_dim, places)?;
            Ok(TokenRun { frames, x, angles, time })
        };
        runs::cut(parts, count).into_iter().map(run).collect()
    }
}

/// `name.weight` [width, channels, 1, p, q] and `name.bias`, as a linear layer over patches.
pub(super) fn patch_embedding(loader: &Loader, name: &str, channels: usize, config: &Config) -> Result<Linear> {
    let scope = loader.scope(name);
    let [t, h, w] = config.patch_size;
    let weight = scope.matrix("weight", &[config.width(), channels, t, h, w])?;
    Ok(Linear::new(weight, Some(scope.tensor("bias", &[config.width()])?)))
}
