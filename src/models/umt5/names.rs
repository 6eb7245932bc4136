//! What the text encoder's tensors are called elsewhere.

use crate::weights::names::Table;

/// The text encoder as officially released.
pub static OFFICIAL: Table = Table {
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
pub static GGUF: Table = Table {
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
