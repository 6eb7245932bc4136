//! Colours of a segment, held to those of the segment before.
//!
//! The frames that segments overlap by exist twice: as the segment before made them, and as this one makes them again. What tells them apart in
//! colour is the drift of a segment; a gain and an offset of each channel of Lab, fitted to both, takes it away, and fades over the segment.

use std::sync::Arc;

use crate::video::lab::{from_lab, to_lab};

/// Gains are kept within this and its inverse.
const MOST_GAIN: f64 = 2.0;
/// How far the mean of a channel is moved at most.
const MOST_SHIFT: f64 = 20.0;
/// Deviations below it tell nothing of a gain.
const FLAT: f64 = 0.5;

/// How far the colours of a segment are from those of the segment before, on the frames that both have.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Drift {
    /// The segment, from 1: the first has none before it.
    pub segment: usize,
    /// The distance of their mean colours in Lab, where about 2 can be seen.
    pub drift: f64,
    /// The same after the [anchor](crate::AnimateRequest::color_anchor); the same figure without one.
    pub anchored: f64,
}

/// Mean and deviation of each channel of Lab.
#[derive(Clone, Copy, Debug, Default)]
struct Colors {
    means: [f64; 3],
    deviations: [f64; 3],
}

/// What becomes of the channels of Lab.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    gains: [f64; 3],
    offsets: [f64; 3],
}

/// Of one segment.
pub(crate) struct ColorAnchor {
    segment: usize,
    /// From 0, which changes nothing, to 1.
    strength: f64,
    /// Frames of the segment, and how many of them exist twice.
    frames: usize,
    overlap: usize,
    /// These [F, H, W, 3] in [-1, 1], as the segment before made them.
    before: Arc<Vec<f32>>,
    /// As this one made them, until there are all.
    again: Vec<f32>,
    fit: Option<Fit>,
}

impl ColorAnchor {
    pub fn new(segment: usize, strength: f64, frames: usize, overlap: usize, before: Arc<Vec<f32>>) -> Self {
        Self { segment, strength, frames, overlap, before, again: Vec::new(), fit: None }
    }

    /// Changes the samples, from 0 to 1, of the segment's frame of a number; frames come in their order. Tells of the drift with the last
    /// frame that exists twice.
    pub fn next(&mut self, frame: usize, samples: &mut [f32]) -> Option<Drift> {
        if frame < self.overlap {
            self.again.extend_from_slice(samples);
            return (frame + 1 == self.overlap).then(|| self.compare());
        }
        if let Some(fit) = self.fit.filter(|_| self.strength > 0.0) {
            let left = (self.frames - frame) as f64 / (self.frames - self.overlap).max(1) as f64;
            fit.apply(samples, self.strength * left);
        }
        None
    }

    fn compare(&mut self) -> Drift {
        let mut again = std::mem::take(&mut self.again);
        let before: Vec<f32> = self.before.iter().map(|&sample| sample / 2.0 + 0.5).collect();
        let (wanted, is) = (Colors::of(&before), Colors::of(&again));
        let fit = Fit::new(wanted, is);
        fit.apply(&mut again, self.strength);
        self.fit = Some(fit);
        Drift { segment: self.segment, drift: is.distance(wanted), anchored: Colors::of(&again).distance(wanted) }
    }
}

impl Colors {
    fn of(samples: &[f32]) -> Self {
        let (mut sums, mut squares) = ([0.0; 3], [0.0; 3]);
        let count = (samples.len() / 3).max(1) as f64;
        for pixel in pixels(samples) {
            let lab = to_lab(pixel);
            for (channel, value) in lab.into_iter().enumerate() {
                sums[channel] += value;
                squares[channel] += value * value;
            }
        }
        let means = sums.map(|sum| sum / count);
        let deviations = [0, 1, 2].map(|i| (squares[i] / count - means[i] * means[i]).max(0.0).sqrt());
        Self { means, deviations }
    }

    fn distance(self, other: Self) -> f64 {
        self.means.iter().zip(other.means).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }
}

impl Fit {
    /// Brings the colours that there are to those that are wanted.
    fn new(wanted: Colors, is: Colors) -> Self {
        let gain = |i: usize| match is.deviations[i].min(wanted.deviations[i]) < FLAT {
            true => 1.0,
            false => (wanted.deviations[i] / is.deviations[i]).clamp(1.0 / MOST_GAIN, MOST_GAIN),
        };
        let gains = [0, 1, 2].map(gain);
        let shift = |i: usize| (wanted.means[i] - is.means[i]).clamp(-MOST_SHIFT, MOST_SHIFT);
        Self { gains, offsets: [0, 1, 2].map(|i| is.means[i] + shift(i) - gains[i] * is.means[i]) }
    }

    /// By a part of the way, from 0 to 1.
    fn apply(&self, samples: &mut [f32], part: f64) {
        if part == 0.0 {
            return;
        }
        for pixel in samples.chunks_exact_mut(3) {
            let lab = to_lab([pixel[0], pixel[1], pixel[2]]);
            let to = [0, 1, 2].map(|i| lab[i] + part * ((self.gains[i] - 1.0) * lab[i] + self.offsets[i]));
            pixel.copy_from_slice(&from_lab(to));
        }
    }
}

fn pixels(samples: &[f32]) -> impl Iterator<Item = [f32; 3]> {
    samples.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 32 * 32;

    /// Frames of soft colours, far from the ends of the range.
    fn frame(number: usize) -> Vec<f32> {
        let sample = |i: usize| 0.5 + 0.2 * ((i as f32 * 0.013 + number as f32).sin() + 0.3 * (i as f32 * 0.7).cos());
        (0..3 * PIXELS).map(sample).collect()
    }

    /// Warmer and of less contrast.
    fn shifted(samples: &[f32]) -> Vec<f32> {
        samples.chunks(3).flat_map(|p| [0.9 * p[0] + 0.08, 0.9 * p[1] + 0.03, 0.85 * p[2] + 0.02]).collect()
    }

    /// Mean distance of pixels in Lab.
    fn error(a: &[f32], b: &[f32]) -> f64 {
        let distance = |(a, b): ([f32; 3], [f32; 3])| to_lab(a).iter().zip(to_lab(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        pixels(a).zip(pixels(b)).map(distance).sum::<f64>() / PIXELS as f64
    }

    /// Nine frames of a segment, of which the first two exist twice, and how they were held to those before.
    fn anchored(strength: f64, change: fn(&[f32]) -> Vec<f32>) -> (Vec<Vec<f32>>, Drift) {
        let before: Vec<f32> = [frame(0), frame(1)].concat().iter().map(|sample| 2.0 * sample - 1.0).collect();
        let mut anchor = ColorAnchor::new(1, strength, 9, 2, Arc::new(before));
        let (mut frames, mut drift) = (Vec::new(), None);
        for number in 0..9 {
            let mut samples = change(&frame(number));
            drift = anchor.next(number, &mut samples).or(drift);
            frames.push(samples);
        }
        (frames, drift.expect("two frames exist twice"))
    }

    #[test]
    fn a_shift_is_taken_away_and_fades() {
        let (frames, drift) = anchored(1.0, shifted);
        println!("{drift:?}");
        assert!(drift.drift > 2.0 && drift.anchored < drift.drift / 5.0, "{drift:?}");
        let errors: Vec<f64> = (2..9).map(|i| error(&frames[i], &frame(i)) / error(&shifted(&frame(i)), &frame(i))).collect();
        println!("{errors:.3?}");
        assert!(errors[0] < 0.2, "the first new frame: {errors:.3?}");
        assert!(errors.windows(2).all(|pair| pair[0] < pair[1]) && errors[6] < 0.95, "{errors:.3?}");
    }

    #[test]
    fn what_did_not_drift_stays() {
        let (frames, drift) = anchored(1.0, <[f32]>::to_vec);
        assert!(drift.drift < 1e-3, "{drift:?}");
        let most = (0..9).flat_map(|i| frames[i].iter().zip(frame(i)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()).fold(0.0, f32::max);
        assert!(most < 0.5 / 255.0, "{most}");
    }

    #[test]
    fn strength_0_changes_no_bit() {
        let (frames, drift) = anchored(0.0, shifted);
        assert_eq!(drift.drift, drift.anchored);
        assert!((0..9).all(|i| frames[i] == shifted(&frame(i))));
    }

    #[test]
    fn wild_colours_are_followed_only_so_far() {
        let (_, drift) = anchored(1.0, |samples| samples.iter().map(|sample| 0.02 * sample).collect());
        assert!(drift.drift - drift.anchored < 2.0 * MOST_SHIFT, "{drift:?}");
    }
}
