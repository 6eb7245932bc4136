//! A transformer between a few tokens and an image, each of which looks at the other.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp};
use crate::models::sam2::config::Config;
use crate::ops::attention::{Heads, attention};
use crate::ops::lincomb::add;
use crate::ops::{Activation, operand_dtype};

/// Added to variances.
const EPS: f32 = 1e-5;

/// Attention whose width may be less than that of what comes in.
#[derive(Debug)]
struct Attention {
    projections: [Linear; 3],
    out_proj: Linear,
    heads: usize,
    /// How queries, keys and values are stored.
    operand: DType,
}

impl Attention {
    fn load(loader: &Loader, config: &Config, inner: usize) -> Result<Self> {
        let (width, heads) = (config.hidden_size, config.decoder_attention_heads);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| Linear::load(loader, name, width, inner));
        let operand = operand_dtype(loader.precision().operand(), inner / heads);
        Ok(Self { projections: [q?, k?, v?], out_proj: Linear::load(loader, "out_proj", inner, width)?, heads, operand })
    }

    fn attended(&self, rec: &mut Recorder, [q, k, v]: [&Tensor; 3]) -> Result<Tensor> {
        let [of_q, of_k, of_v] = &self.projections;
        let (q, k) = (of_q.forward(rec, q, self.operand)?, of_k.forward(rec, k, self.operand)?);
        let v = of_v.forward(rec, v, self.operand)?;
        attention(rec, &q, &k, &v, Heads::scaled(self.heads, q.cols()), self.operand)
    }

    /// residual + what queries see of values.
    fn forward(&self, rec: &mut Recorder, operands: [&Tensor; 3], residual: &Tensor) -> Result<Tensor> {
        let attended = self.attended(rec, operands)?;
        self.out_proj.forward_residual(rec, &attended, None, residual)
    }
}

#[derive(Debug)]
struct Layer {
    self_attn: Attention,
    norm1: LayerNorm,
    cross_attn_token_to_image: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    norm4: LayerNorm,
    cross_attn_image_to_token: Attention,
}

impl Layer {
    fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.decoder_attention_dim);
        let attention = |name: &str, inner| Attention::load(&loader.scope(name), config, inner);
        let norm = |name: &str| LayerNorm::load(loader, name, width, EPS);
        let names = ["layers.0", "layers.1"];
        Ok(Self {
            self_attn: attention("self_attn", width)?,
            norm1: norm("norm1")?,
            cross_attn_token_to_image: attention("cross_attn_token_to_image", inner)?,
            norm2: norm("norm2")?,
            mlp: Mlp::load(&loader.scope("mlp"), names, [width, config.decoder_mlp_dim], Activation::Relu)?,
            norm3: norm("norm3")?,
            norm4: norm("norm4")?,
            cross_attn_image_to_token: attention("cross_attn_image_to_token", inner)?,
        })
    }

    /// The next tokens and image. `positions` are those of the tokens and of the image; the first layer's tokens are nothing but positions,
    /// and are replaced.
    fn forward(&self, rec: &mut Recorder, [tokens, image]: [&Tensor; 2], positions: [&Tensor; 2], is_first: bool) -> Result<[Tensor; 2]> {
        let [of_tokens, of_image] = positions;
        let tokens = if is_first {
            let attended = self.self_attn.attended(rec, [tokens, tokens, tokens])?;
            self.self_attn.out_proj.forward(rec, &attended, DType::F32)?
        } else {
            let placed = add(rec, tokens, of_tokens)?;
            self.self_attn.forward(rec, [&placed, &placed, tokens], tokens)?
        };
        let tokens = self.norm1.forward(rec, &tokens, DType::F32)?;
        let (placed, placed_image) = (add(rec, &tokens, of_tokens)?, add(rec, image, of_image)?);
        let tokens = self.cross_attn_token_to_image.forward(rec, [&placed, &placed_image, image], &tokens)?;
        let tokens = self.norm2.forward(rec, &tokens, DType::F32)?;
        let tokens = self.mlp.forward(rec, &tokens, None, &tokens)?;
        let tokens = self.norm3.forward(rec, &tokens, DType::F32)?;
        let placed = add(rec, &tokens, of_tokens)?;
        let image = self.cross_attn_image_to_token.forward(rec, [&placed_image, &placed, &tokens], image)?;
        Ok([tokens, self.norm4.forward(rec, &image, DType::F32)?])
    }
}

/// Two layers, and a last look of the tokens at the image.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: [Layer; 2],
    final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// From `sam_mask_decoder.transformer.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let layer = |number: usize| Layer::load(&loader.scope(format_args!("layers.{number}")), config);
        let last = loader.scope("final_attn_token_to_image");
        Ok(Self {
            layers: [layer(0)?, layer(1)?],
            final_attn_token_to_image: Attention::load(&last, config, config.decoder_attention_dim)?,
            norm_final_attn: LayerNorm::load(loader, "norm_final_attn", config.hidden_size, EPS)?,
        })
    }

    /// Tokens [n, C] and image [H * W, C], with the image's positions, to the same.
    pub fn forward(&self, rec: &mut Recorder, tokens: &Tensor, image: &Tensor, positions: &Tensor) -> Result<[Tensor; 2]> {
        let mut both = [tokens.clone(), image.clone()];
        for (number, layer) in self.layers.iter().enumerate() {
            both = layer.forward(rec, [&both[0], &both[1]], [tokens, positions], number == 0)?;
        }
        let [last, image] = both;
        let (placed, placed_image) = (add(rec, &last, tokens)?, add(rec, &image, positions)?);
        let last = self.final_attn_token_to_image.forward(rec, [&placed, &placed_image, &image], &last)?;
        Ok([self.norm_final_attn.forward(rec, &last, DType::F32)?, image])
    }
}
