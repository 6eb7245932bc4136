//! Products by cooperative matrices: of f16, summed in f32.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{constants_of, params, tiles};
use crate::gpu::{Arg, Cost, Element, Family, Kernel, Needs, Recorder, Slot, Tensor, family::Coop};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{BIAS, GATE, Gemm, OUT, Params, RESIDUAL};

/// A workgroup is `sm` by `sn` subgroups, a subgroup `fm` by FN fragments; it takes `depth` numbers of each row at once.
#[derive(Clone, Copy)]
struct Tile {
    matrices: Coop,
    subgroups: [u32; 2],
    fragments: [u32; 2],
    depth: u32,
}

impl Tile {
    const fn new(size: u32, subgroups: [u32; 2], fragments: [u32; 2], depth: u32, lanes: u32, scalar_arrays: bool) -> Self {
        Self { matrices: Coop::new(size, lanes, scalar_arrays), subgroups, fragments, depth }
    }

    const fn extents(self) -> [u32; 2] {
        let ([sm, sn], [fm, across]) = (self.subgroups, self.fragments);
        [sm * fm * self.matrices.size, sn * across * self.matrices.size]
    }

    /// LX and LW are the loads of each operand that a lane makes, of RUN vec4s each: AMD's compiler makes one of two, others rather have single scalar_arrays.
    const fn constants(self) -> [(&'static str, u32); 13] {
        let (Coop { size, lanes, scalar_arrays, .. }, [sm, sn], [fm, across]) = (self.matrices, self.subgroups, self.fragments);
        let (run, all) = (if lanes == 64 { 2 } else { 1 }, sm * sn * lanes);
        let vec4s = size * self.depth / 4; // of a row of fragments
        let [x, w] = [("LX", fm * vec4s / (sn * lanes * run)), ("LW", across * vec4s / (sm * lanes * run))];
        let [down, right, arrays] = [("SM", sm), ("SN", sn), ("VEC4_ARRAYS", !scalar_arrays as u32)];
        let [lanes, run, pad] = [("LANES", lanes), ("RUN", run), ("PAD", self.matrices.padding())];
        [("SIZE", size), down, right, ("FM", fm), ("FN", across), ("BK", self.depth), lanes, arrays, run, pad, x, w, ("WG", all)]
    }
}

/// By class of device, the larger ones first.
static TILES: [Tile; 10] = [
    // NVIDIA.
    Tile::new(16, [2, 4], [4, 2], 32, 32, false),
    Tile::new(16, [2, 2], [4, 4], 32, 32, false),
    Tile::new(16, [2, 4], [2, 1], 32, 32, false),
    // AMD.
    Tile::new(16, [2, 2], [4, 4], 32, 64, false),
    Tile::new(16, [2, 2], [2, 2], 64, 64, false),
    // Apple.
    Tile::new(8, [2, 4], [8, 4], 32, 32, true),
    Tile::new(8, [2, 4], [4, 2], 32, 32, true),
    // Software: both ways of declaring tiles, and both depths, for the sake of tests.
    Tile::new(8, [2, 4], [4, 2], 64, 8, false),
    Tile::new(8, [2, 4], [4, 2], 32, 8, false),
    Tile::new(8, [2, 4], [4, 2], 32, 8, true),
];

static CONSTANTS: [[(&str, u32); 13]; 10] = constants_of!(TILES, 10, 13);

pub static MATMUL_COOP: Kernel = Kernel {
    workgroup: 256,
    slots: &[Slot::read("x", &[Element::NativeF16x4]), Slot::read("w", &[Element::NativeF16x4]), BIAS, GATE, RESIDUAL, OUT],
    tiles: &tiles(&CONSTANTS),
    variants: &[&[("TAIL", &[1, 0]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("matmul_coop", include_str!("../../../wgsl/matmul_coop.wgsl"), size_of::<Params>())
};

pub static CAST_F16: Kernel = Kernel {
    slots: &[Slot::read("x", &[Element::Bf16x4]), Slot::write("out", &[Element::F16x4])],
    ..Kernel::of("cast_f16", include_str!("../../../wgsl/cast_f16.wgsl"), size_of::<CastParams>())
};

params!(CastParams { vec4s: u32 });

/// Whether the operands are what cooperative matrices take. f32 weights are left alone: whoever keeps them wants all of their bits.
pub(super) fn fits(gemm: &Gemm) -> bool {
    gemm.x.dtype() == DType::F16 && gemm.w.dtype() != DType::F32 && gemm.x.cols().is_multiple_of(4)
}

pub(super) fn record(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    match gemm.w.dtype() {
        DType::Bf16 => {
            let w = cast_f16(rec, gemm.w)?;
            tuned(rec, &Gemm { w: &w, ..*gemm })
        }
        _ => tuned(rec, gemm),
    }
}

/// In the tile that is fastest here, or else the largest, or the smallest where there are too few of those.
fn tuned(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let tiles: Vec<_> = TILES.into_iter().filter(|tile| tile.matrices == matrices).collect();
    let few = gemm.x.rows().div_ceil(128) * gemm.w.rows().div_ceil(128) < 64;
    let number = gemm.tuned(rec, Family::Coop, tiles.len(), |rec, number| run(rec, gemm, tiles[number]));
    run(rec, gemm, tiles[number.unwrap_or(if few { tiles.len() - 1 } else { 0 })])
}

/// The weights of Wan's checkpoints, bf16, are f16 numbers but for those below 2^-14, whose last bits are rounded off.
fn cast_f16(rec: &mut Recorder, w: &Tensor) -> Result<Tensor> {
    let out = rec.alloc(w.shape(), DType::F16)?;
    let vec4s = w.len().div_ceil(4);
    let groups = vec4s.div_ceil(CAST_F16.workgroup as usize);
    let args = [Arg::flat(w), Arg::flat(&out)];
    rec.dispatch(&CAST_F16, &[], &CastParams { vec4s: vec4s as u32 }, &args, groups, Cost::of(0.0, &args))?;
    Ok(out)
}

fn run(rec: &mut Recorder, gemm: &Gemm, tile: Tile) -> Result<()> {
    let [bm, bn] = tile.extents();
    let tail = ("TAIL", u32::from(!gemm.x.cols().is_multiple_of(tile.depth as usize)));
    let constants = [&tile.constants()[..], &[tail], &gemm.epilogue_constants()].concat();
    let params = gemm.params(bn);
    let [bias, gate, residual, out] = gemm.epilogue_args();
    let args = [Arg::native_f16(gemm.x), Arg::native_f16(gemm.w), bias, gate, residual, out];
    let rows = gemm.x.rows();
    rec.dispatch(&MATMUL_COOP, &constants, &params, &args, rows.div_ceil(bm as usize) * params.column_groups as usize, gemm.cost(&args))
}
