//! What a transformer's tensors are called elsewhere.

use crate::weights::names::{Rule, Table};

/// The transformer of Wan 2.1 and 2.2, with what Animate adds to it, as officially released and in single files.
pub static OFFICIAL: Table = Table {
    name: "transformer, official names",
    sign: "blocks.0.self_attn.q.weight",
    modules: &[ENDS, ANIMATE, BLOCKS],
    inner: INNER,
    squeezed: &["act_fn.bias"],
};

/// Animate-2, as officially released: what lies within blocks is one level deeper.
pub static OFFICIAL_2: Table = Table {
    name: "Animate-2's transformer, official names",
    sign: "blocks.0.block.self_attn.q.weight",
    modules: &[ENDS, &[("blocks.{}.block", &["blocks.{}"])]],
    inner: INNER,
    squeezed: &[],
};

/// Animate-2 in diffusers, which keeps to official names for most of it.
pub static MODULAR_2: Table = Table {
    name: "Animate-2's transformer, diffusers' names",
    sign: "blocks.0.self_attn.to_q.weight",
    modules: &[ENDS, BLOCKS],
    inner: &[
        ("modulation", "scale_shift_table"),
        ("self_attn", "attn1"),
        ("cross_attn", "attn2"),
        ("norm3", "norm2"),
        ("norm2", "norm3"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
    ],
    squeezed: &[],
};

const BLOCKS: &[Rule] = &[("blocks.{}", &["blocks.{}"])];

/// What lies before the first block and after the last.
const ENDS: &[Rule] = &[
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
    ("patch_embedding", &["patch_embedding"]),
];

/// What Animate alone has.
const ANIMATE: &[Rule] = &[
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
    ("pose_patch_embedding", &["pose_patch_embedding"]),
    ("face_encoder", &["face_encoder"]),
];

/// What lies within blocks.
const INNER: &[(&str, &str)] = &[
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
];
