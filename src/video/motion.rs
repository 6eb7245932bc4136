//! What moves the character.

use super::source::Frames;
use crate::count::count;
use crate::{Error, Result};

/// The motion to imitate: a pose video, a face video, or both.
///
/// - A **pose** is a drawing on black of the whole picture that is to be made: body, feet and both hands as coloured limbs and points, as DWPose and
///   Wan2.2's own preprocessing draw them. [`preprocess`](crate::preprocess) makes such drawings of key points. Frames are *stretched* to the
///   result's size, so give them its aspect: a pose of 16:9 for a result of 1:1 makes the character thin.
/// - A **face** is the same person's face cut out of the same frame, as a square picture with brows and chin in it
///   ([`crop_face`](crate::preprocess::crop_face): the face's box, 1.3 times its area). It is *stretched* to the motion encoder's size, 512x512
///   with the published checkpoint, and need not have the result's size or aspect.
///
/// The character's image is never stretched: it is fitted into the result on black.
#[derive(Clone, Debug)]
pub struct Motion {
    pose: Option<Frames>,
    face: Option<Frames>,
}

impl Motion {
    /// Joins a video of pose drawings and one of face crops, frame by frame. Without a pose its latents are zero, without a
    /// face every face frame is -1 throughout (black).
    ///
    /// # Errors
    /// [`Error::Input`] where both are missing or their counts of frames differ.
    pub fn new(pose: impl Into<Option<Frames>>, face: impl Into<Option<Frames>>) -> Result<Self> {
        let motion = Self { pose: pose.into(), face: face.into() };
        match (&motion.pose, &motion.face) {
            (None, None) => Err(Error::Input("there is nothing to imitate: give a pose video, a face video, or both".into())),
            (Some(pose), Some(face)) => {
                check_counts(("pose", pose.num_frames()), ("face", face.num_frames()))?;
                Ok(motion)
            }
            _ => Ok(motion),
        }
    }

    /// The pose drawings, if there are any.
    pub fn pose(&self) -> Option<&Frames> {
        self.pose.as_ref()
    }

    /// The face crops, if there are any.
    pub fn face(&self) -> Option<&Frames> {
        self.face.as_ref()
    }

    /// How many frames there are to imitate.
    pub fn num_frames(&self) -> usize {
        self.any().num_frames()
    }

    /// Frames a second, where a source knows.
    pub fn fps(&self) -> Option<f64> {
        self.any().fps()
    }

    fn any(&self) -> &Frames {
        self.pose.as_ref().or(self.face.as_ref()).expect("`new` saw at least one")
    }
}

pub(super) fn check_counts((a, a_count): (&str, usize), (b, b_count): (&str, usize)) -> Result<()> {
    if a_count == b_count {
        return Ok(());
    }
    let message = format!("the {a} video has {}, but the {b} video has {b_count}; they must match frame by frame", count(a_count, "frame"));
    Err(Error::Input(message))
}
