//! Key points in JSON files.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keypoints::{Keypoint, Keypoints, NUM_KEYPOINTS, WholeBody};
use super::openpose::{self, Picture};
use crate::partial_file::PartialFile;
use crate::{Error, Result};

const FORMAT: &str = "coco-wholebody-133";
/// An hour of video has 300 MB.
const LARGEST_FILE: u64 = 1 << 29;

/// In which form key points are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum KeypointsFormat {
    /// One JSON file with all 133 points: `{"format": "coco-wholebody-133", "width", "height", "fps", "frames": [[[x, y, score], ...]]}`.
    #[default]
    CocoWholeBody,
    /// A folder with a JSON file for each frame as OpenPose writes them: BODY_25, 70 points of the face, 21 of each hand, in pixels.
    OpenPose,
    /// One JSON file as ComfyUI's POSE_KEYPOINT: 18 points of the body (no feet), 70 of the face, 21 of each hand, in pixels.
    ComfyUi,
}

/// The own format.
#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    width: u32,
    height: u32,
    #[serde(default)]
    fps: Option<f64>,
    frames: Vec<Vec<Option<[f64; 3]>>>,
}

impl Keypoints {
    /// Reads key points: a JSON file of the own format or ComfyUI's, as [`KeypointsFormat`] has them. A point can be `null` there, which is
    /// one that was not found. Of several persons the largest is taken, and then whoever is nearest to where it was.
    ///
    /// # Errors
    /// [`Error::Input`] for anything else, saying which frame and point is wrong; [`Error::Io`] where the file cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), None)
    }

    /// As [`open`](Self::open), and OpenPose's files (one, or a folder of one for each frame), which do not say the size of the pictures.
    /// Places that are all within 0 to 1 are shares of it. Of the other formats the own size counts.
    ///
    /// # Errors
    /// As there.
    pub fn open_sized(path: impl AsRef<Path>, width: u32, height: u32) -> Result<Self> {
        read(path.as_ref(), Some((width, height)))
    }

    /// As [`open`](Self::open), of a file's text. OpenPose's says no size, so that one must be given; of the others the own size counts.
    ///
    /// # Errors
    /// [`Error::Input`] as there.
    pub fn from_json(json: &str, size: Option<(u32, u32)>) -> Result<Self> {
        let is = |start: &str| json.trim_start().starts_with(start);
        if is("[") {
            return openpose::from_pictures(&parse::<Vec<Picture>>(json)?, size);
        }
        // OpenPose's files begin with a version and the people.
        if !json.contains("\"frames\"") && json.contains("\"people\"") {
            return openpose::from_pictures(&[parse(json)?], size);
        }
        from_file(parse(json)?)
    }

    /// The text of a file of the own format.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.to_file()).expect("finite numbers are JSON")
    }

    /// Saves them. Reading the own format again gives the same numbers; the others have fewer points.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, format: KeypointsFormat) -> Result<()> {
        let path = path.as_ref();
        match format {
            KeypointsFormat::CocoWholeBody => write(path, &self.to_file()),
            KeypointsFormat::ComfyUi => write(path, &openpose::pictures(self)),
            KeypointsFormat::OpenPose => {
                fs::create_dir_all(path).map_err(Error::io(path))?;
                let mut files = openpose::files(self).into_iter().enumerate();
                files.try_for_each(|(index, frame)| write(&path.join(format!("{index:012}_keypoints.json")), &frame))
            }
        }
    }

    fn to_file(&self) -> File {
        let points = |frame: &WholeBody| frame.points().iter().map(|at| Some([at.x, at.y, at.score])).collect();
        let frames = self.frames().iter().map(points).collect();
        File { format: FORMAT.into(), width: self.width(), height: self.height(), fps: self.fps(), frames }
    }
}

fn read(path: &Path, size: Option<(u32, u32)>) -> Result<Keypoints> {
    let named = |error: Error| match error {
        Error::Input(message) => Error::Input(format!("{}: {message}", path.display())),
        other => other,
    };
    let found = if path.is_dir() { read_folder(path, size) } else { read_file(path, size) };
    found.map_err(named)
}

fn read_file(path: &Path, size: Option<(u32, u32)>) -> Result<Keypoints> {
    Keypoints::from_json(&load(path)?, size)
}

fn read_folder(path: &Path, size: Option<(u32, u32)>) -> Result<Keypoints> {
    let entries = fs::read_dir(path).map_err(Error::io(path))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(path))).collect::<Result<Vec<PathBuf>>>()?;
    let mut files: Vec<_> = files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "json")).collect();
    if files.is_empty() {
        return Err(Error::Input("holds no JSON file of key points".into()));
    }
    // OpenPose numbers its files with leading zeros.
    files.sort();
    let picture = |file: &PathBuf| {
        let named = |error: Error| Error::Input(format!("{}: {error}", file.file_name().unwrap_or_default().display()));
        parse::<Picture>(&load(file)?).map_err(named)
    };
    openpose::from_pictures(&files.iter().map(picture).collect::<Result<Vec<_>>>()?, size)
}

fn load(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path).map_err(Error::io(path))?.len();
    if bytes > LARGEST_FILE {
        return Err(Error::Input(format!("{bytes} bytes are too many for key points; split the video")));
    }
    let bytes = fs::read(path).map_err(Error::io(path))?;
    String::from_utf8(bytes).map_err(|_| Error::Input("not JSON: not even text".into()))
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| Error::Input(format!("no key points that can be read: {error}")))
}

fn from_file(file: File) -> Result<Keypoints> {
    if file.format != FORMAT {
        return Err(Error::Input(format!("the format is `{}`; `{FORMAT}` is read", file.format)));
    }
    let frame = |(index, points): (usize, &Vec<Option<[f64; 3]>>)| {
        if points.len() != NUM_KEYPOINTS {
            return Err(Error::Input(format!("frame {index} has {} points; {NUM_KEYPOINTS} are needed", points.len())));
        }
        let point = |at: &Option<[f64; 3]>| at.map_or(Keypoint::default(), |[x, y, score]| Keypoint { x, y, score });
        WholeBody::new(&points.iter().map(point).collect::<Vec<_>>())
    };
    let frames = file.frames.iter().enumerate().map(frame).collect::<Result<_>>()?;
    // A still picture has a rate of 0.
    Keypoints::new(file.width, file.height, file.fps.filter(|fps| *fps != 0.0), frames)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value).map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
    let (file, _) = PartialFile::create(path)?;
    fs::write(file.partial(), json).map_err(Error::io(path))?;
    file.publish()
}
