//! What is looked at, and by whom.

use std::fmt;
use std::str::FromStr;

use image::RgbImage;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::networks::Classifier;
use crate::safety::report::{SafetyReport, SafetyScore};
use crate::video::Frames;

/// Frames of a video that a fast check looks at.
const FAST: usize = 8;

/// As facefusion has it, for open_nsfw.
const THRESHOLD: f32 = 0.8;

/// How much of a video is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SafetyCheck {
    /// Nothing, and pictures neither.
    None,
    /// 8 frames at equal distances, the first among them.
    #[default]
    Fast,
    /// Every frame.
    Full,
}

impl SafetyCheck {
    /// Whether a frame of so many is looked at.
    pub(super) fn includes(self, frame: usize, frames: usize) -> bool {
        match self {
            Self::None => false,
            Self::Fast => frames <= FAST || (0..FAST).any(|part| part * frames / FAST == frame),
            Self::Full => true,
        }
    }
}

/// The text that is parsed again.
impl fmt::Display for SafetyCheck {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Fast => "fast",
            Self::Full => "full",
        })
    }
}

impl FromStr for SafetyCheck {
    type Err = Error;

    /// `none`, `fast` or `full`.
    fn from_str(text: &str) -> Result<Self> {
        [Self::None, Self::Fast, Self::Full]
            .into_iter()
            .find(|check| check.to_string() == text)
            .ok_or_else(|| Error::Input(format!("safety check `{text}`; it must be none, fast or full")))
    }
}

crate::as_text::as_text!(SafetyCheck);

/// Looks at pictures and videos with a classifier. See the [module](crate::safety).
#[must_use = "nothing is looked at by itself"]
pub struct Safety {
    classifier: Box<dyn Classifier>,
    check: SafetyCheck,
    threshold: f32,
    blacken: bool,
}

impl Safety {
    /// With [`SafetyCheck::Fast`], a threshold of 0.8, and nothing made black.
    pub fn new(classifier: impl Classifier + 'static) -> Self {
        Self { classifier: Box::new(classifier), check: SafetyCheck::default(), threshold: THRESHOLD, blacken: false }
    }

    /// How much is looked at. Default: [`SafetyCheck::Fast`].
    pub fn check(mut self, check: SafetyCheck) -> Self {
        self.check = check;
        self
    }

    /// The least score that is flagged. Default: 0.8; the users of vision transformers take 0.5, where that class is the likelier one.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not from 0 to 1.
    pub fn threshold(mut self, threshold: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::Input(format!("a safety threshold of {threshold}; it must be 0 to 1")));
        }
        self.threshold = threshold;
        Ok(self)
    }

    /// Whether [`Watch::look`](crate::safety::Watch::look) gives a black frame for one that is flagged, and for those up to the next one that is
    /// looked at. Default: no.
    pub fn blacken(mut self, on: bool) -> Self {
        self.blacken = on;
        self
    }

    /// Looks at a picture.
    ///
    /// # Errors
    /// Those of the classifier.
    pub fn image(&mut self, image: &RgbImage) -> Result<SafetyReport> {
        self.video(&Frames::from_images([image.clone()])?, &Cancel::new())
    }

    /// Looks at a video.
    ///
    /// # Errors
    /// Those of the video and of the classifier; [`Error::Cancelled`].
    pub fn video(&mut self, video: &Frames, cancel: &Cancel) -> Result<SafetyReport> {
        let (mut report, check, frames) = (SafetyReport::default(), self.check, video.num_frames());
        for frame in (0..frames).filter(|&frame| check.includes(frame, frames)) {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            report.push(self.score(frame, &video.read(frame)?)?);
        }
        Ok(report)
    }

    pub(super) fn is_wanted(&self, frame: usize, frames: usize) -> bool {
        self.check.includes(frame, frames)
    }

    pub(super) fn blackens(&self) -> bool {
        self.blacken
    }

    pub(super) fn score(&mut self, frame: usize, picture: &RgbImage) -> Result<SafetyScore> {
        let score = self.classifier.score(picture)?;
        if !score.is_finite() {
            return Err(Error::Unsupported(format!("the classifier's score of frame {frame} is {score}, which is no number from 0 to 1")));
        }
        Ok(SafetyScore { frame, score, flagged: score >= self.threshold })
    }
}

impl fmt::Debug for Safety {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { check, threshold, blacken, .. } = self;
        f.debug_struct("Safety").field("check", check).field("threshold", threshold).field("blacken", blacken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_check_looks_at_eight_frames() {
        let of = |frames: usize| (0..frames).filter(|&frame| SafetyCheck::Fast.includes(frame, frames)).collect::<Vec<_>>();
        assert_eq!(of(1), [0]);
        assert_eq!(of(8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(of(77), [0, 9, 19, 28, 38, 48, 57, 67]);
        assert!((9..300).all(|frames| of(frames).len() == FAST));
    }
}
