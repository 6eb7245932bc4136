//! `transformer/config.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The sizes of a diffusion transformer, under diffusers' names and with the defaults of its `WanAnimateTransformer3DModel`. The
/// fields from `motion_encoder_channel_sizes` on are those of Animate.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Latent frames, rows and columns of a patch.
    pub patch_size: [usize; 3],
    pub num_attention_heads: usize,
    /// D; even.
    pub attention_head_dim: usize,
    /// Channels of the model's input: twice the latents' plus four for the mask.
    pub in_channels: Option<usize>,
    pub latent_channels: Option<usize>,
    /// Channels of the prediction.
    pub out_channels: Option<usize>,
    /// Width of the text encoder's embeddings.
    pub text_dim: usize,
    /// Tokens of a text, rows of zeros included; what is beyond 512 is always zero. diffusers has no such field.
    #[serde(skip_serializing_if = "is_usual_text")]
    pub text_len: usize,
    /// Size of the sinusoid of a timestep.
    pub freq_dim: usize,
    /// Width inside the feed-forward layers.
    pub ffn_dim: usize,
    pub num_layers: usize,
    /// Whether the norm before cross-attention exists.
    pub cross_attn_norm: bool,
    /// Which norm queries and keys get; `rms_norm_across_heads` is the only one.
    pub qk_norm: Option<String>,
    /// Added to variances and mean squares.
    pub eps: f32,
    /// Width of CLIP's embeddings; no image branch where null.
    pub image_dim: Option<usize>,
    /// Width of the image tokens for keys and values of their own; they join the text tokens where null.
    pub added_kv_proj_dim: Option<usize>,
    /// Longest axis of tokens.
    pub rope_max_seq_len: usize,
    /// Tokens of a first and a last image together, where these have position embeddings.
    pub pos_embed_seq_len: Option<usize>,
    /// Channels of the motion encoder by the size in pixels, `"512": 32` and so on.
    pub motion_encoder_channel_sizes: Option<BTreeMap<String, usize>>,
    /// Height and width of face frames: 4 after being halved, rounding down, some times.
    pub motion_encoder_size: usize,
    /// Width of the motion encoder's last convolution and its linear layers.
    pub motion_style_dim: usize,
    /// Coefficients of a motion.
    pub motion_dim: usize,
    /// Width of a motion vector.
    pub motion_encoder_dim: usize,
    /// Width inside the face encoder.
    pub face_encoder_hidden_dim: usize,
    /// Face tokens of a latent frame, without the padding token.
    pub face_encoder_num_heads: usize,
    /// The face adapter acts after every block whose number is a multiple of this.
    pub inject_face_latents_blocks: usize,
    /// Face frames encoded at once.
    pub motion_encoder_batch_size: usize,
}

/// Tokens of a text in every published model.
const TEXT_LEN: usize = 512;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_usual_text(length: &usize) -> bool {
    *length == TEXT_LEN
}

impl Default for Config {
    fn default() -> Self {
        Self {
            patch_size: [1, 2, 2],
            num_attention_heads: 40,
            attention_head_dim: 128,
            in_channels: Some(36),
            latent_channels: Some(16),
            out_channels: Some(16),
            text_dim: 4096,
            text_len: TEXT_LEN,
            freq_dim: 256,
            ffn_dim: 13824,
            num_layers: 40,
            cross_attn_norm: true,
            qk_norm: Some("rms_norm_across_heads".into()),
            eps: 1e-6,
            image_dim: Some(1280),
            added_kv_proj_dim: None,
            rope_max_seq_len: 1024,
            pos_embed_seq_len: None,
            motion_encoder_channel_sizes: None,
            motion_encoder_size: 512,
            motion_style_dim: 512,
            motion_dim: 20,
            motion_encoder_dim: 512,
            face_encoder_hidden_dim: 1024,
            face_encoder_num_heads: 4,
            inject_face_latents_blocks: 5,
            motion_encoder_batch_size: 8,
        }
    }
}

/// A [`Config`] with the defaults of diffusers' `WanTransformer3DModel`, which has no image branch where none is mentioned.
#[derive(Clone, Debug, Deserialize)]
pub struct PlainConfig {
    #[serde(default)]
    in_channels: Option<usize>,
    #[serde(default)]
    image_dim: Option<usize>,
    #[serde(flatten)]
    rest: Config,
}

impl From<PlainConfig> for Config {
    fn from(plain: PlainConfig) -> Self {
        Self { in_channels: plain.in_channels.or(Some(16)), image_dim: plain.image_dim, ..plain.rest }
    }
}

impl Config {
    /// Refuses what this crate cannot run, naming the field.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that diffusers allows and this crate does not; [`Error::Input`] for one that fits no model.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("text_dim", self.text_dim),
            ("text_len", self.text_len),
            ("freq_dim", self.freq_dim),
            ("ffn_dim", self.ffn_dim),
            ("num_layers", self.num_layers),
            ("inject_face_latents_blocks", self.inject_face_latents_blocks),
            ("motion_encoder_batch_size", self.motion_encoder_batch_size),
            ("motion_encoder_size", self.motion_encoder_size),
            ("rope_max_seq_len", self.rope_max_seq_len),
            ("motion_style_dim", self.motion_style_dim),
            ("motion_dim", self.motion_dim),
            ("motion_encoder_dim", self.motion_encoder_dim),
            ("face_encoder_hidden_dim", self.face_encoder_hidden_dim),
            ("face_encoder_num_heads", self.face_encoder_num_heads),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|&(_, size)| size == 0 || size > 1 << 20) {
            return Err(Error::Input(format!("transformer config: `{field}` is {size}")));
        }
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return Err(Error::Input(format!("transformer config: `eps` is {}; it must be 0 or more", self.eps)));
        }
        if !self.attention_head_dim.is_multiple_of(2) || self.attention_head_dim > 512 {
            let dim = self.attention_head_dim;
            return Err(Error::Unsupported(format!("transformer config: `attention_head_dim` {dim}; it must be even and at most 512")));
        }
        if self.patch_size[0] != 1 || self.patch_size.contains(&0) {
            return Err(Error::Unsupported(format!("transformer config: `patch_size` {:?}; the first must be 1", self.patch_size)));
        }
        if self.qk_norm.as_deref().is_some_and(|norm| norm != "rms_norm_across_heads") {
            return Err(Error::Unsupported(format!("transformer config: `qk_norm` {:?}", self.qk_norm)));
        }
        if self.pos_embed_seq_len.is_some_and(|tokens| self.image_dim.is_none() || tokens == 0 || tokens > 1 << 20) {
            return Err(Error::Unsupported("transformer config: `pos_embed_seq_len` without `image_dim`, or out of range".into()));
        }
        Ok(())
    }

    /// C, the width of a token.
    pub fn width(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Pixels of a patch.
    pub fn patch_pixels(&self) -> usize {
        self.patch_size.iter().product()
    }

    /// Channels of the input.
    pub fn in_channels(&self) -> Result<usize> {
        match (self.in_channels, self.latent_channels) {
            (Some(channels), _) => Ok(channels),
            (None, Some(latent)) => Ok(2 * latent + 4),
            _ => Err(Error::Input("transformer config: neither `in_channels` nor `latent_channels` is given".into())),
        }
    }

    pub fn latent_channels(&self) -> Result<usize> {
        match (self.latent_channels, self.in_channels) {
            (Some(channels), _) => Ok(channels),
            (None, Some(channels)) if channels > 4 => Ok((channels - 4) / 2),
            _ => Err(Error::Input("transformer config: neither `latent_channels` nor a usable `in_channels` is given".into())),
        }
    }

    /// Channels of the prediction.
    pub fn out_channels(&self) -> Result<usize> {
        self.out_channels.map_or_else(|| self.latent_channels(), Ok)
    }
}
