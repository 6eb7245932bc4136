//! What dispatches cost.

/// The arithmetic and the traffic of a dispatch, in true figures: slices of time, plans and benchmarks go by them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations; a fused multiply-add is two.
    pub flops: f64,
    /// Bytes that are read and written, each once.
    pub bytes: f64,
}

/// FLOPs in the time that a byte takes: 5 on software drivers on two cores, 20 to 80 on GPUs. A slice of dispatches that wait for memory comes
/// out too long on the latter, of which seconds are far; on the former it is right.
const FLOPS_PER_BYTE: f64 = 8.0;

impl Cost {
    /// Operations in the time that it takes by the roofline model: those of its arithmetic, or those that fit in while its bytes are moved.
    pub fn work(self) -> f64 {
        self.flops.max(self.bytes * FLOPS_PER_BYTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_arithmetic_and_memory_counts() {
        assert_eq!(Cost { flops: 100.0, bytes: 1.0 }.work(), 100.0);
        assert_eq!(Cost { flops: 1.0, bytes: 100.0 }.work(), 100.0 * FLOPS_PER_BYTE);
    }
}
