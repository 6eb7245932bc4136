//! The driving video itself, from which all inputs are made.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use image::RgbImage;
use indicatif::ProgressBar;
use wan_animate::networks::{Networks, Search, Subject};
use wan_animate::preprocess::{Conditions, Keypoints, Preprocess, Retarget};
use wan_animate::video::Frames;
use wan_animate::{Cancel, Device, Error, Result};

use super::growth::MaskGrowth;

#[derive(Args, Debug)]
pub struct RawVideo {
    /// The driving video itself: networks find the person, and poses and faces, or to replace it background and mask too, are made of that. In place
    /// of --pose and --face.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["pose", "face"])]
    pub video: Option<PathBuf>,
    /// The folder of those networks (ONNX): a detector of persons, one of 133 key points, or MediaPipe's, and to replace one of masks. By default
    /// process_checkpoint in the checkpoint's folder.
    #[arg(long, value_name = "DIR", requires = "video")]
    networks: Option<PathBuf>,
    /// Key points of the video in place of networks: JSON of 133 COCO-WholeBody points a frame, ComfyUI's or OpenPose's.
    #[arg(long, value_name = "PATH", requires = "video")]
    keypoints: Option<PathBuf>,
    /// Who is meant, where there are several: largest, the number from the left (0, 1, ..), a place X,Y, or a box X1,Y1,X2,Y2, in pixels.
    #[arg(long, value_name = "WHO", requires = "video", default_value = "largest")]
    subject: Subject,
    /// About how many pixels are made, where --width and --height do not say.
    #[arg(long, value_enum, value_name = "480p|580p|720p", hide_possible_values = true, requires = "video", default_value = "480p")]
    resolution: Resolution,
    /// Gives the poses the character's proportions. Not where the person is replaced.
    #[arg(long, requires = "video")]
    retarget: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Resolution {
    #[value(name = "480p")]
    P480,
    #[value(name = "580p")]
    P580,
    #[value(name = "720p")]
    P720,
}

impl Resolution {
    fn area(self) -> u64 {
        match self {
            Self::P480 => 832 * 480,
            Self::P580 => 1024 * 576,
            Self::P720 => 1280 * 720,
        }
    }
}

/// What else is known of the job.
pub struct Job<'a> {
    /// The checkpoint's folder.
    pub model: Option<&'a Path>,
    pub adapter: Option<&'a str>,
    pub size: Option<(u32, u32)>,
    pub fps: Option<f64>,
    /// The character that is animated; none where it takes the person's place.
    pub reference: Option<&'a RgbImage>,
    /// Where the person is, in place of networks.
    pub mask: Option<&'a Path>,
    pub growth: Option<MaskGrowth>,
}

impl RawVideo {
    /// All that a generation takes, where a raw video is given.
    pub fn conditions(&self, job: &Job) -> Result<Option<Conditions>> {
        let Some(path) = &self.video else { return Ok(None) };
        let video = Frames::open(path)?;
        let mut preprocess = match job.size {
            Some((width, height)) => Preprocess::new().size(width, height),
            None => Preprocess::new().area(self.resolution.area()),
        };
        if let Some(fps) = job.fps {
            preprocess = preprocess.fps(fps);
        }
        if let Some(growth) = job.growth {
            preprocess = growth.apply(preprocess);
        }
        let masks = job.reference.is_none() && job.mask.is_none();
        let mut networks = match &self.keypoints {
            Some(_) if !(masks || self.retarget && job.reference.is_some()) => None,
            _ => Some(self.networks(job)?),
        };
        let search = Search::new().subject(self.subject).masks(masks);
        let searching = networks.as_mut().filter(|_| masks || self.keypoints.is_none());
        let found = searching.map(|networks| find(networks, &video, search)).transpose()?;
        let (found, found_masks) = found.unzip();
        let keypoints = match (&self.keypoints, found) {
            (Some(path), _) => Keypoints::open_sized(path, video.size().0, video.size().1)?,
            (None, found) => found.ok_or_else(|| Error::Input("nothing says where the person is".into()))?,
        };
        let Some(reference) = job.reference else {
            let mask = match job.mask {
                Some(mask) => Frames::open(mask)?,
                None => found_masks.flatten().ok_or_else(|| Error::Input("nothing says where the mask is: give --mask".into()))?,
            };
            return preprocess.replace(&video, &keypoints, &mask).map(Some);
        };
        if let Some(networks) = networks.as_mut().filter(|_| self.retarget) {
            preprocess = preprocess.retarget(Retarget::new(networks.find_in(reference, Subject::Largest)?.keypoints));
        }
        preprocess.animate(reference, &video, &keypoints).map(Some)
    }

    fn networks(&self, job: &Job) -> Result<Networks> {
        let folder = self.networks.clone().or_else(|| Some(job.model?.join("process_checkpoint")).filter(|folder| folder.is_dir()));
        let folder = folder.ok_or_else(|| {
            let files = "a detector (yolov10m.onnx, yolox_l.onnx or nanodet) and key points (vitpose_h_wholebody.onnx, dw-ll_ucoco_384.onnx or MediaPipe's)";
            Error::Input(format!("--video needs --networks, a folder of ONNX files: {files}; or --keypoints"))
        })?;
        let device = job.adapter.iter().fold(Device::builder(), |builder, name| builder.adapter_name(*name)).build()?;
        Networks::open(folder, &device)
    }
}

/// The key points of the video, and masks where they are wanted.
fn find(networks: &mut Networks, video: &Frames, search: Search) -> Result<(Keypoints, Option<Frames>)> {
    let bar = ProgressBar::new(video.num_frames() as u64);
    let found = networks.find(video, &search, &Cancel::new(), &mut |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    if found.persons > 1 {
        eprintln!("{} persons are seen; --subject says which one is meant", found.persons);
    }
    Ok((found.keypoints, found.masks))
}
