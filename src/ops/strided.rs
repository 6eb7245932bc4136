//! Copies between views: joining, cutting, stretching, repeating and turning along any axis.

use crate::error::{Error, Result};
use crate::gpu::{Arg, Kernel, Recorder, Slot, Tensor, kernel::VECTOR, kernel::params};
use crate::ops::{libs::WALK, walk::AXES, walk::Walk};

/// See `wgsl/strided.wgsl`.
pub static STRIDED: Kernel = Kernel {
    libs: &[WALK],
    slots: &[Slot::read("x", VECTOR), Slot::write("out", VECTOR)],
    variants: &[&[("WIDTH", &[1, 4])]],
    ..Kernel::of("strided", include_str!("../../wgsl/strided.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, source: u32, place: u32, extents: [u32; AXES], x: [i32; AXES], out: [i32; AXES] });

/// Some elements of a tensor: where the first lies, and how far apart they are along each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The place of the first element.
    pub offset: usize,
    /// By axis; 0 repeats, and below 0 goes backwards.
    pub strides: Vec<isize>,
}

impl View {
    /// Whether all elements of a view of this shape are in a tensor of `len`.
    fn fits(&self, shape: &[usize], len: usize) -> bool {
        let reach = |(&stride, &extent): (&isize, &usize)| stride * (extent as isize - 1);
        let (low, high) =
            self.strides.iter().zip(shape).map(reach).fold((0, 0), |(low, high), reach| (low + reach.min(0), high + reach.max(0)));
        let offset = self.offset as isize;
        self.strides.len() == shape.len() && offset + low >= 0 && offset + high < len as isize
    }
}

/// Copies the elements of a view of `x` to those of a view of `out`, both of this shape and of f32.
pub fn strided(rec: &mut Recorder, shape: &[usize], (x, from): (&Tensor, &View), (out, to): (&Tensor, &View)) -> Result<()> {
    let count: usize = shape.iter().product();
    if count == 0 {
        return Ok(());
    }
    if !from.fits(shape, x.len()) || !to.fits(shape, out.len()) {
        return Err(Error::Input(format!("views of shape {shape:?} of tensors of shapes {:?} and {:?}", x.shape(), out.shape())));
    }
    // In the order in which `out` lies, in which most often x lies too, so that axes are merged and elements go by fours.
    let mut axes: Vec<_> = (0..shape.len()).collect();
    axes.sort_by_key(|&axis| std::cmp::Reverse(to.strides[axis].unsigned_abs()));
    let extents: Vec<_> = axes.iter().map(|&axis| shape[axis]).collect();
    let [read, written] = [from, to].map(|view| axes.iter().map(|&axis| view.strides[axis]).collect::<Vec<_>>());
    let walk = Walk::new(&extents, [&read, &written])?;
    let is_aligned = from.offset.is_multiple_of(4) && to.offset.is_multiple_of(4);
    let fours = walk.by_fours().filter(|fours| is_aligned && fours.strides.iter().all(|strides| strides[AXES - 1] == 4));
    let (walk, width) = fours.map_or((walk, 1), |fours| (fours, 4));
    let count = count / width;
    let params = Params {
        count: count as u32,
        source: from.offset as u32,
        place: to.offset as u32,
        extents: walk.extents,
        x: walk.strides[0],
        out: walk.strides[1],
    };
    let args = [x, out].map(|tensor| Arg::aligned(tensor, width == 4));
    rec.dispatch(&STRIDED, &[("WIDTH", width as u32)], &params, &args, count.div_ceil(64), 64.0 * 16.0)
}
