//! Convolutions by cooperative matrices of f16, summed in f32.

use crate::error::{Error, Result};
use crate::gpu::kernel::{READ_OPTIONAL, VECTOR_OPTIONAL, WRITE, constants_of, tiles};
use crate::gpu::{Element, Kernel, Needs, Recorder, Slot, family::Coop};
use crate::ops::conv::call::{Call, Params};
use crate::ops::finish::ALL_ACTIVATIONS;

/// A workgroup is `subgroups` of pixels by channels, each of which makes `fragments` fragments of pixels by as many as there are in `channels`: 96,
/// which the VAEs have multiples of, or 64.
#[derive(Clone, Copy)]
struct Tile {
    matrices: Coop,
    subgroups: [u32; 2],
    fragments: u32,
    channels: u32,
}

/// Channels that are taken at once.
const SLICE: u32 = 32;

impl Tile {
    const fn new(matrices: Coop, subgroups: [u32; 2], fragments: u32, channels: u32) -> Self {
        Self { matrices, subgroups, fragments, channels }
    }

    const fn pixels(self) -> u32 {
        self.subgroups[0] * self.fragments * self.matrices.size
    }

    /// LX and LW are the vec4s of each operand that a thread carries.
    const fn constants(self) -> [(&'static str, u32); 12] {
        let (Coop { size, lanes, scalar_arrays, .. }, [sm, sn]) = (self.matrices, self.subgroups);
        [
            ("SIZE", size),
            ("SM", sm),
            ("SN", sn),
            ("FM", self.fragments),
            ("FN", self.channels / (sn * size)),
            ("BK", SLICE),
            ("LANES", lanes),
            ("VEC4_ARRAYS", !scalar_arrays as u32),
            ("PAD", self.matrices.padding()),
            ("LX", self.fragments * size * SLICE / 4 / (sn * lanes)),
            ("LW", self.channels * SLICE / 4 / (sm * sn * lanes)),
            ("WG", sm * sn * lanes),
        ]
    }
}

const NVIDIA: Coop = Coop::new(16, 32, false);
const AMD: Coop = Coop::new(16, 64, false);
const APPLE: Coop = Coop::new(8, 32, true);
// Both ways of declaring arrays, for the sake of tests.
const SOFTWARE: [Coop; 2] = [Coop::new(8, 8, false), Coop::new(8, 8, true)];

static TILES: [Tile; 10] = [
    Tile::new(NVIDIA, [4, 2], 2, 96),
    Tile::new(NVIDIA, [4, 2], 2, 64),
    Tile::new(AMD, [2, 2], 4, 96),
    Tile::new(AMD, [2, 2], 4, 64),
    Tile::new(APPLE, [4, 2], 2, 96),
    Tile::new(APPLE, [4, 2], 2, 64),
    Tile::new(SOFTWARE[0], [4, 2], 2, 96),
    Tile::new(SOFTWARE[0], [4, 2], 2, 64),
    Tile::new(SOFTWARE[1], [4, 2], 2, 96),
    Tile::new(SOFTWARE[1], [4, 2], 2, 64),
];

static CONSTANTS: [[(&str, u32); 12]; 10] = constants_of!(TILES, 10, 12);

const PAST: &[Element] = &[Element::Absent, Element::F32x4, Element::NativeF16x4];

pub static CONV_COOP: Kernel = Kernel {
    workgroup: 256,
    slots: &[
        Slot::read("x", &[Element::F32x4, Element::NativeF16x4]),
        Slot::read("past1", PAST),
        Slot::read("past2", PAST),
        Slot::read("w", &[Element::NativeF16x4]),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::read("slope", VECTOR_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    tiles: &tiles(&CONSTANTS),
    variants: &[&[("ACT", ALL_ACTIVATIONS)]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("conv_coop", include_str!("../../../wgsl/conv_coop.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let channels = if call.weight.out_channels().is_multiple_of(96) { 96 } else { 64 };
    let matrices = rec.device().coop();
    let tile = TILES.into_iter().find(|tile| Some(tile.matrices) == matrices && tile.channels == channels);
    let tile = tile.ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    call.dispatch(rec, &CONV_COOP, &tile.constants(), [tile.pixels(), channels])
}
