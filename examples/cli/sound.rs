//! The driving video's sound.

use std::path::Path;

use clap::ValueEnum;
use wan_animate::Result;
use wan_animate::video::{Audio, Frames};

/// What becomes of the sound.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sound {
    /// The sound of the first input that has any is copied, as it is coded.
    Keep,
    /// The result is silent.
    None,
}

/// The sound of the first of `inputs` that has any. Where it cannot be carried, a warning says so.
///
/// `resampled` says whether frames keep the time of their video, and not only their order.
pub fn find<'a>(inputs: impl IntoIterator<Item = &'a Path>, resampled: bool) -> Result<Option<Audio>> {
    for input in inputs {
        match Audio::open(input) {
            Ok(Some(_)) if !resampled && Frames::open(input)?.times().is_some() => {
                let message = "its frames do not follow each other evenly, so its sound would not fit and is left out; --fps keeps both";
                log::warn!("{}: {message}", input.display());
            }
            Ok(Some(audio)) => return Ok(Some(audio)),
            Ok(None) => {}
            Err(error) => log::warn!("{error}; the result is silent"),
        }
    }
    Ok(None)
}
