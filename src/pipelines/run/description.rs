//! What a generation is made of, in words, so that a saved state is only ever gone on with by the same request.

use std::collections::BTreeMap;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipelines::checkpoint::parts::Parts;
use crate::video::Frames;

/// Everything that frames depend on, by name; long things as digests. Where and how fast the work is done is not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description(BTreeMap<String, String>);

impl Description {
    /// What frames depend on of the checkpoint.
    pub fn of<T>(parts: &Parts<T>) -> Self {
        let mut description = Self::default();
        description.set("checkpoint", parts.digest);
        description.set("rules for images", format!("{:?}", parts.rules));
        description.set("precision", format!("{:?}", parts.precision));
        description
    }

    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.into(), value.to_string());
    }

    pub fn set_image(&mut self, name: &str, image: &RgbImage) {
        self.set(name, image_words(image));
    }

    /// Length, size and first frame of a video: the rest would have to be decoded.
    pub fn set_video(&mut self, name: &str, video: Option<&Frames>) -> Result<()> {
        let words = match video {
            Some(video) => format!("{} frames, the first {}", video.num_frames(), image_words(&video.read(0)?)),
            None => "none".into(),
        };
        self.set(name, words);
        Ok(())
    }

    /// # Errors
    /// [`Error::Input`] naming what differs in `saved`.
    pub fn check(&self, saved: &Self) -> Result<()> {
        let names = self.0.keys().chain(saved.0.keys().filter(|name| !self.0.contains_key(*name)));
        let of = |description: &Self, name: &str| description.0.get(name).map_or_else(|| "not there".into(), |value| shortened(value));
        let differs = |name: &&String| self.0.get(*name) != saved.0.get(*name);
        let differences: Vec<_> =
            names.filter(differs).map(|name| format!("{name} was {} and is {}", of(saved, name), of(self, name))).collect();
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::Input(format!("the saved state is of another generation: {}", differences.join("; ")))),
        }
    }
}

fn image_words(image: &RgbImage) -> String {
    format!("{}x{} {}", image.width(), image.height(), Digest::of(image.as_raw()))
}

/// The beginning of a long text.
fn shortened(text: &str) -> String {
    const CHARS: usize = 60;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("`{}..`", &text[..end]),
        None => format!("`{text}`"),
    }
}
