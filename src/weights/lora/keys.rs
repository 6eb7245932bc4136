//! What the tensors of LoRA files are called, in every dialect.

/// What a tensor is to the module that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// [rank, inputs].
    Down,
    /// [outputs, rank].
    Up,
    /// `[outputs]`, added to the bias with the strength of the product.
    UpBias,
    /// A number; over the rank, it is the strength.
    Alpha,
    /// DoRA: the lengths of the changed weight's rows, or of its columns.
    Magnitude,
    /// The change of a weight, as a whole.
    Diff,
    /// The change of a bias.
    DiffBias,
    /// The change of a block's modulation.
    DiffModulation,
    /// LoHa: the four factors of two products.
    HadaW1A,
    HadaW1B,
    HadaW2A,
    HadaW2B,
    /// LoKr: two matrices, each whole or as a product.
    LokrW1,
    LokrW1A,
    LokrW1B,
    LokrW2,
    LokrW2A,
    LokrW2B,
    /// Part of a method that this crate does not know how to merge.
    Unsupported(&'static str),
}

/// Endings of names, without a last `.weight`.
const ENDINGS: [(&str, Role); 25] = [
    (".lora_A", Role::Down),
    (".lora_down", Role::Down),
    (".lora.down", Role::Down),
    (".lora_B", Role::Up),
    (".lora_up", Role::Up),
    (".lora.up", Role::Up),
    (".lora_B.bias", Role::UpBias),
    (".alpha", Role::Alpha),
    (".diff", Role::Diff),
    (".diff_b", Role::DiffBias),
    (".diff_m", Role::DiffModulation),
    (".hada_w1_a", Role::HadaW1A),
    (".hada_w1_b", Role::HadaW1B),
    (".hada_w2_a", Role::HadaW2A),
    (".hada_w2_b", Role::HadaW2B),
    (".lokr_w1", Role::LokrW1),
    (".lokr_w1_a", Role::LokrW1A),
    (".lokr_w1_b", Role::LokrW1B),
    (".lokr_w2", Role::LokrW2),
    (".lokr_w2_a", Role::LokrW2A),
    (".lokr_w2_b", Role::LokrW2B),
    (".hada_t1", Role::Unsupported("LoHa with a core tensor")),
    (".lokr_t2", Role::Unsupported("LoKr with a core tensor")),
    (".lora_mid", Role::Unsupported("LoCon with a core tensor")),
    (".dora_scale", Role::Magnitude),
];

/// PEFT's name of what DoRA adds; an adapter's name may follow.
const MAGNITUDE: &str = ".lora_magnitude_vector";

/// What programs put before the name of a module, one after another.
const PREFIXES: [&str; 10] =
    ["base_model.", "model.", "diffusion_model.", "pipe.", "dit.", "transformer.", "lora_unet_", "lora_transformer_", "lycoris_", "_"];

/// The module and the role that a tensor's name says, or `None` where it is no part of a LoRA.
pub fn parse(name: &str) -> Option<(&str, Role)> {
    if let Some((module, _)) = name.split_once(MAGNITUDE) {
        return Some((bare(module), Role::Magnitude));
    }
    let name = name.strip_suffix(".weight").unwrap_or(name);
    let found = |name| ENDINGS.iter().find_map(|&(ending, role)| <str>::strip_suffix(name, ending).map(|module| (bare(module), role)));
    // PEFT may put the adapter's name last.
    let without_adapter = || found(name.rsplit_once('.')?.0).filter(|(_, role)| matches!(role, Role::Down | Role::Up));
    found(name).or_else(without_adapter)
}

/// A module's name without what comes before it.
fn bare(module: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| module.strip_prefix(prefix)).map_or(module, bare)
}
