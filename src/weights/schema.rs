//! Which tensors a model of each kind has, as data in diffusers' and transformers' names: what is unknown, what is missing, what was meant.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Weights};

/// Modules of the same kind, and what their names end with. `{}` stands for a number.
struct Modules {
    names: &'static [&'static str],
    endings: &'static [&'static str],
    presence: Presence,
}

/// When modules have to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Always; numbered ones for all numbers up to the highest.
    Always,
    /// All of this group, or none.
    Group(&'static str),
    /// Each by itself, but then with all of its endings.
    Whole,
}

use Presence::{Always, Group, Whole};

const LAYER: &[&str] = &["weight", "bias"];
const WEIGHT: &[&str] = &["weight"];
const GAMMA: &[&str] = &["gamma"];

const fn modules(names: &'static [&'static str], endings: &'static [&'static str], presence: Presence) -> Modules {
    Modules { names, endings, presence }
}

const TRANSFORMER: &[Modules] = &[
    modules(
        &[
            "patch_embedding",
            "condition_embedder.time_embedder.linear_1",
            "condition_embedder.time_embedder.linear_2",
            "condition_embedder.time_proj",
            "condition_embedder.text_embedder.linear_1",
            "condition_embedder.text_embedder.linear_2",
            "blocks.{}.attn1.to_q",
            "blocks.{}.attn1.to_k",
            "blocks.{}.attn1.to_v",
            "blocks.{}.attn1.to_out.0",
            "blocks.{}.attn2.to_q",
            "blocks.{}.attn2.to_k",
            "blocks.{}.attn2.to_v",
            "blocks.{}.attn2.to_out.0",
            "blocks.{}.norm2",
            "blocks.{}.ffn.net.0.proj",
            "blocks.{}.ffn.net.2",
            "proj_out",
        ],
        LAYER,
        Always,
    ),
    modules(&["blocks.{}.attn1.norm_q", "blocks.{}.attn1.norm_k", "blocks.{}.attn2.norm_q", "blocks.{}.attn2.norm_k"], WEIGHT, Always),
    modules(&["blocks.{}.scale_shift_table", "scale_shift_table"], &[""], Always),
    modules(
        &[
            "condition_embedder.image_embedder.norm1",
            "condition_embedder.image_embedder.ff.net.0.proj",
            "condition_embedder.image_embedder.ff.net.2",
            "condition_embedder.image_embedder.norm2",
        ],
        LAYER,
        Group("image_embedder"),
    ),
    // The official Animate may have an embedder without keys of its own, and makes no use of it then.
    modules(&["blocks.{}.attn2.add_k_proj", "blocks.{}.attn2.add_v_proj"], LAYER, Group("image_keys")),
    modules(&["blocks.{}.attn2.norm_added_k"], WEIGHT, Group("image_keys")),
    modules(&["condition_embedder.image_embedder.pos_embed"], &[""], Whole),
];

const ANIMATE: &[Modules] = &[
    modules(
        &[
            "pose_patch_embedding",
            "motion_encoder.motion_network.{}",
            "face_encoder.conv1_local",
            "face_encoder.conv2",
            "face_encoder.conv3",
            "face_encoder.out_proj",
            "face_adapter.{}.to_q",
            "face_adapter.{}.to_k",
            "face_adapter.{}.to_v",
            "face_adapter.{}.to_out",
        ],
        LAYER,
        Always,
    ),
    modules(
        &["motion_encoder.conv_in", "motion_encoder.res_blocks.{}.conv1", "motion_encoder.res_blocks.{}.conv2"],
        &["weight", "act_fn.bias"],
        Always,
    ),
    modules(
        &["motion_encoder.res_blocks.{}.conv_skip", "motion_encoder.conv_out", "face_adapter.{}.norm_q", "face_adapter.{}.norm_k"],
        WEIGHT,
        Always,
    ),
    modules(&["motion_encoder.motion_synthesis_weight", "face_encoder.padding_tokens"], &[""], Always),
];

const UMT5: &[Modules] = &[
    modules(
        &[
            "encoder.block.{}.layer.0.SelfAttention.q",
            "encoder.block.{}.layer.0.SelfAttention.k",
            "encoder.block.{}.layer.0.SelfAttention.v",
            "encoder.block.{}.layer.0.SelfAttention.o",
            "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias",
            "encoder.block.{}.layer.0.layer_norm",
            "encoder.block.{}.layer.1.DenseReluDense.wi_0",
            "encoder.block.{}.layer.1.DenseReluDense.wi_1",
            "encoder.block.{}.layer.1.DenseReluDense.wo",
            "encoder.block.{}.layer.1.layer_norm",
            "encoder.final_layer_norm",
        ],
        WEIGHT,
        Always,
    ),
    // Either of them is enough.
    modules(&["shared", "encoder.embed_tokens"], WEIGHT, Whole),
    modules(&["spiece_model"], &[""], Whole),
];

const CLIP: &[Modules] = &[
    modules(
        &[
            "pre_layrnorm",
            "encoder.layers.{}.layer_norm1",
            "encoder.layers.{}.self_attn.q_proj",
            "encoder.layers.{}.self_attn.k_proj",
            "encoder.layers.{}.self_attn.v_proj",
            "encoder.layers.{}.self_attn.out_proj",
            "encoder.layers.{}.layer_norm2",
            "encoder.layers.{}.mlp.fc1",
            "encoder.layers.{}.mlp.fc2",
            "post_layernorm",
        ],
        LAYER,
        Always,
    ),
    modules(&["embeddings.patch_embedding", "embeddings.position_embedding"], WEIGHT, Always),
    modules(&["embeddings.class_embedding"], &[""], Always),
    modules(&["embeddings.position_ids"], &[""], Whole),
    modules(&["visual_projection"], WEIGHT, Whole),
];

const VAE: &[Modules] = &[
    modules(
        &["encoder.conv_in", "encoder.conv_out", "quant_conv", "post_quant_conv", "decoder.conv_in", "decoder.conv_out"],
        LAYER,
        Always,
    ),
    modules(&["encoder.norm_out", "decoder.norm_out"], GAMMA, Always),
    modules(
        &[
            "encoder.mid_block.resnets.{}.conv1",
            "encoder.mid_block.resnets.{}.conv2",
            "encoder.mid_block.attentions.{}.to_qkv",
            "encoder.mid_block.attentions.{}.proj",
            "decoder.mid_block.resnets.{}.conv1",
            "decoder.mid_block.resnets.{}.conv2",
            "decoder.mid_block.attentions.{}.to_qkv",
            "decoder.mid_block.attentions.{}.proj",
            "decoder.up_blocks.{}.resnets.{}.conv1",
            "decoder.up_blocks.{}.resnets.{}.conv2",
        ],
        LAYER,
        Always,
    ),
    modules(
        &[
            "encoder.mid_block.resnets.{}.norm1",
            "encoder.mid_block.resnets.{}.norm2",
            "encoder.mid_block.attentions.{}.norm",
            "decoder.mid_block.resnets.{}.norm1",
            "decoder.mid_block.resnets.{}.norm2",
            "decoder.mid_block.attentions.{}.norm",
            "decoder.up_blocks.{}.resnets.{}.norm1",
            "decoder.up_blocks.{}.resnets.{}.norm2",
        ],
        GAMMA,
        Always,
    ),
    modules(
        &[
            "decoder.up_blocks.{}.resnets.{}.conv_shortcut",
            "encoder.down_blocks.{}.conv1",
            "encoder.down_blocks.{}.conv2",
            "encoder.down_blocks.{}.conv_shortcut",
            "encoder.down_blocks.{}.resample.1",
            "encoder.down_blocks.{}.time_conv",
            "decoder.up_blocks.{}.upsamplers.0.resample.1",
            "decoder.up_blocks.{}.upsamplers.0.time_conv",
            "encoder.down_blocks.{}.resnets.{}.conv1",
            "encoder.down_blocks.{}.resnets.{}.conv2",
            "encoder.down_blocks.{}.resnets.{}.conv_shortcut",
            "encoder.down_blocks.{}.downsampler.resample.1",
            "encoder.down_blocks.{}.downsampler.time_conv",
            "decoder.up_blocks.{}.upsampler.resample.1",
            "decoder.up_blocks.{}.upsampler.time_conv",
        ],
        LAYER,
        Whole,
    ),
    modules(
        &[
            "encoder.down_blocks.{}.norm1",
            "encoder.down_blocks.{}.norm2",
            "encoder.down_blocks.{}.resnets.{}.norm1",
            "encoder.down_blocks.{}.resnets.{}.norm2",
        ],
        GAMMA,
        Whole,
    ),
];

/// A name that may be meant at a distance of this part of its length.
const NEAR: f64 = 0.75;

/// Which of the tensors of a checkpoint its model does not know, and which it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Names that the model does not know, each with the known one that is nearest, where one is near.
    pub unknown: Vec<(String, Option<String>)>,
    /// Names that the model needs and the checkpoint has not.
    pub missing: Vec<String>,
}

impl Coverage {
    /// Of an opened checkpoint, judged by its [`Kind`]. LoRAs and what is of no known kind have nothing unknown or missing.
    pub fn of(weights: &Weights) -> Self {
        let schema: Vec<&[Modules]> = match Kind::of(weights) {
            Kind::Animate => vec![TRANSFORMER, ANIMATE],
            Kind::Transformer => vec![TRANSFORMER],
            Kind::Umt5 => vec![UMT5],
            Kind::Clip => vec![CLIP],
            Kind::Vae21 | Kind::Vae22 => vec![VAE],
            Kind::Lora | Kind::Unknown => return Self::default(),
        };
        let schema: Vec<&Modules> = schema.into_iter().flatten().collect();
        let names: BTreeSet<&str> = weights.iter().map(|(name, _)| bare(name)).collect();
        let missing = missing(&schema, &names);
        let unknown = names.iter().filter(|name| !is_known(&schema, name));
        let unknown = unknown.map(|name| (name.to_string(), nearest(name, &schema))).collect();
        Self { unknown, missing }
    }
}

/// transformers 4 puts a prefix before CLIP's names.
fn bare(name: &str) -> &str {
    name.strip_prefix("vision_model.").unwrap_or(name)
}

impl Modules {
    /// All patterns of tensors' names.
    fn patterns(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().flat_map(|name| self.endings.iter().map(move |ending| join(name, ending)))
    }
}

fn join(module: &str, ending: &str) -> String {
    if ending.is_empty() { module.into() } else { format!("{module}.{ending}") }
}

/// A name with `{}` in place of its numbers, but for those that are part of a pattern's text: the two forms that fit, and the numbers.
fn numbers(pattern: &str, name: &str) -> Option<Vec<usize>> {
    let (mut parts, mut numbers) = (name.split('.'), Vec::new());
    for part in pattern.split('.') {
        match (part, parts.next()?) {
            ("{}", number) => numbers.push(number.parse().ok()?),
            (text, found) if text == found => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(numbers)
}

fn is_known(schema: &[&Modules], name: &str) -> bool {
    schema.iter().any(|modules| modules.patterns().any(|pattern| numbers(&pattern, name).is_some()))
}

fn missing(schema: &[&Modules], names: &BTreeSet<&str>) -> Vec<String> {
    let counts = counts(names);
    let groups: BTreeSet<&str> = schema
        .iter()
        .filter(|modules| modules.patterns().any(|pattern| has(names, &pattern)))
        .filter_map(|modules| group(modules))
        .collect();
    let mut missing = Vec::new();
    for modules in schema {
        let is_needed = modules.presence == Always || group(modules).is_some_and(|group| groups.contains(group));
        for module in modules.names {
            for name in expand(module, &counts) {
                let all: Vec<_> = modules.endings.iter().map(|ending| join(&name, ending)).collect();
                let is_there = all.iter().any(|name| names.contains(name.as_str()));
                if is_needed || is_there {
                    missing.extend(all.into_iter().filter(|name| !names.contains(name.as_str())));
                }
            }
        }
    }
    missing
}

fn group(modules: &Modules) -> Option<&'static str> {
    match modules.presence {
        Group(name) => Some(name),
        Always | Whole => None,
    }
}

fn has(names: &BTreeSet<&str>, pattern: &str) -> bool {
    names.iter().any(|name| numbers(pattern, name).is_some())
}

/// By what stands before a number, one more than the highest there is.
fn counts(names: &BTreeSet<&str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        let mut before = String::new();
        for part in name.split('.') {
            if let Ok(number) = part.parse::<usize>() {
                let count = counts.entry(before.clone()).or_insert(0);
                *count = (number + 1).max(*count);
            }
            before.push_str(part);
            before.push('.');
        }
    }
    counts
}

/// The names that a pattern stands for, with all numbers that there are at each place.
fn expand(pattern: &str, counts: &BTreeMap<String, usize>) -> Vec<String> {
    let mut names = vec![String::new()];
    for part in pattern.split('.') {
        let dot = |name: &String| if name.is_empty() { String::new() } else { format!("{name}.") };
        names = match part {
            "{}" => {
                let all = |name: &String| {
                    (0..counts.get(&dot(name)).copied().unwrap_or(0)).map(|i| format!("{}{i}", dot(name))).collect::<Vec<_>>()
                };
                names.iter().flat_map(all).collect()
            }
            _ => names.iter().map(|name| dot(name) + part).collect(),
        };
    }
    names
}

/// The known name that differs least from an unknown one, if it is near.
fn nearest(name: &str, schema: &[&Modules]) -> Option<String> {
    let found: Vec<&str> = name.split('.').filter(|part| part.parse::<usize>().is_ok()).collect();
    let fill = |pattern: String| {
        let mut found = found.iter();
        let parts: Vec<&str> = pattern.split('.').map(|part| if part == "{}" { found.next().unwrap_or(&"0") } else { part }).collect();
        parts.join(".")
    };
    let names = schema.iter().flat_map(|modules| modules.patterns()).map(fill);
    let near = names.map(|known| (strsim::normalized_levenshtein(name, &known), known)).filter(|(likeness, _)| *likeness >= NEAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}
