//! Products by cooperative matrices: of f16, summed in f32.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{params, tiles};
use crate::gpu::{Arg, Element, Family, Kernel, Needs, Recorder, Slot, Tensor, family::Coop};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::libs::{ACTIVATION, EPILOGUE, OPERAND_TILES};
use crate::ops::product::call::{BIAS, GATE, OUT, Params, Product, RESIDUAL};

/// A workgroup is `sm` by `sn` subgroups, a subgroup `fm` by FN fragments.
#[derive(Clone, Copy)]
struct Tile {
    matrices: Coop,
    subgroups: [u32; 2],
    fragments: [u32; 2],
}

impl Tile {
    const fn new(size: u32, subgroups: [u32; 2], fragments: [u32; 2], lanes: u32, ones: bool) -> Self {
        Self { matrices: Coop::new(size, lanes, ones), subgroups, fragments }
    }

    /// Rows and columns.
    const fn extents(self) -> [u32; 2] {
        let ([sm, sn], [fm, across]) = (self.subgroups, self.fragments);
        [sm * fm * self.matrices.size, sn * across * self.matrices.size]
    }

    /// LX and LW are the loads of each operand that a lane makes, of RUN fours each: AMD's compiler makes one of two, others rather have single ones.
    const fn constants(self) -> [(&'static str, u32); 12] {
        let (Coop { size, lanes, ones, .. }, [sm, sn], [fm, across]) = (self.matrices, self.subgroups, self.fragments);
        let (run, all) = (if lanes == 64 { 2 } else { 1 }, sm * sn * lanes);
        let [x, w] = [("LX", fm * size * 8 / (sn * lanes * run)), ("LW", across * size * 8 / (sm * lanes * run))];
        let [down, right, fours] = [("SM", sm), ("SN", sn), ("FOURS", !ones as u32)];
        let [lanes, run, pad] = [("LANES", lanes), ("RUN", run), ("PAD", self.matrices.padding())];
        [("SIZE", size), down, right, ("FM", fm), ("FN", across), lanes, fours, run, pad, x, w, ("WG", all)]
    }
}

/// By class of device, the larger ones first.
static TILES: [Tile; 9] = [
    // NVIDIA.
    Tile::new(16, [2, 4], [4, 2], 32, false),
    Tile::new(16, [2, 2], [4, 4], 32, false),
    Tile::new(16, [2, 4], [2, 1], 32, false),
    // AMD.
    Tile::new(16, [2, 2], [4, 4], 64, false),
    Tile::new(16, [2, 2], [2, 2], 64, false),
    // Apple.
    Tile::new(8, [2, 4], [8, 4], 32, true),
    Tile::new(8, [2, 4], [4, 2], 32, true),
    // Software, both ways of declaring tiles.
    Tile::new(8, [2, 4], [4, 2], 8, false),
    Tile::new(8, [2, 4], [4, 2], 8, true),
];

static CONSTANTS: [[(&str, u32); 12]; 9] = {
    let mut all = [[("", 0); 12]; 9];
    let mut number = 0;
    while number < all.len() {
        all[number] = TILES[number].constants();
        number += 1;
    }
    all
};

/// See `wgsl/matmul_coop.wgsl`.
pub static MATMUL_COOP: Kernel = Kernel {
    libs: &[ACTIVATION, EPILOGUE, OPERAND_TILES],
    workgroup: 256,
    slots: &[Slot::read("x", &[Element::Half4]), Slot::read("w", &[Element::Half4]), BIAS, GATE, RESIDUAL, OUT],
    tiles: &tiles(&CONSTANTS),
    variants: &[&[("TAIL", &[1, 0]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("matmul_coop", include_str!("../../../wgsl/matmul_coop.wgsl"), size_of::<Params>())
};

/// BK of lib/operand_tiles.
const DEPTH: usize = 32;

/// See `wgsl/halve.wgsl`.
pub static HALVE: Kernel = Kernel {
    slots: &[Slot::read("x", &[Element::Bf16x4]), Slot::write("out", &[Element::F16x4])],
    ..Kernel::of("halve", include_str!("../../../wgsl/halve.wgsl"), size_of::<HalveParams>())
};

params!(HalveParams { fours: u32 });

/// Whether the operands are what cooperative matrices take. f32 weights are left alone: whoever keeps them wants all of their bits.
pub(super) fn fits(product: &Product) -> bool {
    product.x.dtype() == DType::F16 && product.w.dtype() != DType::F32 && product.x.cols().is_multiple_of(4)
}

pub(super) fn record(rec: &mut Recorder, product: &Product) -> Result<()> {
    match product.w.dtype() {
        DType::Bf16 => {
            let w = halve(rec, product.w)?;
            tuned(rec, &Product { w: &w, ..*product })
        }
        _ => tuned(rec, product),
    }
}

/// In the tile that is fastest here, or else the largest, or the smallest where there are too few of those.
fn tuned(rec: &mut Recorder, product: &Product) -> Result<()> {
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let tiles: Vec<_> = TILES.into_iter().filter(|tile| tile.matrices == matrices).collect();
    let few = product.x.rows().div_ceil(128) * product.w.rows().div_ceil(128) < 64;
    let number = product.tuned(rec, Family::Coop, tiles.len(), |rec, number| run(rec, product, tiles[number]));
    run(rec, product, tiles[number.unwrap_or(if few { tiles.len() - 1 } else { 0 })])
}

/// The weights of Wan's checkpoints, bf16, are f16 numbers but for those below 2^-14, whose last bits are rounded off.
fn halve(rec: &mut Recorder, w: &Tensor) -> Result<Tensor> {
    let out = rec.alloc(w.shape(), DType::F16)?;
    let fours = w.len().div_ceil(4);
    let groups = fours.div_ceil(HALVE.workgroup as usize);
    rec.dispatch(&HALVE, &[], &HalveParams { fours: fours as u32 }, &[Arg::flat(w), Arg::flat(&out)], groups, 64.0 * 16.0)?;
    Ok(out)
}

fn run(rec: &mut Recorder, product: &Product, tile: Tile) -> Result<()> {
    let [bm, bn] = tile.extents();
    let tail = ("TAIL", u32::from(!product.x.cols().is_multiple_of(DEPTH)));
    let constants = [&tile.constants()[..], &[tail], &product.epilogue_constants()].concat();
    let params = product.params(bn);
    let [bias, gate, residual, out] = product.epilogue_args();
    let args = [Arg::halves(product.x), Arg::halves(product.w), bias, gate, residual, out];
    let work = 2.0 * f64::from(bm * bn) * product.x.cols() as f64;
    let rows = product.x.rows();
    rec.dispatch(&MATMUL_COOP, &constants, &params, &args, rows.div_ceil(bm as usize) * params.column_groups as usize, work)
}
