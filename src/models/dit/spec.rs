//! The transformers: their signs, and a configuration from tensors' shapes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::json::read_json;
use crate::layers::{loader::Loader, schema::Schema};
use crate::location::Location;
use crate::models::dit::{
    Dit, animate::Animate, block::Block, config::Config, config::PlainConfig, names::MODULAR_2, names::OFFICIAL, names::OFFICIAL_2,
};
use crate::models::spec::{Sizes, Spec, config_json};
use crate::weights::{checkpoint::Weights, config::config_beside, kin::Kin, names::Table};

/// What every published transformer has; shapes tell it only where there is a face adapter.
const HEAD_DIM: usize = 128;
/// After every how many blocks the face adapter acts, in every published Animate.
const INJECT_EVERY: usize = 5;

/// What the fields begin with that Animate's configuration alone has.
const OF_ANIMATE: [&str; 4] = ["latent_", "motion_", "face_", "inject_"];

/// What diffusers calls Animate-2's transformer.
const ANIMATE_2_CLASS: &str = "WanAnimate2Transformer3DModel";

/// The `config.json` of the official release, and of Animate-2 in diffusers: what shapes do not tell, and enough to see whether it belongs to the tensors.
#[derive(Debug, Deserialize)]
struct Official {
    dim: usize,
    num_heads: usize,
    num_layers: usize,
    eps: f32,
    text_len: Option<usize>,
    window_size: Option<[i64; 2]>,
    /// Where Animate-2's driving video stands: along time, height and width, -1 for the grid's own length, and every how many frames.
    refer_offset_t: Option<i64>,
    refer_offset_h: Option<i64>,
    refer_offset_w: Option<i64>,
    refer_stride: Option<i64>,
}

impl Official {
    /// Whether the driving video stands where it does in the published model.
    fn is_placed(&self) -> bool {
        let places = [(self.refer_offset_t, 1), (self.refer_offset_h, 0), (self.refer_offset_w, -1), (self.refer_stride, 1)];
        places.into_iter().all(|(place, published)| place.is_none_or(|place| place == published))
    }
}

/// The transformer of Wan2.2-Animate.
pub static ANIMATE: Spec = Spec {
    name: "an Animate transformer",
    signs: &["motion_encoder.motion_synthesis_weight", "pose_patch_embedding.weight", "face_adapter.0.to_q.weight"],
    load: |loader, weights| Animate::load(loader, &Config::of(weights)?).map(drop),
    ..TRANSFORMER
};

/// Any other video transformer of Wan 2.1 and 2.2.
pub static TRANSFORMER: Spec = Spec {
    name: "a video transformer",
    signs: &["blocks.0.attn1.to_q.weight", "condition_embedder.time_proj.weight"],
    tables: &[&OFFICIAL, &OFFICIAL_2, &MODULAR_2],
    kin: Some(&KIN),
    unneeded: &[],
    besides: &[],
    stem: "diffusion_pytorch_model",
    architecture: "wan",
    config: Config::json,
    load: |loader, weights| {
        let config = Config::of(weights)?;
        config.check()?;
        Dit::<Block>::load(loader, &config).map(drop)
    },
};

/// All of Wan's transformers, from whose parts each takes its own.
static KIN: Kin = Kin {
    tables: &[&OFFICIAL, &OFFICIAL_2, &MODULAR_2],
    names: || {
        let schema = Schema::default();
        let images = Config { num_layers: 5, added_kv_proj_dim: Some(1280), pos_embed_seq_len: Some(514), ..Config::default() };
        // Five layers of the sizes that are published: an adapter acts after the first.
        Animate::load(&Loader::recording(&schema, None), &images)
            .map_or_else(|_| Vec::new(), |_| schema.into_tensors().into_keys().collect())
    },
    widths: &[(1536, "Wan 2.1's 1.3B models"), (3072, "Wan 2.2's 5B model"), (5120, "the 14B models")],
};

impl Sizes for Config {
    fn is_described(json: &Value) -> bool {
        // Animate-2's is in the fields of the official release.
        class_name(json).ends_with("Transformer3DModel") && class_name(json) != ANIMATE_2_CLASS
    }

    fn read(file: &Location) -> Result<Self> {
        match class_name(&read_json(file)?) {
            "WanTransformer3DModel" => read_json::<PlainConfig>(file).map(Self::from),
            _ => read_json(file),
        }
    }

    /// The sizes of the transformer in `weights`.
    ///
    /// All of them are those of its tensors. Of an official `config.json` beside the file the number of heads, `eps` and `text_len` are taken; without one
    /// heads have a width of 128 (Animate's face adapter tells theirs), `eps` is 1e-6, a text has 512 tokens. Always: at most 1024 positions on an axis, a face
    /// adapter after every fifth block where there are as many adapters as that makes.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor that tells sizes is missing, or a `config.json` beside it is another model's.
    fn detect(weights: &Weights) -> Result<Self> {
        let [width, in_channels, pt, ph, pw] = weights.extents("patch_embedding.weight")?;
        let [out, _] = weights.extents("proj_out.weight")?;
        let [ffn_dim, _] = weights.extents("blocks.0.ffn.net.0.proj.weight")?;
        let [_, text_dim] = weights.extents("condition_embedder.text_embedder.linear_1.weight")?;
        let [_, freq_dim] = weights.extents("condition_embedder.time_embedder.linear_1.weight")?;
        let has_image_keys = weights.contains("blocks.0.attn2.add_k_proj.weight");
        let (image_dim, pos_embed_seq_len) = image_branch(weights, has_image_keys)?;
        let patch = pt * ph * pw;
        let mut config = Config {
            patch_size: [pt, ph, pw],
            in_channels: Some(in_channels),
            latent_channels: None,
            out_channels: Some(out / patch.max(1)),
            text_dim,
            freq_dim,
            ffn_dim,
            num_layers: weights.count("blocks."),
            cross_attn_norm: weights.contains("blocks.0.norm2.weight"),
            qk_norm: weights.contains("blocks.0.attn1.norm_q.weight").then(|| "rms_norm_across_heads".into()),
            image_dim,
            added_kv_proj_dim: has_image_keys.then_some(width),
            pos_embed_seq_len,
            ..Config::default()
        };
        if ANIMATE.is_in(weights) {
            add_animate(&mut config, weights)?;
        }
        let head_dim = match official(weights, width, config.num_layers)? {
            Some(official) => {
                config.eps = official.eps;
                config.text_len = official.text_len.unwrap_or(config.text_len);
                width / official.num_heads.max(1)
            }
            None if weights.contains("face_adapter.0.norm_q.weight") => weights.extents::<1>("face_adapter.0.norm_q.weight")?[0],
            None => HEAD_DIM,
        };
        if head_dim == 0 || width % head_dim != 0 {
            let message =
                format!("a width of {width} is no whole number of heads of {head_dim}: put the model's config.json beside the file");
            return Err(Error::weights(weights.path(), message));
        }
        (config.attention_head_dim, config.num_attention_heads) = (head_dim, width / head_dim);
        Ok(config)
    }

    fn to_json(&self) -> Value {
        let is_animate = self.motion_encoder_channel_sizes.is_some();
        let class = if is_animate { "WanAnimateTransformer3DModel" } else { "WanTransformer3DModel" };
        let mut json = config_json(self, json!({"_class_name": class}));
        if let (false, Value::Object(fields)) = (is_animate, &mut json) {
            fields.retain(|name, _| !OF_ANIMATE.iter().any(|prefix| name.starts_with(prefix)));
        }
        json
    }

    fn json(weights: &Weights) -> Result<Value> {
        let beside = config_beside(weights.location())?;
        let is_animate_2 = is_animate_2(weights);
        match beside.filter(|json| if is_animate_2 { class_name(json) == ANIMATE_2_CLASS } else { Self::is_described(json) }) {
            Some(json) => Ok(json),
            None if is_animate_2 => Self::detect(weights)?.to_json_2(),
            None => Ok(Self::detect(weights)?.to_json()),
        }
    }
}

impl Config {
    /// Of Animate-2, as diffusers wants it.
    fn to_json_2(&self) -> Result<Value> {
        let own = config_json(self, json!({}));
        Ok(json!({
            "_class_name": ANIMATE_2_CLASS,
            "patch_size": self.patch_size,
            "text_len": self.text_len,
            "in_dim": self.in_channels()?,
            "dim": self.width(),
            "ffn_dim": self.ffn_dim,
            "freq_dim": self.freq_dim,
            "text_dim": self.text_dim,
            "out_dim": self.out_channels()?,
            "num_heads": self.num_attention_heads,
            "num_layers": self.num_layers,
            "cross_attn_norm": self.cross_attn_norm,
            "eps": own["eps"],
            "use_img_emb": self.image_dim.is_some(),
            "refer_offset_t": 1,
            "refer_offset_h": 0,
            "refer_offset_w": -1,
            "refer_stride": 1,
        }))
    }
}

fn class_name(json: &Value) -> &str {
    json.get("_class_name").and_then(Value::as_str).unwrap_or_default()
}

/// The width of CLIP's embeddings, and the tokens of two images.
fn image_branch(weights: &Weights, has_image_keys: bool) -> Result<(Option<usize>, Option<usize>)> {
    if weights.layout().is_some() && !has_image_keys {
        // With `use_img_emb` off the official class makes the embedder all the same, and never looks at it.
        weights.ignore("condition_embedder.image_embedder.");
        return Ok((None, None));
    }
    if !weights.contains("condition_embedder.image_embedder.norm1.weight") {
        return Ok((None, None));
    }
    let [width] = weights.extents("condition_embedder.image_embedder.norm1.weight")?;
    let positions = "condition_embedder.image_embedder.pos_embed";
    let tokens = if weights.contains(positions) { Some(weights.extents::<3>(positions)?[1]) } else { None };
    Ok((Some(width), tokens))
}

fn add_animate(config: &mut Config, weights: &Weights) -> Result<()> {
    let [_, latents, ..] = weights.extents::<5>("pose_patch_embedding.weight")?;
    let conv = |name: String| weights.extents::<4>(&name).map(|[outputs, ..]| outputs);
    let blocks = weights.count("motion_encoder.res_blocks.");
    // Images halve from block to block, down to 4 pixels.
    let size = 4usize << blocks.min(16);
    let mut channels = BTreeMap::from([(size.to_string(), conv("motion_encoder.conv_in.weight".into())?)]);
    for i in 0..blocks.min(16) {
        channels.insert((size >> (i + 1)).to_string(), conv(format!("motion_encoder.res_blocks.{i}.conv2.weight"))?);
    }
    let [motion_encoder_dim, motion_dim] = weights.extents("motion_encoder.motion_synthesis_weight")?;
    let [hidden, ..] = weights.extents::<3>("face_encoder.conv2.weight")?;
    let [heads, ..] = weights.extents::<3>("face_encoder.conv1_local.weight")?;
    let adapters = weights.count("face_adapter.").max(1);
    let every = if config.num_layers / INJECT_EVERY == adapters { INJECT_EVERY } else { (config.num_layers / adapters).max(1) };
    *config = Config {
        latent_channels: Some(latents),
        motion_encoder_channel_sizes: Some(channels),
        motion_encoder_size: size,
        motion_style_dim: conv("motion_encoder.conv_out.weight".into())?,
        motion_dim,
        motion_encoder_dim,
        face_encoder_hidden_dim: hidden,
        face_encoder_num_heads: heads / hidden.max(1),
        inject_face_latents_blocks: every,
        ..config.clone()
    };
    Ok(())
}

/// The official configuration beside the file, if there is one.
fn official(weights: &Weights, width: usize, layers: usize) -> Result<Option<Official>> {
    let Some(json) = config_beside(weights.location())?.filter(|json| json.get("dim").is_some() && json.get("num_heads").is_some()) else {
        return Ok(None);
    };
    let file = weights.path().with_file_name("config.json");
    let official: Official = serde_json::from_value(json).map_err(|error| Error::weights(&file, error.to_string()))?;
    if (official.dim, official.num_layers) != (width, layers) {
        let message = format!(
            "it has `dim` {} and `num_layers` {}, {} has {width} and {layers}: it is another model's",
            official.dim,
            official.num_layers,
            weights.path().display()
        );
        return Err(Error::weights(&file, message));
    }
    if official.window_size.is_some_and(|size| size != [-1, -1]) {
        return Err(Error::Unsupported(format!("{}: `window_size` {:?}; attention is global here", file.display(), official.window_size)));
    }
    if !official.is_placed() {
        return Err(Error::Unsupported(format!(
            "{}: `refer_offset` other than 1, 0, -1, or a `refer_stride` other than 1",
            file.display()
        )));
    }
    Ok(Some(official))
}

/// Whose names a transformer's tensors have in diffusers, where they are not those here.
pub fn saved_names(weights: &Weights) -> Option<&'static Table> {
    is_animate_2(weights).then_some(&MODULAR_2)
}

/// Whether a transformer is Animate-2's, where its names tell: those of single files are those of Wan2.1's I2V.
pub fn is_animate_2(weights: &Weights) -> bool {
    [&OFFICIAL_2, &MODULAR_2].iter().any(|table| weights.layout() == Some(table.name))
}
