//! A video, and how it is to be prepared.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use image::RgbImage;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::networks::{NetworkFiles, Networks, Search};
use crate::preprocess::{Beside, FACE_SIZE, Keypoints, Preprocess};
use crate::video::{FrameSource, Frames, Motion, Scene};

/// A video as it was filmed, from which all inputs of a generation are made. See the [module](crate::driving).
///
/// What is given comes before what would be found or made: key points before those that networks find, a mask, poses, faces and a background
/// before those that are made of them.
#[derive(Clone, Debug)]
#[must_use = "nothing is made of it before it is prepared"]
pub struct DrivingVideo {
    pub(super) video: Frames,
    pub(super) preprocess: Preprocess,
    pub(super) search: Search,
    pub(super) finder: Option<Finder>,
    pub(super) keypoints: Option<Keypoints>,
    pub(super) mask: Option<Frames>,
    pub(super) beside: Beside,
    pub(super) cache: Option<PathBuf>,
}

/// Who finds the person.
#[derive(Clone, Debug)]
pub(super) enum Finder {
    /// Networks that are opened when they are needed, and gone afterwards.
    Files(NetworkFiles),
    /// The application's.
    Own(Arc<Mutex<Networks>>),
}

/// What the video is for.
#[derive(Clone)]
pub enum Purpose {
    /// The character of this image performs the motion.
    Animate(Arc<RgbImage>),
    /// The person is replaced.
    Replace,
}

/// Without the picture.
impl fmt::Debug for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Animate(_) => "Animate",
            Self::Replace => "Replace",
        })
    }
}

/// Black frames in place of those that are not there yet.
struct StandIn {
    num_frames: usize,
    size: (u32, u32),
    fps: f64,
}

impl FrameSource for StandIn {
    fn num_frames(&self) -> usize {
        self.num_frames
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn fps(&self) -> Option<f64> {
        Some(self.fps)
    }

    fn read(&self, _index: usize) -> Result<RgbImage> {
        Ok(RgbImage::new(self.size.0, self.size.1))
    }
}

impl DrivingVideo {
    /// The defaults of [`Preprocess`] and [`Search`]: as Wan2.2's own preprocessing does, but that the person is followed.
    pub fn new(video: Frames) -> Self {
        Self {
            video,
            preprocess: Preprocess::default(),
            search: Search::default(),
            finder: None,
            keypoints: None,
            mask: None,
            beside: Beside::default(),
            cache: None,
        }
    }

    /// How it is prepared: rate, resolution, retargeting, mask. With [`Retarget::to_found`](crate::preprocess::Retarget::to_found) networks find the
    /// character's points in its image.
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = preprocess;
        self
    }

    /// How the person is looked for. Whether masks are, is left to what the video is for.
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// The networks that find the person, on the GPU until that is done. Default: those in the folder `process_checkpoint` of the pipeline's
    /// checkpoint.
    pub fn networks(mut self, files: NetworkFiles) -> Self {
        self.finder = Some(Finder::Files(files));
        self
    }

    /// Networks that are open, such as an application's own. Plans do not count what they take, and nothing of their work is kept in a
    /// [cache](Self::cache). Networks that follow a person follow one at a time: not for two generations at once.
    pub fn open_networks(mut self, networks: Networks) -> Self {
        self.finder = Some(Finder::Own(Arc::new(Mutex::new(networks))));
        self
    }

    /// Where the person is, in place of what networks find: in all frames of the video before or after sampling, and of its size.
    pub fn keypoints(mut self, keypoints: Keypoints) -> Self {
        self.keypoints = Some(keypoints);
        self
    }

    /// Where the person is that is replaced, as in [`Preprocess::replace`], in place of what networks find.
    pub fn mask(mut self, mask: Frames) -> Self {
        self.mask = Some(mask);
        self
    }

    /// Pose drawings, in place of those that are made.
    pub fn pose(mut self, pose: Frames) -> Self {
        self.beside.pose = Some(pose);
        self
    }

    /// Face crops, in place of those that are made.
    pub fn face(mut self, face: Frames) -> Self {
        self.beside.face = Some(face);
        self
    }

    /// The background, where the person is replaced, in place of the video without what the mask covers.
    pub fn background(mut self, background: Frames) -> Self {
        self.beside.background = Some(background);
        self
    }

    /// A folder in which the work of networks is kept, so that a changed option repeats only what follows it. It is made where there is none.
    /// Default: nothing is kept.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// With networks where it has none.
    pub(crate) fn or_networks(mut self, folder: Option<NetworkFiles>) -> Self {
        self.finder = self.finder.or(folder.map(Finder::Files));
        self
    }

    /// With frames of this size.
    pub(crate) fn sized(mut self, width: u32, height: u32) -> Self {
        self.preprocess = self.preprocess.size(width, height);
        self
    }

    /// What is shown of the character image where so many pixels are generated.
    pub fn shown<'a>(&self, reference: &'a RgbImage, size: (u32, u32)) -> Cow<'a, RgbImage> {
        self.preprocess.shown(reference, size)
    }

    /// What is wrong, as far as it shows before networks are open.
    pub(crate) fn check(&self, purpose: &Purpose) -> Result<()> {
        self.preprocess.check()?;
        self.size(purpose)?;
        let needed = match purpose {
            _ if self.keypoints.is_none() => "where the person is",
            Purpose::Replace if self.mask.is_none() => "where the person's mask is",
            Purpose::Animate(_) if self.looks_at_reference() => "where the character's joints are, to retarget poses",
            _ => return Ok(()),
        };
        match self.finder {
            Some(_) => Ok(()),
            None => Err(Error::Input(format!(
                "nothing says {needed}: give networks, a folder of ONNX files with a detector (yolov10m.onnx, yolox_l.onnx or nanodet) and key \
                 points (vitpose_h_wholebody.onnx, dw-ll_ucoco_384.onnx or MediaPipe's), or give it from files"
            ))),
        }
    }

    /// Whether the character's points are still to be found.
    pub(super) fn looks_at_reference(&self) -> bool {
        self.preprocess.retargeting().is_some_and(|retarget| retarget.reference().is_err())
    }

    /// Width and height of what is generated.
    pub(crate) fn size(&self, purpose: &Purpose) -> Result<(u32, u32)> {
        match purpose {
            Purpose::Animate(reference) => self.preprocess.size_of_animation(reference.dimensions(), self.video.size()),
            Purpose::Replace => self.preprocess.size_of_replacement(self.video.size()),
        }
    }

    /// Frames a second of what is generated: those asked for, or else the video's or the key points' own, or else 30.
    ///
    /// # Errors
    /// [`Error::Input`] where the rate asked for is out of range.
    pub fn fps(&self) -> Result<f64> {
        self.preprocess.check()?;
        self.sampled().map(|(_, fps)| fps)
    }

    /// The video at the rate asked for, and that.
    pub(super) fn sampled(&self) -> Result<(Frames, f64)> {
        self.preprocess.sampled(&self.video, self.keypoints.as_ref().and_then(Keypoints::fps))
    }

    /// What stands in for the motion until it is prepared: as many frames, of the same size.
    pub(crate) fn stand_in_motion(&self, purpose: &Purpose) -> Result<Motion> {
        let face = self.stand_in((FACE_SIZE, FACE_SIZE))?;
        Motion::new(self.stand_in(self.size(purpose)?)?, face)
    }

    /// The same of a scene.
    pub(crate) fn stand_in_scene(&self) -> Result<Scene> {
        let frames = self.stand_in(self.size(&Purpose::Replace)?)?;
        Scene::new(self.stand_in_motion(&Purpose::Replace)?, frames.clone(), frames)
    }

    fn stand_in(&self, size: (u32, u32)) -> Result<Frames> {
        let (video, fps) = self.sampled()?;
        Frames::new(StandIn { num_frames: video.num_frames(), size, fps })
    }

    /// The video, and all that was given beside it, by name.
    pub(crate) fn videos(&self) -> [(&'static str, Option<&Frames>); 5] {
        let Beside { pose, face, background, .. } = &self.beside;
        let given = [("given pose", pose), ("given face", face), ("given background", background), ("given mask", &self.mask)];
        let [pose, face, background, mask] = given.map(|(name, frames)| (name, frames.as_ref()));
        [("driving video", Some(&self.video)), pose, face, background, mask]
    }

    /// What tells these settings from others, and these networks and key points.
    pub(crate) fn digest(&self) -> Digest {
        let networks = match &self.finder {
            Some(Finder::Files(files)) => files.digest().to_string(),
            _ => String::new(),
        };
        Digest::of(format!("{:?} {:?} {:?} {networks}", self.preprocess, self.search, self.keypoints).as_bytes())
    }

    /// The networks, opened; none where nothing finds the person.
    pub(super) fn open_finder(&self, device: &Device) -> Result<Option<Arc<Mutex<Networks>>>> {
        Ok(match &self.finder {
            Some(Finder::Files(files)) => Some(Arc::new(Mutex::new(files.open(device)?))),
            Some(Finder::Own(networks)) => Some(networks.clone()),
            None => None,
        })
    }
}
