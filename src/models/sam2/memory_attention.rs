//! What an image sees of what is remembered of others.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp};
use crate::models::sam2::{config::Config, positions};
use crate::ops::attention::{Heads, attention};
use crate::ops::{Activation, lincomb::lincomb, norm_rope::Rotation, operand_dtype, rope::rope};

/// Added to variances.
const EPS: f32 = 1e-5;

/// How much of their positions features are told.
const POSITIONS: f64 = 0.1;

/// What is remembered: of places of other images one after another, then what has no place.
#[derive(Clone, Copy, Debug)]
pub struct Memories<'a> {
    /// [M, memory]
    pub values: &'a Tensor,
    /// The same with where and when each was.
    pub keys: &'a Tensor,
    /// The first of them that have a place.
    pub placed: usize,
}

/// Attention in one head.
#[derive(Debug)]
struct Attention {
    projections: [Linear; 3],
    out_proj: Linear,
    operand: DType,
}

impl Attention {
    fn load(loader: &Loader, width: usize, seen: usize) -> Result<Self> {
        let linear = |name: &str, inputs| Linear::load(loader, name, inputs, width);
        Ok(Self {
            projections: [linear("q_proj", width)?, linear("k_proj", seen)?, linear("v_proj", seen)?],
            out_proj: linear("out_proj", width)?,
            operand: operand_dtype(loader.precision().operand(), width),
        })
    }

    /// residual + what x sees, of which the first `memories.placed` rows have places.
    fn forward(&self, rec: &mut Recorder, x: &Tensor, memories: Memories, angles: Rotation, residual: &Tensor) -> Result<Tensor> {
        let [of_q, of_k, of_v] = &self.projections;
        let q = of_q.forward(rec, x, DType::F32)?;
        let q = rope(rec, &q, angles, q.rows(), self.operand)?;
        let k = of_k.forward(rec, memories.keys, DType::F32)?;
        let k = rope(rec, &k, angles, memories.placed, self.operand)?;
        let v = of_v.forward(rec, memories.values, self.operand)?;
        let attended = attention(rec, &q, &k, &v, Heads::scaled(1, q.cols()), self.operand)?;
        self.out_proj.forward_residual(rec, &attended, None, residual)
    }
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    self_attn: Attention,
    norm2: LayerNorm,
    cross_attn_image: Attention,
    norm3: LayerNorm,
    mlp: Mlp,
}

/// Layers that each look at the image itself and at memories.
#[derive(Debug)]
pub struct MemoryAttention {
    layers: Vec<Layer>,
    norm: LayerNorm,
    /// [H * W, C]: where features are.
    positions: Tensor,
    /// [H * W, C / 2] each.
    cos: Tensor,
    sin: Tensor,
    dtype: DType,
}

impl MemoryAttention {
    /// From `memory_attention.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, side) = (config.hidden_size, config.image_side());
        let angles = |function: fn(f64) -> f64| move || Ok(positions::axial(width, side).into_iter().map(|a| function(a) as f32).collect());
        let table = |name: &str, cols: usize, read: &dyn Fn() -> Result<Vec<f32>>| loader.upload(name, &[side * side, cols], read);
        Ok(Self {
            layers: (0..config.memory_attention_layers).map(|number| layer(loader, config, number)).collect::<Result<_>>()?,
            norm: LayerNorm::load(loader, "norm", width, EPS)?,
            positions: table("positions", width, &|| Ok(positions::sine(width, side)))?,
            cos: table("cos", width / 2, &angles(f64::cos))?,
            sin: table("sin", width / 2, &angles(f64::sin))?,
            dtype: loader.precision().operand(),
        })
    }

    /// Features [H * W, C] in f32 to the same.
    pub fn forward(&self, rec: &mut Recorder, features: &Tensor, memories: Memories) -> Result<Tensor> {
        let angles = Rotation { cos: &self.cos, sin: &self.sin };
        let mut x = lincomb(rec, &[(1.0, features), (POSITIONS, &self.positions)], DType::F32)?;
        for layer in &self.layers {
            let normed = layer.norm1.forward(rec, &x, self.dtype)?;
            let own = Memories { values: &normed, keys: &normed, placed: normed.rows() };
            x = layer.self_attn.forward(rec, &normed, own, angles, &x)?;
            let normed = layer.norm2.forward(rec, &x, self.dtype)?;
            x = layer.cross_attn_image.forward(rec, &normed, memories, angles, &x)?;
            let normed = layer.norm3.forward(rec, &x, self.dtype)?;
            x = layer.mlp.forward(rec, &normed, None, &x)?;
        }
        self.norm.forward(rec, &x, DType::F32)
    }
}

fn layer(loader: &Loader, config: &Config, number: usize) -> Result<Layer> {
    let (loader, width) = (loader.scope(format_args!("layers.{number}")), config.hidden_size);
    let norm = |name: &str| LayerNorm::load(&loader, name, width, EPS);
    Ok(Layer {
        norm1: norm("norm1")?,
        self_attn: Attention::load(&loader.scope("self_attn"), width, width)?,
        norm2: norm("norm2")?,
        cross_attn_image: Attention::load(&loader.scope("cross_attn_image"), width, config.memory_dim)?,
        norm3: norm("norm3")?,
        mlp: Mlp::load(&loader, ["linear1", "linear2"], [width, config.memory_attention_mlp_dim], Activation::Relu)?,
    })
}
