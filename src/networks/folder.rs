//! The networks of a folder, told apart by what they are.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::detector::{OnnxDetector, PersonDetector};
use crate::networks::kind::{Kind, Outputs};
use crate::networks::mediapipe::MediaPipe;
use crate::networks::net::open;
use crate::networks::pose::{OnnxPose, PoseEstimator};
use crate::networks::segmenter::{OnnxMask, Segmenter};
use crate::onnx::Graph;
use crate::preprocess::NUM_KEYPOINTS;

/// How deep folders are looked through: that of the official release has one for each task, and a network may be a folder.
const DEPTH: usize = 3;

/// The networks that find a person, its points, and its mask where there is one for that.
pub struct Networks {
    pub(super) detector: Box<dyn PersonDetector>,
    pub(super) pose: Box<dyn PoseEstimator>,
    pub(super) segmenter: Option<Box<dyn Segmenter>>,
}

impl Networks {
    /// Of the application's own, or opened one by one.
    pub fn new(detector: impl PersonDetector + 'static, pose: impl PoseEstimator + 'static) -> Self {
        Self { detector: Box::new(detector), pose: Box::new(pose), segmenter: None }
    }

    /// With a network of masks, which comes before what the pose network says of them.
    pub fn with_segmenter(mut self, segmenter: impl Segmenter + 'static) -> Self {
        self.segmenter = Some(Box::new(segmenter));
        self
    }

    /// Those of a folder and the folders in it, such as the official release's `process_checkpoint`. They are told apart by their inputs and outputs,
    /// whatever their names. See [`Networks::choose`] where there are several for one task.
    ///
    /// # Errors
    /// [`Error::Weights`] where there is none for a task, or are two; [`Error::Io`] where the folder cannot be read; [`Error::Limits`] and
    /// [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(folder: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::choose(device).folder(folder).open()
    }

    /// Says which file is for which task.
    pub fn choose(device: &Device) -> Choice<'_> {
        Choice { device, folder: None, detector: None, pose: None, segmenter: None }
    }
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Networks").field("segmenter", &self.segmenter.is_some()).finish_non_exhaustive()
    }
}

/// Where networks are. Made by [`Networks::choose`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct Choice<'a> {
    device: &'a Device,
    folder: Option<Location>,
    detector: Option<Location>,
    pose: Option<Location>,
    segmenter: Option<Location>,
}

impl Choice<'_> {
    /// What is not given by itself is looked for in this folder and the folders in it.
    pub fn folder(mut self, folder: impl Into<Location>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The detector of persons.
    pub fn detector(mut self, file: impl Into<Location>) -> Self {
        self.detector = Some(file.into());
        self
    }

    /// The network of 133 key points.
    pub fn pose(mut self, file: impl Into<Location>) -> Self {
        self.pose = Some(file.into());
        self
    }

    /// The network of masks.
    pub fn segmenter(mut self, file: impl Into<Location>) -> Self {
        self.segmenter = Some(file.into());
        self
    }

    /// Opens them.
    ///
    /// # Errors
    /// Those of [`Networks::open`].
    pub fn open(self) -> Result<Networks> {
        let mut there = match &self.folder {
            Some(folder) => There::look(folder)?,
            None => There::default(),
        };
        let device = self.device;
        let detector = match self.detector {
            Some(file) => OnnxDetector::open(file, device)?,
            None => OnnxDetector::load(there.required(|kind| matches!(kind, Kind::Detector(_)), DETECTOR)?, device)?,
        };
        let segmenter = match self.segmenter {
            Some(file) => Some(OnnxMask::open(file, device)?),
            None => there.take(|kind| kind == Kind::Mask, "network of masks")?.map(|graph| OnnxMask::load(graph, device)).transpose()?,
        };
        let pose: Box<dyn PoseEstimator> = match self.pose {
            Some(file) => Box::new(OnnxPose::open(file, device)?),
            None => there.pose(device)?,
        };
        Ok(Networks { detector: Box::new(detector), pose, segmenter: segmenter.map(|segmenter| Box::new(segmenter) as _) })
    }
}

/// What is wanted for a task, for errors.
const DETECTOR: (&str, &str) = ("detector of persons", "yolov10m.onnx, yolox_l.onnx, nanodet");
const POSE: (&str, &str) =
    ("pose network", "vitpose_h_wholebody.onnx, dw-ll_ucoco_384.onnx, rtmw, or MediaPipe's pose, hand and face networks");

/// The networks that are in a folder.
#[derive(Default)]
struct There {
    folder: PathBuf,
    found: Vec<(Kind, Graph)>,
    /// Of files that could not be opened.
    failures: Vec<Error>,
}

impl There {
    fn look(folder: &Location) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::weights(folder.path(), "there is no such folder of networks"));
        }
        let mut there = Self { folder: folder.path().into(), ..Self::default() };
        let mut files = Vec::new();
        walk(folder, DEPTH, &mut files)?;
        for file in files {
            match open(&file) {
                Ok(graph) => there.found.push((Outputs::of(&graph).kind(), graph)),
                Err(error) => {
                    log::warn!("a network is passed over: {error}");
                    there.failures.push(error);
                }
            }
        }
        Ok(there)
    }

    /// The only network of a kind.
    fn take(&mut self, is: impl Fn(Kind) -> bool, what: &str) -> Result<Option<Graph>> {
        let places: Vec<_> = (0..self.found.len()).filter(|&at| is(self.found[at].0)).collect();
        match places[..] {
            [] => Ok(None),
            [only] => Ok(Some(self.found.swap_remove(only).1)),
            [first, second, ..] => {
                let [a, b] = [first, second].map(|at| self.found[at].1.path().display());
                Err(Error::weights(&self.folder, format!("both {a} and {b} are a {what}: give the one to use by itself")))
            }
        }
    }

    fn required(&mut self, is: impl Fn(Kind) -> bool, wanted: (&str, &str)) -> Result<Graph> {
        self.take(is, wanted.0)?.ok_or_else(|| self.missing(wanted))
    }

    /// What is not there, what is instead, and why a file may not count.
    fn missing(&self, (what, files): (&str, &str)) -> Error {
        let others: Vec<_> = self.found.iter().map(|(kind, graph)| format!("{} is {kind}", graph.path().display())).collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
        let failed = self.failures.first().map_or_else(String::new, |error| format!("; a file could not be opened: {error}"));
        Error::weights(&self.folder, format!("no {what}{others}: put one there, such as {files}{failed}"))
    }

    fn pose(&mut self, device: &Device) -> Result<Box<dyn PoseEstimator>> {
        let points = self.take(|kind| matches!(kind, Kind::Heatmaps | Kind::SimCc), POSE.0)?;
        let body = self.take(|kind| kind == Kind::MediaPipePose, POSE.0)?;
        match (points, body) {
            (Some(a), Some(b)) => {
                let (a, b) = (a.path().display(), b.path().display());
                Err(Error::weights(&self.folder, format!("both {a} and {b} find key points: give the one to use by itself")))
            }
            (Some(graph), None) => Ok(Box::new(OnnxPose::load(graph, device)?)),
            (None, Some(body)) => {
                let hand = self.required(|kind| kind == Kind::MediaPipeHand, ("hand network", "MediaPipe's hand_landmark"))?;
                let face = self.required(|kind| kind == Kind::MediaPipeFace, ("face network", "MediaPipe's face_landmark"))?;
                Ok(Box::new(MediaPipe::load([body, hand, face], device)?))
            }
            (None, None) => match self.found.iter().find(|(kind, _)| matches!(kind, Kind::OtherPoints(_))) {
                Some((Kind::OtherPoints(points), graph)) => {
                    let message =
                        format!("it finds {points} key points, where {NUM_KEYPOINTS} are needed (COCO-WholeBody: body, feet, face, hands)");
                    Err(Error::weights(graph.path(), message))
                }
                _ => Err(self.missing(POSE)),
            },
        }
    }
}

/// The ONNX files of a folder, and folders that stand for one.
fn walk(folder: &Location, depth: usize, files: &mut Vec<Location>) -> Result<()> {
    for name in folder.names()? {
        let inside = folder.join(&name);
        let is_named = name.ends_with(".onnx");
        match (inside.is_dir(), is_named) {
            (false, true) => files.push(inside),
            (true, _) if is_named || inside.join("end2end.onnx").is_file() => files.push(inside),
            (true, false) if depth > 1 => walk(&inside, depth - 1, files)?,
            _ => {}
        }
    }
    Ok(())
}
