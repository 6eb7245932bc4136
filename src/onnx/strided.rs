//! Walks over the elements of a tensor in another order than they lie in.

/// For each element of a view, in its row-major order, the place where the element lies.
pub(super) struct Places {
    shape: Vec<usize>,
    strides: Vec<isize>,
    index: Vec<usize>,
    at: isize,
    left: usize,
}

impl Places {
    /// A view of these extents, whose axes have these strides and whose first element lies at `offset`.
    pub(super) fn new(shape: &[usize], strides: &[isize], offset: isize) -> Self {
        let left = shape.iter().product();
        Self { shape: shape.to_vec(), strides: strides.to_vec(), index: vec![0; shape.len()], at: offset, left }
    }

    /// A tensor of shape `from` stretched to the shape `to`, which it must broadcast to.
    pub(super) fn broadcast(from: &[usize], to: &[usize]) -> Self {
        let lead = to.len() - from.len();
        let strides = strides(from);
        let stretched = (0..to.len()).map(|axis| match axis.checked_sub(lead) {
            Some(own) if from[own] == to[axis] => strides[own],
            _ => 0,
        });
        Self::new(to, &stretched.collect::<Vec<_>>(), 0)
    }

    /// A tensor whose axis `i` is the axis `axes[i]` of one of shape `from`.
    pub(super) fn permuted(from: &[usize], axes: &[usize]) -> Self {
        let strides = strides(from);
        let (shape, strides): (Vec<_>, Vec<_>) = axes.iter().map(|&axis| (from[axis], strides[axis])).unzip();
        Self::new(&shape, &strides, 0)
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let here = self.at;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.at += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.at -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
        Some(here as usize)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Places {}

/// How far apart neighbours along each axis lie in a tensor of this shape.
pub(super) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// The shape that two shapes broadcast to, or `None` where they do not.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}
