//! What tensors are called in the official releases, in GGUF files and in diffusers' layout, as data, and the way from one to the other.

use super::Weights;

/// The names of one model in one layout, beside diffusers' and transformers' names for the same tensors.
#[derive(Debug)]
pub struct Table {
    /// Which model and layout it is.
    pub name: &'static str,
    /// A tensor that no other layout has.
    sign: &'static str,
    /// Modules by their full path. Of several that fit, from either side, the first counts.
    modules: &'static [&'static [Rule]],
    /// What lies within modules, the first that fits from either side; what is not listed keeps its name.
    inner: &'static [(&'static str, &'static str)],
    /// Endings of diffusers' names whose extents of 1 the other layout has and diffusers has not.
    squeezed: &'static [&'static str],
}

/// A module there, and what it is here: of two or more, each gets its part of the first axis; of none, it is not needed. `{}` stands for a
/// number, `{+1}` for that number and one, `{4}` for four times a number and a second one below four, `{4+3}` for four times a number and three.
type Rule = (&'static str, &'static [&'static str]);

/// Where a tensor in diffusers' layout comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name there.
    pub name: String,
    /// Which part of the first axis it is, counted from 0.
    pub part: usize,
    /// Of how many equal parts.
    pub parts: usize,
}

/// The transformer of Wan 2.1 and 2.2, with what Animate adds to it, as officially released and in single files.
pub const TRANSFORMER: Table = Table {
    name: "transformer, official names",
    sign: "blocks.0.self_attn.q.weight",
    modules: &[&[
        ("time_embedding.0", &["condition_embedder.time_embedder.linear_1"]),
        ("time_embedding.2", &["condition_embedder.time_embedder.linear_2"]),
        ("text_embedding.0", &["condition_embedder.text_embedder.linear_1"]),
        ("text_embedding.2", &["condition_embedder.text_embedder.linear_2"]),
        ("time_projection.1", &["condition_embedder.time_proj"]),
        ("img_emb.proj.0", &["condition_embedder.image_embedder.norm1"]),
        ("img_emb.proj.1", &["condition_embedder.image_embedder.ff.net.0.proj"]),
        ("img_emb.proj.3", &["condition_embedder.image_embedder.ff.net.2"]),
        ("img_emb.proj.4", &["condition_embedder.image_embedder.norm2"]),
        ("img_emb.emb_pos", &["condition_embedder.image_embedder.pos_embed"]),
        ("head.modulation", &["scale_shift_table"]),
        ("head.head", &["proj_out"]),
        ("motion_encoder.enc.net_app.convs.0.1", &["motion_encoder.conv_in.act_fn"]),
        ("motion_encoder.enc.net_app.convs.0.0", &["motion_encoder.conv_in"]),
        ("motion_encoder.enc.net_app.convs.8", &["motion_encoder.conv_out"]),
        ("motion_encoder.enc.net_app.convs.{+1}.conv1.1", &["motion_encoder.res_blocks.{}.conv1.act_fn"]),
        ("motion_encoder.enc.net_app.convs.{+1}.conv1.0", &["motion_encoder.res_blocks.{}.conv1"]),
        ("motion_encoder.enc.net_app.convs.{+1}.conv2.0.kernel", &[]),
        ("motion_encoder.enc.net_app.convs.{+1}.conv2.2", &["motion_encoder.res_blocks.{}.conv2.act_fn"]),
        ("motion_encoder.enc.net_app.convs.{+1}.conv2.1", &["motion_encoder.res_blocks.{}.conv2"]),
        ("motion_encoder.enc.net_app.convs.{+1}.skip.0.kernel", &[]),
        ("motion_encoder.enc.net_app.convs.{+1}.skip.1", &["motion_encoder.res_blocks.{}.conv_skip"]),
        ("motion_encoder.enc.fc", &["motion_encoder.motion_network"]),
        ("motion_encoder.dec.direction.weight", &["motion_encoder.motion_synthesis_weight"]),
        ("face_encoder.conv1_local.conv", &["face_encoder.conv1_local"]),
        ("face_encoder.conv2.conv", &["face_encoder.conv2"]),
        ("face_encoder.conv3.conv", &["face_encoder.conv3"]),
        ("face_adapter.fuser_blocks.{}.linear1_kv", &["face_adapter.{}.to_k", "face_adapter.{}.to_v"]),
        ("face_adapter.fuser_blocks.{}.linear1_q", &["face_adapter.{}.to_q"]),
        ("face_adapter.fuser_blocks.{}.linear2", &["face_adapter.{}.to_out"]),
        ("face_adapter.fuser_blocks.{}.q_norm", &["face_adapter.{}.norm_q"]),
        ("face_adapter.fuser_blocks.{}.k_norm", &["face_adapter.{}.norm_k"]),
        ("patch_embedding", &["patch_embedding"]),
        ("pose_patch_embedding", &["pose_patch_embedding"]),
        ("face_encoder", &["face_encoder"]),
        ("blocks.{}", &["blocks.{}"]),
    ]],
    inner: &[
        ("modulation", "scale_shift_table"),
        ("self_attn.q", "attn1.to_q"),
        ("self_attn.k", "attn1.to_k"),
        ("self_attn.v", "attn1.to_v"),
        ("self_attn.o", "attn1.to_out.0"),
        ("self_attn.norm_q", "attn1.norm_q"),
        ("self_attn.norm_k", "attn1.norm_k"),
        ("cross_attn.q", "attn2.to_q"),
        ("cross_attn.k", "attn2.to_k"),
        ("cross_attn.v", "attn2.to_v"),
        ("cross_attn.o", "attn2.to_out.0"),
        ("cross_attn.norm_q", "attn2.norm_q"),
        ("cross_attn.norm_k", "attn2.norm_k"),
        ("cross_attn.k_img", "attn2.add_k_proj"),
        ("cross_attn.v_img", "attn2.add_v_proj"),
        ("cross_attn.norm_k_img", "attn2.norm_added_k"),
        // The second and the third norm are numbered the other way round.
        ("norm3", "norm2"),
        ("norm2", "norm3"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
    ],
    squeezed: &["act_fn.bias"],
};

/// What both autoencoders have in common.
const VAE_ENDS: &[Rule] = &[
    ("conv1", &["quant_conv"]),
    ("conv2", &["post_quant_conv"]),
    ("encoder.conv1", &["encoder.conv_in"]),
    ("decoder.conv1", &["decoder.conv_in"]),
    ("encoder.head.0", &["encoder.norm_out"]),
    ("encoder.head.2", &["encoder.conv_out"]),
    ("decoder.head.0", &["decoder.norm_out"]),
    ("decoder.head.2", &["decoder.conv_out"]),
    ("encoder.middle.0", &["encoder.mid_block.resnets.0"]),
    ("encoder.middle.1", &["encoder.mid_block.attentions.0"]),
    ("encoder.middle.2", &["encoder.mid_block.resnets.1"]),
    ("decoder.middle.0", &["decoder.mid_block.resnets.0"]),
    ("decoder.middle.1", &["decoder.mid_block.attentions.0"]),
    ("decoder.middle.2", &["decoder.mid_block.resnets.1"]),
];

const VAE_INNER: &[(&str, &str)] =
    &[("residual.0", "norm1"), ("residual.2", "conv1"), ("residual.3", "norm2"), ("residual.6", "conv2"), ("shortcut", "conv_shortcut")];

/// The autoencoder of Wan 2.1, which Animate uses. Levels of its decoder have one residual block more than the encoder's two, and a step.
pub const VAE_2_1: Table = vae_2_1(
    "decoder.upsamples.3.resample.1.weight",
    &[
        VAE_ENDS,
        &[
            ("encoder.downsamples.{}", &["encoder.down_blocks.{}"]),
            ("decoder.upsamples.{4+3}", &["decoder.up_blocks.{}.upsamplers.0"]),
            ("decoder.upsamples.{4}", &["decoder.up_blocks.{}.resnets.{}"]),
        ],
    ],
);

/// The same of smaller ones, where the encoder's levels have one residual block.
pub const VAE_2_1_SHALLOW: Table = vae_2_1(
    "decoder.upsamples.2.resample.1.weight",
    &[
        VAE_ENDS,
        &[
            ("encoder.downsamples.{}", &["encoder.down_blocks.{}"]),
            ("decoder.upsamples.{3+2}", &["decoder.up_blocks.{}.upsamplers.0"]),
            ("decoder.upsamples.{3}", &["decoder.up_blocks.{}.resnets.{}"]),
        ],
    ],
);

const fn vae_2_1(sign: &'static str, modules: &'static [&'static [Rule]]) -> Table {
    Table { name: "VAE 2.1, official names", sign, modules, inner: VAE_INNER, squeezed: &[] }
}

/// The autoencoder of Wan 2.2's 5B model.
pub const VAE_2_2: Table = Table {
    name: "VAE 2.2, official names",
    sign: "decoder.upsamples.0.upsamples.0.residual.0.gamma",
    modules: &[
        VAE_ENDS,
        &[
            ("encoder.downsamples.{}.downsamples.2", &["encoder.down_blocks.{}.downsampler"]),
            ("encoder.downsamples.{}.downsamples.{}", &["encoder.down_blocks.{}.resnets.{}"]),
            ("decoder.upsamples.{}.upsamples.3", &["decoder.up_blocks.{}.upsampler"]),
            ("decoder.upsamples.{}.upsamples.{}", &["decoder.up_blocks.{}.resnets.{}"]),
        ],
    ],
    inner: VAE_INNER,
    squeezed: &[],
};

/// The text encoder as officially released.
pub const UMT5: Table = Table {
    name: "UMT5 encoder, official names",
    sign: "blocks.0.pos_embedding.embedding.weight",
    modules: &[&[("token_embedding", &["shared"]), ("norm", &["encoder.final_layer_norm"]), ("blocks.{}", &["encoder.block.{}"])]],
    inner: &[
        ("norm1", "layer.0.layer_norm"),
        ("pos_embedding.embedding", "layer.0.SelfAttention.relative_attention_bias"),
        ("attn", "layer.0.SelfAttention"),
        ("norm2", "layer.1.layer_norm"),
        ("ffn.gate.0", "layer.1.DenseReluDense.wi_0"),
        ("ffn.fc1", "layer.1.DenseReluDense.wi_1"),
        ("ffn.fc2", "layer.1.DenseReluDense.wo"),
    ],
    squeezed: &[],
};

/// The text encoder in GGUF files.
pub const UMT5_GGUF: Table = Table {
    name: "UMT5 encoder, GGUF names",
    sign: "token_embd.weight",
    modules: &[&[("token_embd", &["shared"]), ("enc.output_norm", &["encoder.final_layer_norm"]), ("enc.blk.{}", &["encoder.block.{}"])]],
    inner: &[
        ("attn_norm", "layer.0.layer_norm"),
        ("attn_q", "layer.0.SelfAttention.q"),
        ("attn_k", "layer.0.SelfAttention.k"),
        ("attn_v", "layer.0.SelfAttention.v"),
        ("attn_o", "layer.0.SelfAttention.o"),
        ("attn_rel_b", "layer.0.SelfAttention.relative_attention_bias"),
        ("ffn_norm", "layer.1.layer_norm"),
        ("ffn_gate", "layer.1.DenseReluDense.wi_0"),
        ("ffn_up", "layer.1.DenseReluDense.wi_1"),
        ("ffn_down", "layer.1.DenseReluDense.wo"),
    ],
    squeezed: &[],
};

/// The image encoder as officially released, which carries a text tower that no Wan model uses.
pub const CLIP: Table = Table {
    name: "CLIP vision tower, official names",
    sign: "visual.cls_embedding",
    modules: &[&[
        ("visual.cls_embedding", &["embeddings.class_embedding"]),
        ("visual.pos_embedding", &["embeddings.position_embedding.weight"]),
        ("visual.patch_embedding", &["embeddings.patch_embedding"]),
        ("visual.pre_norm", &["pre_layrnorm"]),
        ("visual.post_norm", &["post_layernorm"]),
        ("visual.head", &[]),
        ("textual", &[]),
        ("log_scale", &[]),
        (
            "visual.transformer.{}.attn.to_qkv",
            &["encoder.layers.{}.self_attn.q_proj", "encoder.layers.{}.self_attn.k_proj", "encoder.layers.{}.self_attn.v_proj"],
        ),
        ("visual.transformer.{}", &["encoder.layers.{}"]),
    ]],
    inner: &[
        ("norm1", "layer_norm1"),
        ("norm2", "layer_norm2"),
        ("attn.proj", "self_attn.out_proj"),
        ("mlp.0", "mlp.fc1"),
        ("mlp.2", "mlp.fc2"),
    ],
    squeezed: &["class_embedding", "position_embedding.weight"],
};

/// Every layout that is not diffusers' own.
pub const TABLES: [&Table; 7] = [&TRANSFORMER, &VAE_2_1, &VAE_2_1_SHALLOW, &VAE_2_2, &UMT5, &UMT5_GGUF, &CLIP];

impl Table {
    /// The layout of a checkpoint, or `None` where it is diffusers' own or unknown.
    pub fn of(weights: &Weights) -> Option<&'static Self> {
        TABLES.into_iter().find(|table| weights.contains(table.sign))
    }

    /// What a tensor is called in diffusers' layout: several names where it is cut, none where it is not needed, `None` where it is unknown.
    pub fn to_diffusers(&self, name: &str) -> Option<Vec<String>> {
        self.rules().find_map(|(there, here)| {
            let (numbers, rest) = matches(there, name)?;
            let rest = translate(rest, self.inner.iter().copied());
            Some(here.iter().map(|pattern| fill(pattern, &numbers) + &rest).collect())
        })
    }

    /// Where a tensor of diffusers' layout comes from, or `None` where it is unknown.
    pub fn to_origin(&self, name: &str) -> Option<Origin> {
        self.rules().find_map(|(there, here)| {
            let fits = |(part, pattern): (usize, &&str)| matches(pattern, name).map(|(numbers, rest)| (part, numbers, rest));
            let (part, numbers, rest) = here.iter().enumerate().find_map(fits)?;
            let rest = translate(rest, self.inner.iter().map(|&(there, here)| (here, there)));
            let origin = fill(there, &numbers) + &rest;
            // Another rule may come first for that name; then this one does not lead here.
            let leads_here = self.to_diffusers(&origin).is_some_and(|names| names.get(part).is_some_and(|found| found == name));
            leads_here.then_some(Origin { name: origin, part, parts: here.len() })
        })
    }

    /// Whether the tensor that diffusers calls `name` has extents of 1 there that it has not here.
    pub(super) fn is_squeezed(&self, name: &str) -> bool {
        self.squeezed.iter().any(|ending| name.ends_with(ending))
    }

    fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.modules.iter().copied().flatten()
    }
}

/// The numbers that a pattern's braces stand for in `name`, and what follows it there.
fn matches<'a>(pattern: &str, name: &'a str) -> Option<(Vec<u32>, &'a str)> {
    let mut numbers = Vec::new();
    let mut rest = name;
    for (i, part) in pattern.split('.').enumerate() {
        let text = if i == 0 { rest } else { rest.strip_prefix('.')? };
        let (segment, _) = text.split_once('.').unwrap_or((text, ""));
        match Part::of(part) {
            Part::Number => numbers.push(segment.parse().ok()?),
            Part::OneMore => numbers.push(segment.parse::<u32>().ok()?.checked_sub(1)?),
            Part::Pair(each) => {
                let number: u32 = segment.parse().ok()?;
                numbers.extend([number / each, number % each]);
            }
            Part::Every(each, rest) => {
                let number: u32 = segment.parse().ok()?;
                numbers.push((number % each == rest).then_some(number / each)?);
            }
            Part::Text if part == segment => {}
            Part::Text => return None,
        }
        rest = &text[segment.len()..];
    }
    Some((numbers, rest))
}

fn fill(pattern: &str, numbers: &[u32]) -> String {
    let mut numbers = numbers.iter().copied();
    // Numbers come from names, and can be anything: those that are too large are no name's.
    let mut next = || numbers.next().unwrap_or(u32::MAX);
    let mut part = |part: &str| match Part::of(part) {
        Part::Number => next().to_string(),
        Part::OneMore => next().saturating_add(1).to_string(),
        Part::Pair(each) => next().saturating_mul(each).saturating_add(next()).to_string(),
        Part::Every(each, rest) => next().saturating_mul(each).saturating_add(rest).to_string(),
        Part::Text => part.into(),
    };
    pattern.split('.').map(&mut part).collect::<Vec<_>>().join(".")
}

/// A part of a [`Rule`]'s pattern, between dots.
enum Part {
    Text,
    Number,
    OneMore,
    Pair(u32),
    Every(u32, u32),
}

impl Part {
    fn of(part: &str) -> Self {
        let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else { return Self::Text };
        let (each, rest) = inner.split_once('+').map_or((inner, None), |(each, rest)| (each, rest.parse().ok()));
        match (each.parse(), rest) {
            (Ok(each), Some(rest)) => Self::Every(each, rest),
            (Ok(each), None) => Self::Pair(each),
            (Err(_), Some(_)) => Self::OneMore,
            (Err(_), None) => Self::Number,
        }
    }
}

/// What follows a module's name, with what it begins with replaced.
fn translate(rest: &str, pairs: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let found = rest.strip_prefix('.').and_then(|inner| {
        pairs
            .filter_map(|(from, to)| inner.strip_prefix(from).map(|after| (to, after)))
            .find(|(_, after)| after.is_empty() || after.starts_with('.'))
    });
    found.map_or_else(|| rest.into(), |(to, after)| format!(".{to}{after}"))
}
