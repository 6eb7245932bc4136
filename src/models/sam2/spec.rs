//! SAM 2: its signs, and its sizes from its tensors' shapes.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::models::sam2::config::{Config, STAGES};
use crate::models::sam2::{Sam2, names::TRANSFORMERS};
use crate::models::spec::{Sizes, Spec};
use crate::weights::checkpoint::Weights;
use crate::weights::config::config_beside;

/// SAM 2 and 2.1.
pub static SAM2: Spec = Spec {
    name: "a SAM 2 model",
    signs: &["image_encoder.trunk.patch_embed.proj.weight"],
    tables: &[&TRANSFORMERS],
    kin: None,
    // What makes an object of a mask that is given, and what stands for memories where there are none.
    unneeded: &["mask_downsample.", "no_mem_pos_enc"],
    besides: &[],
    stem: "model",
    architecture: "sam2",
    config: |weights| Ok(Config::of(weights)?.to_json()),
    load: |loader, weights| Sam2::load(loader, &Config::of(weights)?).map(drop),
};

/// What shapes do not tell of a published Hiera.
struct Published {
    embed_dim: usize,
    blocks: usize,
    heads: usize,
    windows: [usize; STAGES],
    global: [usize; 3],
}

const PUBLISHED: [Published; 4] = [
    Published { embed_dim: 96, blocks: 12, heads: 1, windows: [8, 4, 14, 7], global: [5, 7, 9] },
    Published { embed_dim: 96, blocks: 16, heads: 1, windows: [8, 4, 14, 7], global: [7, 10, 13] },
    Published { embed_dim: 112, blocks: 24, heads: 2, windows: [8, 4, 14, 7], global: [12, 16, 20] },
    Published { embed_dim: 144, blocks: 48, heads: 2, windows: [8, 4, 16, 8], global: [23, 33, 43] },
];

impl Sizes for Config {
    fn is_described(json: &Value) -> bool {
        json.pointer("/vision_config/backbone_config/global_attention_blocks").is_some()
    }

    /// The sizes of the model in `weights`: what shapes do not tell is that of the published model of these shapes.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor that tells sizes is missing, or no published model has these shapes.
    fn detect(weights: &Weights) -> Result<Self> {
        let shapes = shapes(weights)?;
        let blocks: usize = shapes.blocks_per_stage.iter().sum();
        let known = PUBLISHED.iter().find(|known| known.embed_dim == shapes.embed_dim && known.blocks == blocks);
        let known = known.ok_or_else(|| {
            let message = format!(
                "a Hiera of {} channels and {blocks} blocks is none of the published ones: put the model's config.json beside the file",
                shapes.embed_dim
            );
            Error::weights(weights.path(), message)
        })?;
        let heads = known.heads;
        Ok(Config {
            num_attention_heads_per_stage: [heads, 2 * heads, 4 * heads, 8 * heads],
            window_size_per_stage: known.windows,
            global_attention_blocks: known.global.to_vec(),
            ..shapes
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "model_type": "sam2_video",
            "image_size": self.image_size,
            "vision_config": {"backbone_config": {
                "num_attention_heads_per_stage": self.num_attention_heads_per_stage,
                "window_size_per_stage": self.window_size_per_stage,
                "global_attention_blocks": self.global_attention_blocks,
            }},
            "mask_decoder_config": {"num_attention_heads": self.decoder_attention_heads},
        })
    }

    /// What tensors tell, and for the rest the `config.json` of transformers beside them, or the published model of these shapes.
    fn of(weights: &Weights) -> Result<Self> {
        let Some(json) = config_beside(weights.location())?.filter(Self::is_described) else { return Self::detect(weights) };
        described(weights, &json)
    }
}

/// With what a `config.json` says.
fn described(weights: &Weights, json: &Value) -> Result<Config> {
    let shapes = shapes(weights)?;
    let field = |place: &str| {
        let wrong = || Error::weights(weights.location().beside("config.json").path(), format!("`{}` is not as it should be", &place[1..]));
        json.pointer(place).ok_or_else(wrong)
    };
    fn parsed<T: serde::de::DeserializeOwned>(value: &Value, weights: &Weights) -> Result<T> {
        let wrong = |error: serde_json::Error| Error::weights(weights.location().beside("config.json").path(), error.to_string());
        serde_json::from_value(value.clone()).map_err(wrong)
    }
    let hiera = |name: &str| field(&format!("/vision_config/backbone_config/{name}"));
    Ok(Config {
        image_size: json.get("image_size").map_or(Ok(shapes.image_size), |size| parsed(size, weights))?,
        num_attention_heads_per_stage: parsed(hiera("num_attention_heads_per_stage")?, weights)?,
        window_size_per_stage: parsed(hiera("window_size_per_stage")?, weights)?,
        global_attention_blocks: parsed(hiera("global_attention_blocks")?, weights)?,
        decoder_attention_heads: parsed(field("/mask_decoder_config/num_attention_heads")?, weights)?,
        ..shapes
    })
}

/// What shapes tell, and elsewhere what all published models have in common.
fn shapes(weights: &Weights) -> Result<Config> {
    let trunk = "image_encoder.trunk";
    let [_, embed_dim, height, width] = weights.extents(&format!("{trunk}.pos_embed"))?;
    let mut blocks_per_stage = [0; STAGES];
    let (mut stage, mut dim) = (0, embed_dim);
    for block in 0..weights.count(&format!("{trunk}.blocks.")) {
        let [own, _] = weights.extents(&format!("{trunk}.blocks.{block}.attn.proj.weight"))?;
        if own != dim {
            (stage, dim) = (stage + 1, 2 * dim);
        }
        if own != dim || stage == STAGES {
            let message = format!("block {block} of {own} channels: the four stages of Hiera have twice as many channels each");
            return Err(Error::weights(weights.path(), message));
        }
        blocks_per_stage[stage] += 1;
    }
    let [hidden_size, ..] = weights.extents::<4>("image_encoder.neck.convs.0.conv.weight")?;
    let layer = "sam_mask_decoder.transformer.layers.0";
    let [decoder_attention_dim, _] = weights.extents(&format!("{layer}.cross_attn_token_to_image.q_proj.weight"))?;
    let [decoder_mlp_dim, _] = weights.extents(&format!("{layer}.mlp.layers.0.weight"))?;
    let [memory_fuser_dim, _] = weights.extents("memory_encoder.fuser.layers.0.pwconv1.weight")?;
    let [memory_attention_mlp_dim, _] = weights.extents("memory_attention.layers.0.linear1.weight")?;
    let [memory_dim, ..] = weights.extents::<4>("memory_encoder.out_proj.weight")?;
    Ok(Config {
        image_size: 1024,
        num_attention_heads_per_stage: [1; STAGES],
        window_size_per_stage: [8; STAGES],
        global_attention_blocks: Vec::new(),
        decoder_attention_heads: 8,
        blocks_per_stage,
        embed_dim,
        background_size: [height, width],
        hidden_size,
        decoder_attention_dim,
        decoder_mlp_dim,
        memory_fuser_dim,
        memory_attention_layers: weights.count("memory_attention.layers."),
        memory_attention_mlp_dim,
        memory_dim,
    })
}
