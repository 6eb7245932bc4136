//! What an autoencoder's tensors are called elsewhere.

use crate::weights::{names::Rule, names::Table};

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
pub static OFFICIAL_2_1: Table = vae_2_1(
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
pub static OFFICIAL_2_1_SHALLOW: Table = vae_2_1(
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
pub static OFFICIAL_2_2: Table = Table {
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
