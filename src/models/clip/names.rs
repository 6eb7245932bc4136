//! What the image encoder's tensors are called elsewhere.

use crate::weights::names::Table;

/// The image encoder as officially released, which carries a text tower that no Wan model uses.
pub static OFFICIAL: Table = Table {
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
