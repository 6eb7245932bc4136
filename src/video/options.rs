//! How a video is written.

use std::fmt;
use std::str::FromStr;

use super::audio::Audio;
use crate::{Error, Result};

/// How much work goes into making a file small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// As fast as the encoder can.
    Fast,
    /// The default.
    #[default]
    Balanced,
    /// As small as the encoder can.
    Small,
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Small => "small",
        })
    }
}

crate::as_text::as_text!(Effort);

impl FromStr for Effort {
    type Err = Error;

    /// `fast`, `balanced` or `small`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "fast" => Ok(Self::Fast),
            "balanced" => Ok(Self::Balanced),
            "small" => Ok(Self::Small),
            _ => Err(Error::Input(format!("effort `{text}`; it must be fast, balanced or small"))),
        }
    }
}

/// How a [`VideoWriter`](super::VideoWriter) writes: quality, effort and sound, for the formats that have them.
#[derive(Clone, Debug)]
#[must_use = "options do nothing before a writer has them"]
pub struct VideoOptions {
    pub(super) quality: u8,
    pub(super) effort: Effort,
    pub(super) audio: Option<Audio>,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self { quality: 90, effort: Effort::default(), audio: None }
    }
}

impl VideoOptions {
    /// From 1 to 100, 90 by default, which the eye hardly tells from lossless. Frames of one quality look alike in MP4, MOV and WebM; other
    /// formats have none.
    pub fn quality(mut self, quality: u8) -> Self {
        self.quality = quality;
        self
    }

    /// How much work goes into making MP4, MOV and WebM files small at their quality.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// Sound that is played with the frames, cut to their length. None by default. Only MP4 and MOV hold it; a writer of another format
    /// leaves it out, and the log warns of it.
    pub fn audio(mut self, audio: impl Into<Option<Audio>>) -> Self {
        self.audio = audio.into();
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.quality {
            1..=100 => Ok(()),
            quality => Err(Error::Input(format!("a quality of {quality} is outside 1 to 100"))),
        }
    }
}
