//! What dispatches cost.

/// The arithmetic and the traffic of a dispatch, in true figures: slices of time, plans and benchmarks go by them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations; a fused multiply-add is two.
    pub flops: f64,
    /// Bytes that are read and written, each once.
    pub bytes: f64,
}

/// FLOPs in the time that a byte takes. `make bench` prints both peaks: on lavapipe with two cores they are 3.3 apart; data sheets of GPUs have 20 to
/// 80, and none was measured. Where it is too low, dispatches that wait for memory take longer than their slice of time has room for.
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
