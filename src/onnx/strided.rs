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

impl Places {
    /// On to the next along the last of so many axes, and along those before it where that ends.
    fn step(&mut self, axes: usize) {
        for axis in (0..axes).rev() {
            self.index[axis] += 1;
            self.at += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.at -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let here = self.at;
        self.step(self.shape.len());
        Some(here as usize)
    }

    /// Line by line, several times as fast as one by one.
    fn fold<B, F: FnMut(B, usize) -> B>(mut self, begin: B, mut function: F) -> B {
        let Some(last) = self.shape.len().checked_sub(1) else {
            return (0..self.left).fold(begin, |made, _| function(made, self.at as usize));
        };
        let (extent, stride) = (self.shape[last], self.strides[last]);
        let mut made = begin;
        while self.left > 0 {
            let count = self.left.min(extent - self.index[last]);
            made = (0..count as isize).fold(made, |made, number| function(made, (self.at + number * stride) as usize));
            self.left -= count;
            self.at -= self.index[last] as isize * stride;
            self.index[last] = 0;
            self.step(last);
        }
        made
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
