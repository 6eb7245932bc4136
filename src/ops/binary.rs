//! Functions of two elements, with broadcasting.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::params};
use crate::ops::walk::{AXES, Walk, strides};

const EITHER: &[Element] = &[Element::F32, Element::F32x4];

pub static BINARY: Kernel = Kernel {
    slots: &[Slot::read("a", EITHER), Slot::read("b", EITHER), Slot::write("out", EITHER)],
    variants: &[&[("FUNCTION", &[0, 1, 2, 3, 4, 5, 6]), ("WALK", &[0, 1, 4]), ("SAME", &[0, 1, 2])]],
    ..Kernel::of("binary", include_str!("../../wgsl/binary.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, extents: [u32; AXES], a: [i32; AXES], b: [i32; AXES] });

/// A function of two elements; the numbers are those of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Function {
    /// a + b
    Add = 0,
    /// a - b
    Sub = 1,
    /// a * b
    Mul = 2,
    /// a / b
    Div = 3,
    /// The smaller
    Min = 4,
    /// The larger
    Max = 5,
    /// a where it is not negative, else a * b
    Leaky = 6,
}

/// The function of the elements of two tensors of f32, which broadcast as numpy does: shapes are aligned at their ends, and axes of one element are
/// stretched.
pub fn binary(rec: &mut Recorder, a: &Tensor, b: &Tensor, function: Function) -> Result<Tensor> {
    let shape = broadcast(a.shape(), b.shape())?;
    let out = rec.alloc(&shape, DType::F32)?;
    let is_walk = a.shape() != b.shape();
    let walk = Walk::new(&shape, [&stretched(a.shape(), &shape), &stretched(b.shape(), &shape)])?;
    let vec4s = walk.by_fours().filter(|_| is_walk);
    let (walk, width) = match (is_walk, vec4s) {
        (false, _) => (walk, 0),
        (true, None) => (walk, 1),
        (true, Some(vec4s)) => (vec4s, 4),
    };
    let params = Params { count: out.len() as u32, extents: walk.extents, a: walk.strides[0], b: walk.strides[1] };
    // In vec4s, all elements of one of a tensor's may be the same.
    let same = |of: usize| vec4s.is_some_and(|vec4s| vec4s.strides[of][AXES - 1] == 0);
    let args = [(a, same(0)), (b, same(1)), (&out, false)].map(|(tensor, same)| Arg::aligned(tensor, width != 1 && !same));
    let constants = [("FUNCTION", function as u32), ("WALK", width), ("SAME", u32::from(same(0)) + 2 * u32::from(same(1)))];
    let per_group = if width == 1 { 64 } else { 256 };
    rec.dispatch(&BINARY, &constants, &params, &args, out.len().div_ceil(per_group), Cost::of(out.len() as f64, &args))?;
    Ok(out)
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    let common = |axis| match (extent(a, axis), extent(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let shape = (0..rank).map(common).collect::<Option<_>>();
    shape.ok_or_else(|| Error::Input(format!("shapes {a:?} and {b:?} do not broadcast")))
}

/// The strides by which a tensor is stretched to a shape.
fn stretched(own: &[usize], shape: &[usize]) -> Vec<isize> {
    let lead = shape.len() - own.len();
    let strides = strides(own);
    let stride = |axis: usize| axis.checked_sub(lead).filter(|&at| own[at] == shape[axis]).map_or(0, |at| strides[at]);
    (0..shape.len()).map(stride).collect()
}
