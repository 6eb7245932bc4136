//! Several tensors walked through together, each with strides of its own.

use crate::error::{Error, Result};

/// The most axes that kernels walk along.
pub const AXES: usize = 6;

/// Extents, and strides by tensor; axes that are not needed come first and are of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk<const N: usize> {
    /// How many elements there are along each axis.
    pub extents: [u32; AXES],
    /// How far apart they lie.
    pub strides: [[i32; AXES]; N],
}

impl<const N: usize> Walk<N> {
    /// Over these extents with these strides. Axes that lie one in another in every tensor become one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where more than six are left.
    pub fn new(shape: &[usize], strides: [&[isize]; N]) -> Result<Self> {
        let mut axes: Vec<(usize, [isize; N])> = Vec::new();
        for (at, &extent) in shape.iter().enumerate().filter(|(_, extent)| **extent != 1) {
            let own = strides.map(|strides| strides[at]);
            match axes.last_mut() {
                Some((outer, steps)) if steps.iter().zip(&own).all(|(step, own)| *step == own * extent as isize) => {
                    *outer *= extent;
                    *steps = own;
                }
                _ => axes.push((extent, own)),
            }
        }
        if axes.len() > AXES {
            return Err(Error::Unsupported(format!("a walk along {} axes of shape {shape:?}; {AXES} are possible", axes.len())));
        }
        let mut walk = Self { extents: [1; AXES], strides: [[0; AXES]; N] };
        for (place, (extent, steps)) in (AXES - axes.len()..).zip(axes) {
            walk.extents[place] = extent as u32;
            steps.iter().zip(&mut walk.strides).for_each(|(&step, strides)| strides[place] = step as i32);
        }
        Ok(walk)
    }

    /// The same walk by four elements at a time, where they lie beside each other on a multiple of four in every tensor, or are one and the same.
    pub fn by_fours(mut self) -> Option<Self> {
        let fits = |strides: &[i32; AXES]| match strides[AXES - 1] {
            1 => strides[..AXES - 1].iter().all(|stride| stride % 4 == 0),
            stride => stride == 0,
        };
        let vec4s = self.extents[AXES - 1] / 4;
        if !self.extents[AXES - 1].is_multiple_of(4) || !self.strides.iter().all(fits) {
            return None;
        }
        self.extents[AXES - 1] = vec4s;
        self.strides.iter_mut().for_each(|strides| strides[AXES - 1] *= 4);
        Some(self)
    }
}

/// How far apart neighbours along each axis lie in a tensor of this shape.
pub fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_lie_one_in_another_become_one() {
        let shape = [2, 3, 1, 4, 5];
        let (own, rows) = (strides(&shape), [3, 1, 0, 0, 0]);
        let walk = Walk::new(&shape, [&own, &rows]).expect("few axes");
        assert_eq!(walk.extents, [1, 1, 1, 1, 6, 20]);
        assert_eq!(walk.strides, [[0, 0, 0, 0, 20, 1], [0, 0, 0, 0, 1, 0]]);
    }

    #[test]
    fn elements_beside_each_other_go_by_fours() {
        let shape = [3, 5, 8];
        let (own, row, one) = (strides(&shape), [0, 0, 1], [5, 1, 0]);
        let walk = Walk::new(&shape, [&own, &row, &one]).expect("few axes").by_fours().expect("vec4s");
        assert_eq!(walk.extents, [1, 1, 1, 1, 15, 2]);
        assert_eq!(walk.strides.map(|strides| [strides[4], strides[5]]), [[8, 4], [0, 4], [1, 0]]);
        assert_eq!(Walk::new(&[3, 6], [&[6, 1]]).expect("few axes").by_fours(), None);
        assert_eq!(Walk::new(&[3, 4], [&[5, 1]]).expect("few axes").by_fours(), None);
        assert_eq!(Walk::new(&[4, 4], [&[1, 4]]).expect("few axes").by_fours(), None);
    }

    #[test]
    fn too_many_axes_are_refused() {
        let shape = [2; 8];
        let transposed: Vec<_> = strides(&shape).into_iter().rev().collect();
        let error = Walk::new(&shape, [&transposed]).expect_err("eight axes");
        assert!(error.to_string().contains("8 axes"), "{error}");
    }
}
