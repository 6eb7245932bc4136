//! The rotation that ComfyUI's convrot stores weights under, so that no single number among them stands out.

/// Multiplies every `group` neighbours by a symmetric orthogonal matrix, which undoes the same multiplication: the Kronecker power of
/// `[1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2`. Length and `group` must be a multiple and a power of four.
pub(super) fn rotate(values: &mut [f32], group: usize) {
    for values in values.chunks_exact_mut(group) {
        let mut step = 1;
        while step < group {
            for first in (0..group).filter(|i| i / step % 4 == 0) {
                let places = [0, 1, 2, 3].map(|i| first + i * step);
                let [a, b, c, d] = places.map(|place| values[place]);
                let half = (a + b + c + d) / 2.0;
                places.into_iter().zip([d, c, b, a]).for_each(|(place, value)| values[place] = half - value);
            }
            step *= 4;
        }
    }
}

/// Whether rows of `cols` numbers can be rotated in such groups.
pub(super) fn fits(group: usize, cols: usize) -> bool {
    group >= 4 && group.is_power_of_two() && group.trailing_zeros().is_multiple_of(2) && cols.is_multiple_of(group)
}
