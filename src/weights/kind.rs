//! Which network a checkpoint holds, told from its tensors' names.

use std::fmt;

use super::{Weights, lora};

/// What the tensors of a checkpoint are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The transformer of Wan2.2-Animate.
    Animate,
    /// Any other video transformer of Wan 2.1 and 2.2.
    Transformer,
    /// The text encoder.
    Umt5,
    /// The image encoder.
    Clip,
    /// The autoencoder of Wan 2.1, and of Wan 2.2's 14B models.
    Vae21,
    /// The autoencoder of Wan 2.2's 5B model.
    Vae22,
    /// Changes of a transformer's weights.
    Lora,
    /// Nothing that this crate knows.
    Unknown,
}

/// Tensors that a kind alone has, in diffusers' and transformers' names; the first kind with one of its own there is it.
const SIGNS: [(Kind, &[&str]); 6] = [
    (Kind::Animate, &["motion_encoder.motion_synthesis_weight", "pose_patch_embedding.weight", "face_adapter.0.to_q.weight"]),
    (Kind::Transformer, &["blocks.0.attn1.to_q.weight", "condition_embedder.time_proj.weight"]),
    (Kind::Umt5, &["encoder.block.0.layer.0.SelfAttention.q.weight"]),
    (Kind::Clip, &["pre_layrnorm.weight", "vision_model.pre_layrnorm.weight"]),
    (Kind::Vae22, &["encoder.down_blocks.0.resnets.0.norm1.gamma", "decoder.up_blocks.0.upsampler.resample.1.weight"]),
    (Kind::Vae21, &["encoder.down_blocks.0.norm1.gamma", "decoder.up_blocks.0.upsamplers.0.resample.1.weight"]),
];

impl Kind {
    /// The kind of an opened checkpoint.
    pub fn of(weights: &Weights) -> Self {
        let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| weights.contains(sign)));
        match found {
            Some(&(kind, _)) => kind,
            None if lora::is_lora(weights) => Self::Lora,
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Animate => "an Animate transformer",
            Self::Transformer => "a video transformer",
            Self::Umt5 => "a UMT5 text encoder",
            Self::Clip => "a CLIP image encoder",
            Self::Vae21 => "a VAE 2.1",
            Self::Vae22 => "a VAE 2.2",
            Self::Lora => "a LoRA",
            Self::Unknown => "nothing that this crate knows",
        })
    }
}
