//! Attention by cooperative matrices of f16, summed in f32.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{constants_of, tiles};
use crate::gpu::{Arg, Device, Element, Family, Kernel, Needs, Recorder, Slot, family::Coop};
use crate::ops::{attention::call::Call, attention::call::Params, attention::call::RANGES, tuned::fastest_tile};

/// A workgroup is `subgroups` subgroups, each of which makes `fragments` fragments of queries, over tiles of `keys` keys, in heads of up to `dim`.
#[derive(Clone, Copy)]
struct Tile {
    matrices: Coop,
    dim: u32,
    subgroups: u32,
    fragments: u32,
    keys: u32,
    /// Whether values are transposed in registers, rather than by the card as it loads them.
    transposed: u32,
    room: Room,
}

/// What a tile takes of a card.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    Least,
    /// 48 KiB of workgroup memory.
    Memory,
    /// That, and the registers of RDNA 4.
    Rdna4,
}

impl Tile {
    const fn new(matrices: Coop, dim: u32, [subgroups, fragments, keys, transposed]: [u32; 4], room: Room) -> Self {
        Self { matrices, dim, subgroups, fragments, keys, transposed, room }
    }

    /// LX are the vec4s of keys that a thread carries, LV the blocks of values.
    const fn constants(self) -> [(&'static str, u32); 12] {
        let (Coop { size, lanes, scalar_arrays, .. }, dim) = (self.matrices, self.dim);
        let (all, vec4s) = (self.subgroups * lanes, self.keys * dim / 4);
        [
            ("SIZE", size),
            ("SG", self.subgroups),
            ("FM", self.fragments),
            ("FN", self.keys / size),
            ("FD", dim / size),
            ("TRANSPOSED", self.transposed),
            ("LANES", lanes),
            ("VEC4_ARRAYS", !scalar_arrays as u32),
            ("PAD", self.matrices.padding()),
            ("LX", vec4s / all),
            ("LV", vec4s.div_ceil(4 * all)),
            ("WG", all),
        ]
    }

    fn suits(self, matrices: Coop, call: &Call, device: &Device) -> bool {
        let has_memory = device.limits().max_compute_workgroup_storage_size >= 48 << 10;
        let has_room = match self.room {
            Room::Least => true,
            Room::Memory => has_memory,
            Room::Rdna4 => has_memory && device.is_rdna4(),
        };
        self.matrices == matrices && self.dim == width(call) && self.keys as usize <= call.k_len && has_room
    }
}

const NVIDIA: Coop = Coop::new(16, 32, false);
const AMD: Coop = Coop::new(16, 64, false);
const APPLE: Coop = Coop::new(8, 32, true);
// Both ways of declaring arrays, for the sake of tests.
const SOFTWARE: [Coop; 2] = [Coop::new(8, 8, false), Coop::new(8, 8, true)];

/// Of those that suit a card the first is what it gets untimed. Others may be faster: they read keys less often, or leave it to the card to
/// transpose values. RDNA 3 has no room for two fragments, and neither has NVIDIA. Sums and queries of heads of 256 take most of the
/// registers, of which transposing takes more, and their keys and values most of 32 KiB; on NVIDIA only half of what a lane would carry of them in
/// smaller workgroups fits.
static TILES: [Tile; 22] = [
    Tile::new(NVIDIA, 64, [4, 1, 32, 1], Room::Least),
    Tile::new(NVIDIA, 128, [4, 1, 16, 1], Room::Least),
    Tile::new(NVIDIA, 128, [8, 1, 16, 1], Room::Least),
    Tile::new(NVIDIA, 128, [4, 1, 16, 0], Room::Least),
    Tile::new(NVIDIA, 128, [8, 1, 16, 0], Room::Least),
    Tile::new(NVIDIA, 128, [4, 1, 32, 1], Room::Memory),
    Tile::new(NVIDIA, 128, [8, 1, 32, 1], Room::Memory),
    Tile::new(NVIDIA, 256, [8, 1, 16, 0], Room::Memory),
    Tile::new(AMD, 64, [4, 1, 32, 1], Room::Least),
    Tile::new(AMD, 64, [4, 2, 32, 1], Room::Rdna4),
    Tile::new(AMD, 128, [4, 1, 32, 1], Room::Least),
    Tile::new(AMD, 128, [4, 2, 32, 1], Room::Rdna4),
    Tile::new(AMD, 256, [4, 1, 16, 1], Room::Least),
    Tile::new(APPLE, 64, [4, 2, 32, 1], Room::Least),
    Tile::new(APPLE, 128, [4, 2, 32, 1], Room::Least),
    Tile::new(APPLE, 256, [4, 1, 16, 1], Room::Least),
    Tile::new(SOFTWARE[0], 64, [4, 1, 32, 1], Room::Least),
    Tile::new(SOFTWARE[0], 128, [4, 1, 32, 0], Room::Least),
    Tile::new(SOFTWARE[0], 256, [8, 1, 16, 0], Room::Least),
    Tile::new(SOFTWARE[1], 64, [4, 1, 32, 1], Room::Least),
    Tile::new(SOFTWARE[1], 128, [4, 1, 32, 0], Room::Least),
    Tile::new(SOFTWARE[1], 256, [8, 1, 16, 0], Room::Least),
];

static CONSTANTS: [[(&str, u32); 12]; 22] = constants_of!(TILES, 22, 12);

const F16: &[Element] = &[Element::NativeF16x4];

pub static ATTENTION_COOP: Kernel = Kernel {
    workgroup: 256,
    slots: &[
        Slot::read("q", F16),
        Slot::read("k", F16),
        Slot::read("v", F16),
        RANGES,
        Slot::write("out", &[Element::F32x4, Element::F16x4]),
    ],
    tiles: &tiles(&CONSTANTS),
    variants: &[&[("SHIFTED", &[1, 0]), ("RANGED", &[0])], &[("SHIFTED", &[0]), ("RANGED", &[1])]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("attention_coop", include_str!("../../../wgsl/attention_coop.wgsl"), size_of::<Params>())
};

/// Of fewer queries an attention is too short to be timed.
const WORTH_TUNING: usize = 1024;

/// Whether cooperative matrices can take the operands.
pub(super) fn fits(call: &Call, device: &Device) -> bool {
    let halves = [call.q, call.k, call.v].into_iter().all(|tensor| tensor.dtype() == DType::F16);
    // Heads of 256 leave no registers for ranges.
    let has_registers = call.how.ranges.is_none() || call.dim <= 128;
    // The highest score is looked for before scores are scaled.
    let is_plain = call.dim.is_multiple_of(4) && call.how.bias.is_none() && call.how.scale > 0.0;
    halves && has_registers && is_plain && !tiles_for(call, device).is_empty()
}

fn tiles_for(call: &Call, device: &Device) -> Vec<Tile> {
    let suits = |matrices| TILES.into_iter().filter(move |tile| tile.suits(matrices, call, device));
    device.coop().into_iter().flat_map(suits).collect()
}

/// Of the heads, as tiles have it.
fn width(call: &Call) -> u32 {
    (call.dim as u32).next_power_of_two().max(64)
}

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let tiles = tiles_for(call, rec.device());
    let untimed = tiles.first().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let [q_len, k_len] = [call.q_len, call.k_len].map(usize::next_power_of_two);
    let class = format!("attention {}, {q_len} to {k_len}, heads of {}", Family::Coop, width(call));
    let number = match call.q_len < WORTH_TUNING {
        true => None,
        false => fastest_tile(rec, &class, tiles.len(), |rec, number| run(rec, call, tiles[number])),
    };
    run(rec, call, number.map_or(*untimed, |number| tiles[number]))
}

fn run(rec: &mut Recorder, call: &Call, tile: Tile) -> Result<()> {
    let queries = tile.subgroups * tile.fragments * tile.matrices.size;
    let [q, k, v] = [call.q, call.k, call.v].map(Arg::native_f16);
    let args = [q, k, v, call.ranges(), Arg::aligned(call.out, true)];
    let constants = [&tile.constants()[..], &[("SHIFTED", u32::from(call.how.shift.is_some())), call.ranged()]].concat();
    call.dispatch(rec, &ATTENTION_COOP, &constants, &args, queries)
}
