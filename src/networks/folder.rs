//! The networks of a folder, told apart by what they are.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::detector::{OnnxDetector, PersonDetector};
use crate::networks::kind::{Kind, Outputs};
use crate::networks::mediapipe::MediaPipe;
use crate::networks::net::open;
use crate::networks::pose::{OnnxPose, PoseEstimator};
use crate::networks::sam2::Sam2Masks;
use crate::networks::segmenter::{OnnxMask, Segmenter};
use crate::networks::video_segmenter::VideoSegmenter;
use crate::onnx::Graph;
use crate::preprocess::{NUM_KEYPOINTS, PersonBox};

/// How deep folders are looked through: that of the official release has one for each task, and a network may be a folder.
const DEPTH: usize = 3;

/// The networks that find a person, its points, and its mask where there is one for that.
pub struct Networks {
    pub(super) detector: Box<dyn PersonDetector>,
    pub(super) pose: Box<dyn PoseEstimator>,
    pub(super) masks: Masks,
}

/// What finds masks.
pub(super) enum Masks {
    /// The pose network, where it does.
    Pose,
    Frame(Box<dyn Segmenter>),
    Sam2(Box<Sam2Masks>),
    Video(Box<dyn VideoSegmenter>),
}

impl Masks {
    /// What goes through the video once more for them.
    pub(super) fn of_video(&mut self) -> Option<&mut dyn VideoSegmenter> {
        match self {
            Self::Sam2(segmenter) => Some(&mut **segmenter),
            Self::Video(segmenter) => Some(&mut **segmenter),
            Self::Pose | Self::Frame(_) => None,
        }
    }
}

impl Networks {
    /// Of the application's own, or opened one by one.
    pub fn new(detector: impl PersonDetector + 'static, pose: impl PoseEstimator + 'static) -> Self {
        Self { detector: Box::new(detector), pose: Box::new(pose), masks: Masks::Pose }
    }

    /// With a network of masks, which comes before what the pose network says of them.
    pub fn with_segmenter(mut self, segmenter: impl Segmenter + 'static) -> Self {
        self.masks = Masks::Frame(Box::new(segmenter));
        self
    }

    /// With one that looks at the whole video, such as [`Sam2Masks`], likewise.
    pub fn with_video_segmenter(mut self, segmenter: impl VideoSegmenter + 'static) -> Self {
        self.masks = Masks::Video(Box::new(segmenter));
        self
    }

    /// Those of a folder and the folders in it, such as the official release's `process_checkpoint`. They are told apart by their inputs and outputs,
    /// whatever their names. See [`NetworkFiles`] where there are several for one task.
    ///
    /// # Errors
    /// [`Error::Weights`] where there is none for a task, or are two; [`Error::Io`] where the folder cannot be read; [`Error::Limits`] and
    /// [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(folder: impl Into<Location>, device: &Device) -> Result<Self> {
        NetworkFiles::new().folder(folder).open(device)
    }

    /// What all of them take on a [dry](Device::dry) device that they were opened on, with pictures of this size, and masks where they are wanted.
    pub(crate) fn rehearse(&mut self, width: u32, height: u32, masks: bool) -> Result<()> {
        let picture = RgbImage::new(width, height);
        let person = PersonBox { x1: 0.0, x2: width.into(), y1: 0.0, y2: height.into() };
        self.detector.persons(&picture)?;
        let found = self.pose.pose(&picture, &person)?;
        match &mut self.masks {
            Masks::Frame(segmenter) => segmenter.mask(&picture, &found.points).map(drop),
            Masks::Sam2(segmenter) if masks => segmenter.rehearse(),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Networks").field("segmenter", &!matches!(self.masks, Masks::Pose)).finish_non_exhaustive()
    }
}

/// Which files are for which task. What is not given by itself is looked for in the folder.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is opened before `open`"]
pub struct NetworkFiles {
    folder: Option<Location>,
    detector: Option<Location>,
    pose: Option<Location>,
    segmenter: Option<Location>,
}

impl NetworkFiles {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

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

    /// The network of masks: an ONNX file, or a checkpoint of SAM 2 (`.pt` or safetensors).
    pub fn segmenter(mut self, file: impl Into<Location>) -> Self {
        self.segmenter = Some(file.into());
        self
    }

    fn all(&self) -> [Option<&Location>; 4] {
        [&self.folder, &self.detector, &self.pose, &self.segmenter].map(Option::as_ref)
    }

    /// What tells these files from others: their lengths, and how they begin and end.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = Digest::new();
        for place in self.all() {
            let mut files = Vec::new();
            place.inspect(|place| every_file(place, DEPTH + 1, &mut files));
            digest.add(&(files.len() as u64).to_le_bytes());
            for content in files.iter().filter_map(|file| file.open().ok()) {
                let (length, most) = (content.len(), content.len().min(DIGESTED));
                digest.add(&(length as u64).to_le_bytes());
                for range in [0..most, length - most..length] {
                    content.bytes(range).into_iter().for_each(|bytes| digest.add(&bytes));
                }
            }
        }
        digest
    }

    /// Opens them, on the GPU until what they are opened as is dropped.
    ///
    /// # Errors
    /// Those of [`Networks::open`].
    pub fn open(&self, device: &Device) -> Result<Networks> {
        let mut there = match &self.folder {
            Some(folder) => There::look(folder)?,
            None => There::default(),
        };
        let detector = match &self.detector {
            Some(file) => OnnxDetector::open(file.clone(), device)?,
            None => OnnxDetector::load(there.required(|kind| matches!(kind, Kind::Detector(_)), &DETECTOR)?, device)?,
        };
        let followed = if self.segmenter.is_none() { there.sam2()? } else { None };
        let masks = match self.segmenter.clone().or(followed) {
            Some(file) if is_checkpoint(&file) => Masks::Sam2(Box::new(Sam2Masks::open(file, device)?)),
            Some(file) => Masks::Frame(Box::new(OnnxMask::open(file, device)?)),
            None => match there.take(|kind| kind == Kind::Mask, &SEGMENTER)? {
                Some(graph) => Masks::Frame(Box::new(OnnxMask::load(graph, device)?)),
                None => Masks::Pose,
            },
        };
        let pose: Box<dyn PoseEstimator> = match &self.pose {
            Some(file) => Box::new(OnnxPose::open(file.clone(), device)?),
            None => there.pose(device)?,
        };
        Ok(Networks { detector: Box::new(detector), pose, masks })
    }
}

/// Bytes at either end of a file that count for its digest.
const DIGESTED: usize = 16 << 20;

/// A task, for errors.
struct Wanted {
    what: &'static str,
    /// Usual names of files.
    files: &'static str,
    /// How one is chosen: of [`NetworkFiles`], and in the examples' command line.
    choice: (&'static str, &'static str),
}

const DETECTOR: Wanted =
    Wanted { what: "detector of persons", files: "yolov10m.onnx, yolox_l.onnx, nanodet", choice: ("detector", "--detector") };
const POSE: Wanted = Wanted {
    what: "pose network",
    files: "vitpose_h_wholebody.onnx, dw-ll_ucoco_384.onnx, rtmw, or MediaPipe's pose, hand and face networks",
    choice: ("pose", "--pose-network"),
};
const HAND: Wanted = Wanted { what: "hand network", files: "MediaPipe's hand_landmark", ..POSE };
const FACE: Wanted = Wanted { what: "face network", files: "MediaPipe's face_landmark", ..POSE };
const SEGMENTER: Wanted =
    Wanted { what: "network of masks", files: "sam2_hiera_large.pt, u2net_human_seg.onnx", choice: ("segmenter", "--mask-network") };

/// How names of files begin that hold SAM 2, and how they end.
const SAM2: (&str, [&str; 5]) = ("sam2", [".pt", ".pth", ".ckpt", ".bin", ".safetensors"]);

/// The networks that are in a folder.
#[derive(Default)]
struct There {
    folder: PathBuf,
    found: Vec<(Kind, Graph)>,
    /// Checkpoints of SAM 2, by their names.
    sam2: Vec<Location>,
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
        let (sam2, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_checkpoint);
        there.sam2 = sam2;
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
    fn take(&mut self, is: impl Fn(Kind) -> bool, wanted: &Wanted) -> Result<Option<Graph>> {
        let places: Vec<_> = (0..self.found.len()).filter(|&at| is(self.found[at].0)).collect();
        match places[..] {
            [] => Ok(None),
            [only] => Ok(Some(self.found.swap_remove(only).1)),
            [first, second, ..] => Err(self.both([first, second].map(|at| self.found[at].1.path()), wanted)),
        }
    }

    /// The only checkpoint of SAM 2, which comes before other networks of masks.
    fn sam2(&mut self) -> Result<Option<Location>> {
        match &self.sam2[..] {
            [first, second, ..] => Err(self.both([first.path(), second.path()], &SEGMENTER)),
            _ => Ok(self.sam2.pop()),
        }
    }

    /// There are two for one task.
    fn both(&self, paths: [&Path; 2], Wanted { what, choice: (method, option), .. }: &Wanted) -> Error {
        let [a, b] = paths.map(Path::display);
        Error::weights(
            &self.folder,
            format!("both {a} and {b} are a {what}: give the one to use by itself, as `{method}` (examples: {option})"),
        )
    }

    fn required(&mut self, is: impl Fn(Kind) -> bool, wanted: &Wanted) -> Result<Graph> {
        self.take(is, wanted)?.ok_or_else(|| self.missing(wanted))
    }

    /// What is not there, what is instead, and why a file may not count.
    fn missing(&self, Wanted { what, files, .. }: &Wanted) -> Error {
        let others: Vec<_> = self.found.iter().map(|(kind, graph)| format!("{} is {kind}", graph.path().display())).collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
        let failed = self.failures.first().map_or_else(String::new, |error| format!("; a file could not be opened: {error}"));
        Error::weights(&self.folder, format!("no {what}{others}: put one there, such as {files}{failed}"))
    }

    fn pose(&mut self, device: &Device) -> Result<Box<dyn PoseEstimator>> {
        let points = self.take(|kind| matches!(kind, Kind::Heatmaps | Kind::SimCc), &POSE)?;
        let body = self.take(|kind| kind == Kind::MediaPipePose, &POSE)?;
        match (points, body) {
            (Some(a), Some(b)) => Err(self.both([a.path(), b.path()], &POSE)),
            (Some(graph), None) => Ok(Box::new(OnnxPose::load(graph, device)?)),
            (None, Some(body)) => {
                let hand = self.required(|kind| kind == Kind::MediaPipeHand, &HAND)?;
                let face = self.required(|kind| kind == Kind::MediaPipeFace, &FACE)?;
                Ok(Box::new(MediaPipe::load([body, hand, face], device)?))
            }
            (None, None) => match self.found.iter().find(|(kind, _)| matches!(kind, Kind::OtherPoints(_))) {
                Some((Kind::OtherPoints(points), graph)) => {
                    let message =
                        format!("it finds {points} key points, where {NUM_KEYPOINTS} are needed (COCO-WholeBody: body, feet, face, hands)");
                    Err(Error::weights(graph.path(), message))
                }
                _ => Err(self.missing(&POSE)),
            },
        }
    }
}

/// A file, or all files of a folder and of the folders in it, as far as they can be read.
fn every_file(place: &Location, depth: usize, files: &mut Vec<Location>) {
    match place.is_dir() {
        false => files.push(place.clone()),
        true if depth == 0 => {}
        true => place.names().unwrap_or_default().iter().for_each(|name| every_file(&place.join(name), depth - 1, files)),
    }
}

/// Whether a file is a checkpoint of SAM 2, or a folder with one, by its name.
fn is_checkpoint(place: &Location) -> bool {
    let name = place.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    match place.is_dir() {
        true => {
            place.names().unwrap_or_default().iter().any(|name| name.ends_with(".safetensors")) && !place.join("end2end.onnx").is_file()
        }
        false => !name.ends_with(".onnx"),
    }
}

/// The ONNX files of a folder and checkpoints of SAM 2, and folders that stand for one.
fn walk(folder: &Location, depth: usize, files: &mut Vec<Location>) -> Result<()> {
    for name in folder.names()? {
        let inside = folder.join(&name);
        let is_named = name.ends_with(".onnx");
        let (begin, ends) = SAM2;
        let is_sam2 = name.to_lowercase().starts_with(begin);
        match (inside.is_dir(), is_named) {
            (false, true) => files.push(inside),
            (false, false) if is_sam2 && ends.iter().any(|end| name.ends_with(end)) => files.push(inside),
            (true, _) if is_named || inside.join("end2end.onnx").is_file() => files.push(inside),
            // As transformers saves it.
            (true, _) if is_sam2 && inside.join("model.safetensors").is_file() => files.push(inside),
            (true, false) if depth > 1 => walk(&inside, depth - 1, files)?,
            _ => {}
        }
    }
    Ok(())
}
