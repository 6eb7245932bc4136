use crate::approx::Approx;
use crate::host::Host;

pub fn permute(x: &Host, axes: &[usize]) -> Vec<Approx> {
    let element = |mut i: usize| {
        // The index along each axis of x, from the last axis of the result to its first.
        let mut index = vec![0; axes.len()];
        for &axis in axes.iter().rev() {
            index[axis] = i % x.shape[axis];
            i /= x.shape[axis];
        }
        x.at(index.iter().zip(&x.shape).fold(0, |at, (index, size)| at * size + index))
    };
    (0..x.values.len()).map(element).collect()
}
