//! Products through workgroup memory.

use crate::error::Result;
use crate::gpu::{Family, Kernel, Recorder};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{Gemm, Params, SLOTS};

pub static MATMUL_TILED: Kernel = Kernel {
    slots: SLOTS,
    tiles: &[&TILES[0].constants(), &TILES[1].constants(), &TILES[2].constants()],
    variants: &[&[("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    ..Kernel::of("matmul_tiled", include_str!("../../../wgsl/matmul_tiled.wgsl"), size_of::<Params>())
};

/// Rows and columns of a workgroup and of a lane.
#[derive(Clone, Copy)]
struct Tile {
    bm: u32,
    bn: u32,
    tm: u32,
    tn: u32,
}

impl Tile {
    const fn constants(self) -> [(&'static str, u32); 5] {
        let lanes = self.bm / self.tm * (self.bn / self.tn);
        [("BM", self.bm), ("BN", self.bn), ("TM", self.tm), ("TN", self.tn), ("WG", lanes)]
    }
}

/// A lane transposes one block of four rows by four numbers, or several.
const TILES: [Tile; 3] =
    [Tile { bm: 128, bn: 128, tm: 8, tn: 8 }, Tile { bm: 64, bn: 64, tm: 8, tn: 8 }, Tile { bm: 32, bn: 32, tm: 4, tn: 4 }];

/// The largest tile of which there are enough to go round.
fn choose(rows: usize, cols: usize) -> Tile {
    const ENOUGH: usize = 128;
    let [.., smallest] = TILES;
    TILES.into_iter().find(|tile| rows.div_ceil(tile.bm as usize) * cols.div_ceil(tile.bn as usize) >= ENOUGH).unwrap_or(smallest)
}

pub(super) fn record(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    let tuned = gemm.tuned(rec, Family::Tiled, TILES.len(), |rec, number| run(rec, gemm, TILES[number]));
    run(rec, gemm, tuned.map_or_else(|| choose(gemm.x.rows(), gemm.w.rows()), |number| TILES[number]))
}

fn run(rec: &mut Recorder, gemm: &Gemm, tile: Tile) -> Result<()> {
    let rows = gemm.x.rows();
    let params = gemm.params(tile.bn);
    let constants = [&tile.constants()[..], &gemm.epilogue_constants()].concat();
    let args = gemm.args();
    let groups = rows.div_ceil(tile.bm as usize) * params.column_groups as usize;
    rec.dispatch(&MATMUL_TILED, &constants, &params, &args, groups, gemm.cost(&args))
}
