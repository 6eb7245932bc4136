use std::iter;

use wan_animate::unversioned::ops::rgba8::rgba8;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(shape: &'static [usize; 4]) -> Case {
    let frames = Host::random(5, shape, 1.2);
    let samples = frames.values.clone();
    let width = shape[2];
    Case::new(
        format!("rgba8 of {shape:?}"),
        [&frames],
        move |rec, [frames]| {
            let words = rgba8(rec, frames)?.words;
            let stride = words.cols();
            // What lies behind the pixels of a row is nobody's.
            let bytes = rec.download_buffer(&words)?;
            let rows = bytes.chunks(4 * stride).take(words.rows());
            let values: Vec<f32> = rows.flat_map(|row| &row[..4 * width]).map(|&byte| f32::from(byte)).collect();
            rec.upload(&[words.rows(), width, 4], &values)
        },
        move || oracle::rgba8(&samples),
    )
}

pub fn cases() -> Vec<Case> {
    vec![case(&[1, 2, 64, 3]), case(&[4, 5, 41, 3]), case(&[1, 1, 1, 3])]
}

/// None: the case reads back what it makes.
pub fn timed(_: Sizes) -> impl Iterator<Item = Case> {
    iter::empty()
}

pub fn refusals() -> Vec<Refusal> {
    let frames = Host::random(1, &[4, 3], 1.0);
    vec![Refusal::new("frames: shape [4, 3]", [&frames], |rec, [frames]| Ok(rgba8(rec, frames)?.words))]
}

pub mod oracle {
    use crate::approx::Approx;

    /// To the last bit: as a frame on the host makes it of the decoder's samples.
    pub fn rgba8(samples: &[f32]) -> Vec<Approx> {
        let level = |sample: f32| f64::from(((sample.clamp(-1.0, 1.0) / 2.0 + 0.5) * 255.0).round_ties_even());
        samples.chunks(3).flat_map(|pixel| [level(pixel[0]), level(pixel[1]), level(pixel[2]), 255.0]).map(Approx::exact).collect()
    }
}
