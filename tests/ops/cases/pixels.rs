use wan_animate::unversioned::ops::pixels::{pixels, signed};

use crate::case::{Case, Refusal, Sizes};

fn case(shape: &'static [usize]) -> Case {
    let samples = || (0..shape.iter().product()).map(|i: usize| (i * 7) as u8).collect::<Vec<_>>();
    Case::new(
        format!("pixels of {shape:?}"),
        [],
        move |rec, []| pixels(rec, shape, || Ok(samples()), signed),
        move || oracle::pixels(&samples()),
    )
}

pub fn cases() -> Vec<Case> {
    vec![case(&[16, 16, 1]), case(&[3, 5, 3]), case(&[1]), case(&[2, 41, 67, 3])]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(&[4, 256, 256, 3])])
}

pub fn refusals() -> Vec<Refusal> {
    vec![Refusal::new("5 samples for pixels of shape [2, 3]", [], |rec, []| pixels(rec, &[2, 3], || Ok(vec![0; 5]), signed))]
}

pub mod oracle {
    use crate::approx::Approx;

    /// To the last bit: as f32 rounds on the host.
    pub fn pixels(samples: &[u8]) -> Vec<Approx> {
        samples.iter().map(|&sample| Approx::exact(f64::from(2.0 * (f32::from(sample) / 255.0) - 1.0))).collect()
    }
}
