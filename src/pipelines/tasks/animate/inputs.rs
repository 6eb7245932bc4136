//! What an animation is made of.

use std::sync::Arc;

use image::RgbImage;

use crate::digest::Digest;
use crate::driving::{DrivingVideo, Purpose};
use crate::error::{Error, Result};
use crate::pipelines::run::description::Description;
use crate::preprocess::Conditions;
use crate::video::{Frame, Frames, Motion, Scene};

#[derive(Clone, Debug)]
pub struct Inputs {
    pub reference: Arc<RgbImage>,
    /// Until a raw video is prepared, what stands in for it.
    pub role: Role,
    /// From which all of the role is to be made.
    pub raw: Option<RawVideo>,
    /// Frames to leave out at the start of all videos.
    pub frame_offset: usize,
    /// The last frames of the video that this one continues.
    pub given: Arc<[Frame]>,
    /// How strongly the pose is followed, 0 to 2.
    pub pose_strength: f64,
    /// The same of the face.
    pub face_strength: f64,
}

/// A driving video that is still to be prepared.
#[derive(Clone, Debug)]
pub struct RawVideo {
    pub driving: DrivingVideo,
    pub purpose: Purpose,
    /// Of its settings and networks, whose files are read for it.
    digest: Digest,
}

/// What a generation shows the character doing, or in whose place.
#[derive(Clone, Debug)]
pub enum Role {
    Animate(Arc<Motion>),
    Replace(Arc<Scene>),
}

impl RawVideo {
    pub fn new(driving: DrivingVideo, purpose: Purpose) -> Self {
        Self { digest: driving.digest(), driving, purpose }
    }

    /// What stands in for it until it is prepared.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be prepared.
    pub fn stand_in(&self) -> Result<Role> {
        self.driving.check(&self.purpose)?;
        Ok(match &self.purpose {
            Purpose::Animate(_) => Role::Animate(Arc::new(self.driving.stand_in_motion(&self.purpose)?)),
            Purpose::Replace => Role::Replace(Arc::new(self.driving.stand_in_scene()?)),
        })
    }

    fn describe(&self, description: &mut Description) -> Result<()> {
        let Self { driving, purpose, digest } = self;
        description.set("preprocessing", format!("{purpose:?} {digest}"));
        driving.videos().into_iter().try_for_each(|(name, video)| description.set_video(name, video))
    }
}

impl Role {
    /// Made of a raw video.
    pub fn of(conditions: &Conditions) -> Result<Self> {
        Ok(match conditions.background() {
            Some(_) => Self::Replace(Arc::new(conditions.scene()?)),
            None => Self::Animate(Arc::new(conditions.motion()?)),
        })
    }
}

impl Inputs {
    pub fn motion(&self) -> &Motion {
        match &self.role {
            Role::Animate(motion) => motion,
            Role::Replace(scene) => scene.motion(),
        }
    }

    /// With what is shown of the reference.
    pub fn shown(mut self, (width, height): (usize, usize)) -> Self {
        if let Some(raw) = &self.raw {
            self.reference = Arc::new(raw.driving.shown(&self.reference, (width as u32, height as u32)).into_owned());
        }
        self
    }

    /// The pose, if it is followed at all.
    pub fn pose(&self) -> Option<&Frames> {
        self.motion().pose().filter(|_| self.pose_strength > 0.0)
    }

    /// The face, if it is followed at all.
    pub fn face(&self) -> Option<&Frames> {
        self.motion().face().filter(|_| self.face_strength > 0.0)
    }

    /// What is wrong with the strengths.
    pub fn check(&self) -> Result<()> {
        for (what, strength) in [("pose", self.pose_strength), ("face", self.face_strength)] {
            if !(0.0..=2.0).contains(&strength) {
                return Err(Error::Input(format!("a {what} strength of {strength}; it must be 0 to 2")));
            }
        }
        Ok(())
    }

    /// The size of the video that the result's frames answer to.
    pub fn size(&self) -> Option<(u32, u32)> {
        let pose = self.motion().pose().map(|pose| pose.size());
        match &self.role {
            Role::Animate(_) => pose,
            Role::Replace(scene) => pose.or(Some(scene.background().size())),
        }
    }

    /// What frames depend on of them.
    pub fn describe(&self, description: &mut Description) -> Result<()> {
        description.set_image("reference", &self.reference);
        match &self.raw {
            Some(raw) => raw.describe(description)?,
            None => self.describe_role(description)?,
        }
        description.set("frame offset", self.frame_offset);
        description.set("strength of pose and face", format!("{} {}", self.pose_strength, self.face_strength));
        Ok(())
    }

    fn describe_role(&self, description: &mut Description) -> Result<()> {
        let motion = self.motion();
        description.set_video("pose", motion.pose())?;
        description.set_video("face", motion.face())?;
        if let Role::Replace(scene) = &self.role {
            description.set_video("background", Some(scene.background()))?;
            description.set_image("mask", &scene.read_mask(0)?);
        }
        Ok(())
    }
}
