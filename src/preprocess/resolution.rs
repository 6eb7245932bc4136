//! How many pixels are made, by name.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// About how many pixels a video is made with, as hosted services call it. Both sides are what the aspect gives, rounded down to multiples of 16.
///
/// Sizes that such services offer by number, for [`Preprocess::size`](super::Preprocess::size), with the aspects that they are for:
///
/// | | wide | square | tall |
/// |---|---|---|---|
/// | 360p | 832x480 (16:9), 704x480 (22:15) | | 480x704 (15:22), 480x832 (9:16) |
/// | 720p | 1280x480 (8:3), 1280x704 (16:9), 1280x832 (20:13), 832x704 (13:11) | 704x704, 832x832 | 704x832 (11:13), 832x1280 (13:20), 704x1280 (9:16), 480x1280 (3:8) |
/// | 1080p | | 1280x1280 | |
///
/// and 480x480 (360p).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// 832 x 480 pixels, which also is what most checkpoints make fastest.
    P480,
    /// 1024 x 576 pixels.
    P580,
    /// 1280 x 720 pixels, the official default.
    P720,
}

impl Resolution {
    const NAMES: [(&'static str, Self); 3] = [("480p", Self::P480), ("580p", Self::P580), ("720p", Self::P720)];

    /// Its pixels.
    pub fn area(self) -> u64 {
        match self {
            Self::P480 => 832 * 480,
            Self::P580 => 1024 * 576,
            Self::P720 => 1280 * 720,
        }
    }
}

/// The text that is parsed again.
impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize].0)
    }
}

impl FromStr for Resolution {
    type Err = Error;

    /// `480p`, `580p` or `720p`.
    fn from_str(text: &str) -> Result<Self> {
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        known.map(|(_, known)| known).ok_or_else(|| Error::Input(format!("resolution `{text}`; there are 480p, 580p and 720p")))
    }
}

crate::as_text::as_text!(Resolution);
