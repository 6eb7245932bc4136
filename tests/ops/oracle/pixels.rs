use crate::approx::Approx;

/// To the last bit: as f32 rounds on the host.
pub fn pixels(samples: &[u8]) -> Vec<Approx> {
    samples.iter().map(|&sample| Approx::exact(f64::from(2.0 * (f32::from(sample) / 255.0) - 1.0))).collect()
}
