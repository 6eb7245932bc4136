//! `condition_embedder`: the timestep, the text and the reference image on their way into the blocks.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader};
use crate::linalg::product;
use crate::models::dit::config::Config;
use crate::ops::{Activation, copy::slice, lincomb::activate, lincomb::add};
use crate::weights::Weights;

/// Rows of a block's modulation: shift, scale and gate of self-attention, then of the feed-forward.
pub const MODULATION: usize = 6;

/// See the module.
#[derive(Debug)]
pub struct ConditionEmbedder {
    freq_dim: usize,
    width: usize,
    operand: DType,
    time_embedder: (Linear, Linear),
    /// To the modulation vectors, one after another.
    time_proj: Linear,
    text_embedder: (Linear, Linear),
    image_embedder: Option<ImageEmbedder>,
}

/// What a timestep contributes to its tokens.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    /// `[C]`
    pub embedding: Tensor,
    /// Vectors `[C]`, to be added to each block's own.
    pub modulation: [Tensor; MODULATION],
}

/// What the model is fed beside latents: how far along they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timestep {
    /// The same for all tokens.
    Of(f64),
    /// This for all tokens but those of the first latent frame, which is finished: theirs is 0.
    AfterFirstFrame(f64),
}

impl Timestep {
    /// Latent frames in a row that share a timestep, of `frames` in all.
    pub(super) fn parts(self, frames: usize) -> Vec<(usize, f64)> {
        match self {
            Self::Of(timestep) => vec![(frames, timestep)],
            Self::AfterFirstFrame(timestep) if frames > 1 => vec![(1, 0.0), (frames - 1, timestep)],
            Self::AfterFirstFrame(_) => vec![(frames, 0.0)],
        }
    }
}

impl ConditionEmbedder {
    /// From `condition_embedder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let width = config.width();
        let two = |name: &str, inputs| -> Result<(Linear, Linear)> {
            let scope = loader.scope(name);
            Ok((Linear::load(&scope, "linear_1", inputs, width)?, Linear::load(&scope, "linear_2", width, width)?))
        };
        Ok(Self {
            freq_dim: config.freq_dim,
            width,
            operand: loader.precision().operand(),
            time_embedder: two("time_embedder", config.freq_dim)?,
            time_proj: Linear::load(loader, "time_proj", width, MODULATION * width)?,
            text_embedder: two("text_embedder", config.text_dim)?,
            image_embedder: config
                .image_dim
                .map(|image_dim| ImageEmbedder::load(&loader.scope("image_embedder"), config, image_dim))
                .transpose()?,
        })
    }

    /// Embeds a timestep.
    pub fn time(&self, rec: &mut Recorder, timestep: f64) -> Result<TimeEmbedding> {
        let sinusoid = rec.upload(&[1, self.freq_dim], &sinusoid(timestep as f32, self.freq_dim))?;
        let (linear_1, linear_2) = &self.time_embedder;
        let hidden = linear_1.forward_activated(rec, &sinusoid, Activation::Silu, DType::F32)?;
        let embedding = linear_2.forward(rec, &hidden, DType::F32)?;
        let active = activate(rec, &embedding, Activation::Silu, DType::F32)?;
        let vectors = self.time_proj.forward(rec, &active, DType::F32)?.reshape(&[MODULATION, self.width]);
        // Each is a tensor of its own, because kernels read a tensor from its start.
        let vector = |tensor: Tensor| tensor.reshape(&[self.width]);
        let modulation = (0..MODULATION).map(|i| slice(rec, &vectors, i, 1).map(vector)).collect::<Result<Vec<_>>>()?;
        let modulation = modulation.try_into().expect("MODULATION slices were taken");
        Ok(TimeEmbedding { embedding: vector(embedding), modulation })
    }

    /// [L, text_dim] to [L, C].
    pub fn text(&self, rec: &mut Recorder, text: &Tensor) -> Result<Tensor> {
        let (linear_1, linear_2) = &self.text_embedder;
        let hidden = linear_1.forward_activated(rec, text, Activation::GeluTanh, self.operand)?;
        linear_2.forward(rec, &hidden, self.operand)
    }

    /// [L, image_dim] to [L, C].
    pub fn image(&self, rec: &mut Recorder, image: &Tensor) -> Result<Tensor> {
        let embedder = self.image_embedder.as_ref();
        let embedder = embedder.ok_or_else(|| Error::Input("this transformer has no image branch (`image_dim` is null)".into()))?;
        let placed = embedder.pos_embed.as_ref().map(|places| place(rec, image, places)).transpose()?;
        let x = embedder.norm1.forward(rec, placed.as_ref().unwrap_or(image), self.operand)?;
        let x = embedder.ff.0.forward_activated(rec, &x, Activation::GeluErf, self.operand)?;
        let x = embedder.ff.1.forward(rec, &x, DType::F32)?;
        embedder.norm2.forward(rec, &x, self.operand)
    }
}

#[derive(Debug)]
struct ImageEmbedder {
    /// What tells the tokens of a first and a last image apart, [L', image_dim].
    pos_embed: Option<Tensor>,
    norm1: LayerNorm,
    ff: (Linear, Linear),
    norm2: LayerNorm,
}

impl ImageEmbedder {
    fn load(loader: &Loader, config: &Config, image_dim: usize) -> Result<Self> {
        // diffusers leaves these two norms at PyTorch's default epsilon, whatever the model's.
        const EPS: f32 = 1e-5;
        let width = config.width();
        let pos_embed = |tokens| loader.upload("pos_embed", &[tokens, image_dim], &loader.values("pos_embed", &[1, tokens, image_dim])?);
        Ok(Self {
            pos_embed: config.pos_embed_seq_len.map(pos_embed).transpose()?,
            norm1: LayerNorm::load(loader, "norm1", image_dim, EPS)?,
            ff: (Linear::load(loader, "ff.net.0.proj", image_dim, image_dim)?, Linear::load(loader, "ff.net.2", image_dim, width)?),
            norm2: LayerNorm::load(loader, "norm2", width, EPS)?,
        })
    }
}

fn place(rec: &mut Recorder, image: &Tensor, places: &Tensor) -> Result<Tensor> {
    if image.shape() != places.shape() {
        return Err(Error::Input(format!(
            "{} image tokens; this transformer has places for {}: those of a first and a last image",
            image.rows(),
            places.rows()
        )));
    }
    add(rec, image, places)
}

/// `name` [1, ROWS, width] as ROWS vectors.
pub(crate) fn table<const ROWS: usize>(loader: &Loader, name: &str, width: usize) -> Result<[Tensor; ROWS]> {
    let values = loader.values(name, &[1, ROWS, width])?;
    let row = |i: usize| loader.upload(name, &[width], &|| Ok(values()?[i * width..][..width].to_vec()));
    let rows = (0..ROWS).map(row).collect::<Result<Vec<_>>>()?;
    Ok(rows.try_into().expect("ROWS rows were uploaded"))
}

/// The embeddings `[C]` of timesteps by the weights of a transformer, computed on the host.
pub fn time_embeddings(weights: &Weights, config: &Config, timesteps: &[f64]) -> Result<Vec<Vec<f32>>> {
    if timesteps.is_empty() {
        return Ok(Vec::new());
    }
    let (inputs, width, count) = (config.freq_dim, config.width(), timesteps.len());
    let linear = |name: &str, inputs: usize, columns: &[f32]| -> Result<Vec<f32>> {
        let tensor = |kind: &str, shape: &[usize]| weights.to_f32(&format!("condition_embedder.time_embedder.{name}.{kind}"), shape);
        let mut product = product(&tensor("weight", &[width, inputs])?, columns, inputs);
        let bias = tensor("bias", &[width])?;
        product.chunks_mut(count).zip(bias).for_each(|(row, bias)| row.iter_mut().for_each(|value| *value += bias));
        Ok(product)
    };
    let sinusoids: Vec<Vec<f32>> = timesteps.iter().map(|&timestep| sinusoid(timestep as f32, inputs)).collect();
    let columns: Vec<f32> = (0..inputs).flat_map(|row| sinusoids.iter().map(move |sinusoid| sinusoid[row])).collect();
    let hidden: Vec<f32> = linear("linear_1", inputs, &columns)?.into_iter().map(|x| x / (1.0 + (-x).exp())).collect();
    let embeddings = linear("linear_2", width, &hidden)?;
    Ok((0..count).map(|column| embeddings.iter().skip(column).step_by(count).copied().collect()).collect())
}

/// Cosines, then sines, of the timestep times frequencies from 1 down to 1 / 10000. The steps are rounded to f32 where the
/// reference rounds them, since at timestep 999 the angle's rounding is seen in the result.
fn sinusoid(timestep: f32, size: usize) -> Vec<f32> {
    let half = size / 2;
    let angles: Vec<f64> = (0..half)
        .map(|i| {
            let exponent = -(10_000f64.ln() as f32) * i as f32 / half as f32;
            f64::from(timestep * f64::from(exponent).exp() as f32)
        })
        .collect();
    let mut values: Vec<f32> = angles.iter().map(|angle| angle.cos() as f32).collect();
    values.extend(angles.iter().map(|angle| angle.sin() as f32));
    values.resize(size, 0.0);
    values
}
