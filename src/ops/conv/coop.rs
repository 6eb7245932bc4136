//! Convolutions by cooperative matrices of f16, summed in f32.

use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, READ_OPTIONAL, VECTOR_OPTIONAL, WRITE};
use crate::gpu::{Element, Kernel, Needs, Recorder, Slot};
use crate::ops::libs::{ACTIVATION, OPERAND_TILES, TAPS};
use crate::ops::{activation::ACTIVATIONS, conv::call::Call, conv::call::Params};

/// A workgroup is SM by SN subgroups of LANES, a subgroup FM by FN fragments of SIZE by SIZE: 96 channels, which the VAEs have multiples of,
/// or 64. LX and LW are the fours of each operand that a lane carries.
macro_rules! variants {
    ($size:literal, [$sm:literal, $sn:literal], $fm:literal, $channels:literal, $lanes:literal, $fours:literal) => {
        &[
            ("SIZE", &[$size]),
            ("SM", &[$sm]),
            ("SN", &[$sn]),
            ("FM", &[$fm]),
            ("FN", &[$channels / ($sn * $size)]),
            ("LANES", &[$lanes]),
            ("FOURS", &[$fours]),
            ("ONES", &[1 - $fours]),
            ("LX", &[$fm * $size * 8 / ($sn * $lanes)]),
            ("LW", &[$channels * 8 / ($sm * $sn * $lanes)]),
            ("WG", &[$sm * $sn * $lanes]),
            ("ACT", ACTIVATIONS),
        ]
    };
}

/// See `wgsl/conv_coop.wgsl`.
pub static CONV_COOP: Kernel = Kernel {
    libs: &[ACTIVATION, TAPS, OPERAND_TILES],
    workgroup: 256,
    slots: &[
        Slot::read("x", READ),
        Slot::read("past1", READ_OPTIONAL),
        Slot::read("past2", READ_OPTIONAL),
        Slot::read("w", &[Element::Half4]),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    variants: &[
        // NVIDIA.
        variants!(16, [4, 2], 2, 96, 32, 1),
        variants!(16, [4, 2], 2, 64, 32, 1),
        // AMD.
        variants!(16, [2, 2], 4, 96, 64, 1),
        variants!(16, [2, 2], 4, 64, 64, 1),
        // Apple.
        variants!(8, [4, 2], 2, 96, 32, 0),
        variants!(8, [4, 2], 2, 64, 32, 0),
        // Software, both ways of declaring tiles.
        variants!(8, [4, 2], 2, 96, 8, 1),
        variants!(8, [4, 2], 2, 64, 8, 1),
        variants!(8, [4, 2], 2, 96, 8, 0),
        variants!(8, [4, 2], 2, 64, 8, 0),
    ],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("conv_coop", include_str!("../../../wgsl/conv_coop.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let (size, lanes) = (matrices.size, matrices.lanes);
    let ([sm, sn], fm) = if lanes == 64 { ([2, 2], 4) } else { ([4, 2], 2) };
    let channels = if call.weight.out_channels().is_multiple_of(96) { 96 } else { 64 };
    let fours = u32::from(!matrices.ones);
    let constants = [
        ("SIZE", size),
        ("SM", sm),
        ("SN", sn),
        ("FM", fm),
        ("FN", channels / (sn * size)),
        ("LANES", lanes),
        ("FOURS", fours),
        ("ONES", 1 - fours),
        ("LX", fm * size * 8 / (sn * lanes)),
        ("LW", channels * 8 / (sm * sn * lanes)),
        ("WG", sm * sn * lanes),
    ];
    call.dispatch(rec, &CONV_COOP, &constants, [sm * fm * size, channels])
}
