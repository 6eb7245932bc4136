use crate::approx::Approx;

/// To the last bit: as a frame on the host makes it of the decoder's samples.
pub fn rgba8(samples: &[f32]) -> Vec<Approx> {
    let level = |sample: f32| f64::from(((sample.clamp(-1.0, 1.0) / 2.0 + 0.5) * 255.0).round_ties_even());
    samples.chunks(3).flat_map(|pixel| [level(pixel[0]), level(pixel[1]), level(pixel[2]), 255.0]).map(Approx::exact).collect()
}
