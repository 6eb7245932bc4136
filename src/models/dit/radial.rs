//! Self-attention that looks the less at a frame the farther away it is, after "Radial Attention: O(n log n) Sparse Attention
//! with Energy Decay for Long Video Generation" (2025).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::ops::attention::{BLOCK, KeyRanges};

/// Self-attention of long videos in a part of the time: tokens see all of their own latent frame, of the ones beside it, and of the first; of
/// others a band around their own place, half as wide with every doubling of the distance. Where bands would become narrower than 128 tokens, frames
/// are passed over instead. It needs no training, but results are others. Written as `DECAY[:LAYERS[:STEPS]]`.
///
/// It is for long segments of many tokens, at 720p above all: a [plan](crate::Plan::attention_share) tells what is left to do.
///
/// ```
/// let radial: wan_animate::RadialAttention = "0.5:1:2".parse()?;
/// assert_eq!((radial.decay, radial.dense_layers, radial.dense_steps), (0.5, 1, 2));
/// # Ok::<(), wan_animate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RadialAttention {
    /// Width of all bands, above 0: at 1 a frame's tokens see about as many of a frame two away as that has. Default: 0.2, as its authors have it
    /// for Wan2.1-T2V-14B; they have 0.8 for Wan2.2-T2V-A14B.
    pub decay: f64,
    /// Blocks at the beginning in which all tokens see all. Default: 1.
    pub dense_layers: usize,
    /// Evaluations at the beginning of a segment in which all tokens see all, fewer than there are. Default: 1. Its authors have a quarter of all.
    pub dense_steps: usize,
}

impl Default for RadialAttention {
    fn default() -> Self {
        Self { decay: 0.2, dense_layers: 1, dense_steps: 1 }
    }
}

impl fmt::Display for RadialAttention {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:{}", self.decay, self.dense_layers, self.dense_steps)
    }
}

crate::as_text::as_text!(RadialAttention);

impl FromStr for RadialAttention {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Input(format!("radial attention `{text}`: it is written DECAY[:LAYERS[:STEPS]], as 0.2:1:1"));
        let parts: Vec<&str> = text.split(':').collect();
        let count = |place: usize, default: usize| parts.get(place).map_or(Ok(default), |part| part.parse().map_err(|_| wrong()));
        let default = Self::default();
        let decay = parts[0].parse().map_err(|_| wrong())?;
        let radial = Self { decay, dense_layers: count(1, default.dense_layers)?, dense_steps: count(2, default.dense_steps)? };
        if parts.len() > 3 { Err(wrong()) } else { radial.check().map(|()| radial) }
    }
}

impl RadialAttention {
    /// Sets the [`decay`](Self::decay).
    pub fn decay(self, decay: f64) -> Self {
        Self { decay, ..self }
    }

    /// Sets the [`dense_layers`](Self::dense_layers).
    pub fn dense_layers(self, count: usize) -> Self {
        Self { dense_layers: count, ..self }
    }

    /// Sets the [`dense_steps`](Self::dense_steps).
    pub fn dense_steps(self, count: usize) -> Self {
        Self { dense_steps: count, ..self }
    }

    /// What is wrong with it.
    pub(crate) fn check(self) -> Result<()> {
        match self.decay.is_finite() && self.decay > 0.0 {
            true => Ok(()),
            false => Err(Error::Input(format!("radial attention with a decay of {}; it must be above 0", self.decay))),
        }
    }

    /// By block of a frame's tokens, which of all tokens see it and are seen, of so many frames of so many tokens.
    #[doc(hidden)]
    pub fn ranges(self, frame: usize, frames: usize, tokens: usize) -> Vec<Vec<Range<usize>>> {
        let block = |first: usize| {
            let middle = first + (tokens - first).min(BLOCK) / 2;
            let mut ranges: Vec<Range<usize>> = Vec::new();
            for other in 0..frames {
                let Some(reach) = self.reach(frame, other, tokens) else { continue };
                let (from, to) = (other * tokens + middle.saturating_sub(reach), other * tokens + (middle + reach).min(tokens));
                match ranges.last_mut().filter(|last| last.end == from) {
                    Some(last) => last.end = to,
                    None => ranges.push(from..to),
                }
            }
            ranges
        };
        (0..tokens).step_by(BLOCK).map(block).collect()
    }

    /// How far from its own place a token of a frame sees the tokens of another; none where that is passed over.
    fn reach(self, frame: usize, other: usize, tokens: usize) -> Option<usize> {
        let distance = frame.abs_diff(other);
        if other == 0 || distance <= 1 {
            return Some(tokens);
        }
        let bits = |number: usize| usize::BITS - number.leading_zeros();
        let width = 2f64.powi(bits(tokens) as i32 - bits(distance) as i32);
        let every = (BLOCK as f64 / width).max(1.0) as usize;
        // Bands of whole tiles.
        let reach = ((width * self.decay).ceil() as usize).max(BLOCK).next_multiple_of(BLOCK / 2);
        distance.is_multiple_of(every).then_some(reach)
    }

    /// The part that is left of all pairs of tokens, of so many frames of so many tokens.
    pub(crate) fn share(self, frames: usize, tokens: usize) -> f64 {
        let seen = |frame: usize| {
            let blocks = self.ranges(frame, frames, tokens);
            let count = |(block, ranges): (usize, &Vec<Range<usize>>)| {
                (tokens - block * BLOCK).min(BLOCK) * ranges.iter().map(Range::len).sum::<usize>()
            };
            blocks.iter().enumerate().map(count).sum::<usize>()
        };
        (0..frames).map(seen).sum::<usize>() as f64 / ((frames * tokens) as f64).powi(2)
    }

    /// For a pass over a grid of so many frames, rows and columns.
    pub(super) fn over(self, rec: &mut Recorder, [frames, rows, cols]: [usize; 3]) -> Result<Radial> {
        let of_frame = |frame| KeyRanges::upload(rec, &self.ranges(frame, frames, rows * cols));
        Ok(Radial { dense_layers: self.dense_layers, frames: (0..frames).map(of_frame).collect::<Result<_>>()? })
    }
}

/// What the tokens of each latent frame see, where not everything.
pub type Sight<'a> = Option<&'a [KeyRanges]>;

/// See [`RadialAttention`]: for one pass.
#[derive(Debug)]
pub struct Radial {
    dense_layers: usize,
    frames: Vec<KeyRanges>,
}

impl Radial {
    pub(super) fn of_layer(&self, number: usize) -> Sight<'_> {
        (number >= self.dense_layers).then_some(&self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearby_frames_and_the_first_are_seen_whole() {
        let ranges = RadialAttention::default().ranges(5, 21, 3600);
        assert_eq!(ranges.len(), 29);
        // Of its middle, 64: bands of 205 and 128 tokens to either side, rounded up to 256 and 128.
        assert_eq!(ranges[0][..2], [0..3600 + 192, 7200..7200 + 320]);
        assert_eq!(ranges[0][2..4], [3 * 3600..3 * 3600 + 320, 4 * 3600..7 * 3600 + 320]);
        assert_eq!(ranges[10][1], 3600 + 1344 - 128..3600 + 1344 + 128);
    }

    #[test]
    fn wide_bands_are_everything() {
        let ranges = RadialAttention::default().decay(1e3).ranges(20, 21, 3600);
        assert!(ranges.iter().all(|ranges| ranges.len() == 1 && ranges[0] == (0..21 * 3600)));
        assert_eq!(RadialAttention::default().decay(1e3).share(21, 3600), 1.0);
    }

    #[test]
    fn frames_far_away_are_passed_over() {
        // Bands of 2048 / 2^5 = 64 tokens: every second frame from a distance of 16 on.
        let seen = |other| RadialAttention::default().reach(0, other, 1560).is_some();
        assert_eq!([15, 16, 17, 18, 31, 32, 33, 36].map(seen), [true, true, false, true, false, true, false, true]);
    }

    #[test]
    fn what_is_left_of_720p() {
        let share = |decay: f64, frames| RadialAttention::default().decay(decay).share(frames, 3600);
        println!("{:.3} {:.3} {:.3}", share(0.2, 21), share(0.8, 21), share(0.2, 41));
        assert!(share(0.2, 21) < 0.3 && share(0.8, 21) < 0.45 && share(0.2, 41) < share(0.2, 21));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let radial = RadialAttention::default().decay(0.8).dense_layers(2).dense_steps(11);
        assert_eq!(radial.to_string().parse::<RadialAttention>().expect("reads"), radial);
        assert_eq!("0.2".parse::<RadialAttention>().expect("reads"), RadialAttention::default());
        for wrong in ["", "0", "-1", "nan", "0.2:x", "0.2:1:1:1"] {
            assert!(matches!(wrong.parse::<RadialAttention>(), Err(Error::Input(_))), "{wrong}");
        }
    }
}
