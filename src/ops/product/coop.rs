//! Products by cooperative matrices: of f16, summed in f32.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Element, Family, Kernel, Needs, Recorder, Slot, Tensor, family::Coop};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::libs::{ACTIVATION, EPILOGUE, OPERAND_TILES};
use crate::ops::product::call::{BIAS, GATE, OUT, Params, Product, RESIDUAL};

/// A workgroup is `sm` by `sn` subgroups of `lanes`, a subgroup `fm` by `across` fragments of `size` by `size`. Arrays are declared by fours, or
/// one by one. LX and LW are the fours of each operand that a lane carries.
const fn tile(size: u32, [sm, sn]: [u32; 2], [fm, across]: [u32; 2], lanes: u32, fours: u32) -> [(&'static str, u32); 11] {
    let [down, right] = [("SM", sm), ("SN", sn)];
    let [by_fours, by_ones] = [("FOURS", fours), ("ONES", 1 - fours)];
    let [x, w] = [("LX", fm * size * 8 / (sn * lanes)), ("LW", across * size * 8 / (sm * lanes))];
    let all = ("WG", sm * sn * lanes);
    [("SIZE", size), down, right, ("FM", fm), ("FN", across), ("LANES", lanes), by_fours, by_ones, x, w, all]
}

/// See `wgsl/matmul_coop.wgsl`.
pub static MATMUL_COOP: Kernel = Kernel {
    libs: &[ACTIVATION, EPILOGUE, OPERAND_TILES],
    workgroup: 256,
    slots: &[Slot::read("x", &[Element::Half4]), Slot::read("w", &[Element::Half4]), BIAS, GATE, RESIDUAL, OUT],
    tiles: &[
        // NVIDIA.
        &tile(16, [2, 4], [4, 2], 32, 1),
        &tile(16, [2, 4], [2, 1], 32, 1),
        // AMD.
        &tile(16, [2, 2], [4, 4], 64, 1),
        &tile(16, [2, 2], [2, 2], 64, 1),
        // Apple.
        &tile(8, [2, 4], [8, 4], 32, 0),
        &tile(8, [2, 4], [4, 2], 32, 0),
        // Software, both ways of declaring tiles.
        &tile(8, [2, 4], [4, 2], 8, 1),
        &tile(8, [2, 4], [4, 2], 8, 0),
    ],
    variants: &[&[("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("matmul_coop", include_str!("../../../wgsl/matmul_coop.wgsl"), size_of::<Params>())
};

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

/// In tiles of 128 by 128, or of 64 by 64 where there are too few of those, or lanes.
fn tuned(rec: &mut Recorder, product: &Product) -> Result<()> {
    const SIDES: [u32; 2] = [128, 64];
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    if matrices.lanes < 32 {
        return run(rec, product, matrices, 64);
    }
    let few = product.x.rows().div_ceil(128) * product.w.rows().div_ceil(128) < 64;
    let number = product.tuned(rec, Family::Coop, SIDES.len(), |rec, number| run(rec, product, matrices, SIDES[number]));
    run(rec, product, matrices, SIDES[number.unwrap_or(usize::from(few))])
}

/// The weights of Wan's checkpoints, bf16, are f16 numbers but for those below 2^-14, whose last bits are rounded off.
fn halve(rec: &mut Recorder, w: &Tensor) -> Result<Tensor> {
    let out = rec.alloc(w.shape(), DType::F16)?;
    let fours = w.len().div_ceil(4);
    let groups = fours.div_ceil(HALVE.workgroup as usize);
    rec.dispatch(&HALVE, &[], &HalveParams { fours: fours as u32 }, &[Arg::flat(w), Arg::flat(&out)], groups, 64.0 * 16.0)?;
    Ok(out)
}

fn run(rec: &mut Recorder, product: &Product, matrices: Coop, side: u32) -> Result<()> {
    let (size, lanes) = (matrices.size, matrices.lanes);
    let (sm, sn) = if lanes == 64 { (2, 2) } else { (2, 4) };
    let (fm, across) = (side / size / sm, side / size / sn);
    let (bm, bn) = (sm * fm * size, sn * across * size);
    let tile = tile(size, [sm, sn], [fm, across], lanes, u32::from(!matrices.ones));
    let constants = [&tile[..], &product.epilogue_constants()].concat();
    let params = product.params(bn);
    let [bias, gate, residual, out] = product.epilogue_args();
    let args = [Arg::halves(product.x), Arg::halves(product.w), bias, gate, residual, out];
    let work = 2.0 * f64::from(bm * bn) * product.x.cols() as f64;
    let rows = product.x.rows();
    rec.dispatch(&MATMUL_COOP, &constants, &params, &args, rows.div_ceil(bm as usize) * params.column_groups as usize, work)
}
