//! What a network that finds masks is told of the person.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::models::sam2::tracker::MEMORIES;
use crate::preprocess::PersonBox;

/// What is said of the person in the frames in which nothing is said by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum MaskGuide {
    /// The points of the body that are sure and the box around the person, in the first frame in which it is seen, and again wherever mask and points
    /// disagree.
    #[default]
    Confident,
    /// As Wan2.2's own preprocessing does: eight points of the body, however sure, at every quarter of at most 400 frames, which have nothing to do
    /// with those before.
    Official,
}

/// What is said of the person in one frame, in pixels of the video.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it is for `MaskPrompts::frame`"]
pub struct MaskPrompt {
    pub(super) points: Vec<(f64, f64, bool)>,
    pub(super) bounds: Option<PersonBox>,
}

impl MaskPrompt {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The person is here.
    pub fn person(mut self, x: f64, y: f64) -> Self {
        self.points.push((x, y, true));
        self
    }

    /// What is here is not the person's.
    pub fn other(mut self, x: f64, y: f64) -> Self {
        self.points.push((x, y, false));
        self
    }

    /// The person is in this box.
    pub fn bounds(mut self, bounds: PersonBox) -> Self {
        self.bounds = Some(bounds);
        self
    }

    fn is_finite(&self) -> bool {
        let corners = self.bounds.map_or([0.0; 4], |found| [found.x1, found.x2, found.y1, found.y2]);
        self.points.iter().flat_map(|&(x, y, _)| [x, y]).chain(corners).all(f64::is_finite)
    }
}

/// What a network that follows a person's mask through a video is told.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it is for `Search::mask_prompts`"]
pub struct MaskPrompts {
    pub(super) guide: MaskGuide,
    pub(super) max_memories: usize,
    pub(super) by_hand: BTreeMap<usize, MaskPrompt>,
}

impl Default for MaskPrompts {
    fn default() -> Self {
        Self { guide: MaskGuide::default(), max_memories: MEMORIES, by_hand: BTreeMap::new() }
    }
}

impl MaskPrompts {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is said where nothing is said by hand. Default: [`MaskGuide::Confident`].
    pub fn guide(mut self, guide: MaskGuide) -> Self {
        self.guide = guide;
        self
    }

    /// At most how many other frames a frame is compared with: those of which something was said, then the six before it. Fewer are faster, and
    /// forget sooner. Default: 11.
    pub fn max_memories(mut self, frames: usize) -> Self {
        self.max_memories = frames;
        self
    }

    /// What is said by hand of a frame, by its number after sampling, as in the report, from 0. Said of a frame on the way, it corrects the mask that
    /// is found there, and those that follow.
    pub fn frame(mut self, index: usize, prompt: MaskPrompt) -> Self {
        self.by_hand.insert(index, prompt);
        self
    }

    /// What cannot be meant of a video of so many frames.
    pub(super) fn check(&self, num_frames: usize) -> Result<()> {
        let wrong = |message: String| Err(Error::Input(message));
        if self.max_memories == 0 {
            return wrong("a mask cannot be followed with 0 memories; give 1 or more".into());
        }
        for (&index, prompt) in &self.by_hand {
            if index >= num_frames {
                return wrong(format!("the mask of frame {index} is prompted, but the video has {num_frames}"));
            }
            if prompt.points.is_empty() && prompt.bounds.is_none() {
                return wrong(format!("the mask of frame {index} is prompted with nothing: give points or a box"));
            }
            if !prompt.is_finite() {
                return wrong(format!("the mask of frame {index} is prompted at a place that is no number"));
            }
        }
        Ok(())
    }
}
