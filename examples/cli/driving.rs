//! How a driving video is prepared: what finds the person, and what is made of it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wan_animate::driving::DrivingVideo;
use wan_animate::networks::{NetworkFiles, Search, Subject};
use wan_animate::preprocess::{Aspect, FaceCrop, Keypoints, Limb, Preprocess, ReferenceFit, Resolution, Retarget};
use wan_animate::video::Frames;
use wan_animate::{Error, Result};

use super::growth::MaskGrowth;
use super::masks::Masks;

/// The options of a raw video.
#[derive(Args, Debug)]
pub struct Driving {
    /// A folder of networks that find the person (ONNX): a detector, one of 133 key points, or MediaPipe's, and to replace one of masks (ONNX, or
    /// SAM 2 as sam2*.pt or sam2*.safetensors). They are told apart by what they are. By default process_checkpoint in the checkpoint's folder.
    #[arg(long, value_name = "DIR", requires = "video")]
    networks: Option<PathBuf>,
    /// The detector of persons, where the folder has several or none.
    #[arg(long, value_name = "FILE", requires = "video")]
    detector: Option<PathBuf>,
    /// The network of key points, likewise.
    #[arg(long, value_name = "FILE", requires = "video")]
    pose_network: Option<PathBuf>,
    /// The network of masks, or a checkpoint of SAM 2, likewise.
    #[arg(long, value_name = "FILE", requires = "video")]
    mask_network: Option<PathBuf>,
    #[command(flatten)]
    masks: Masks,
    /// Who is meant, where there are several: largest, the number from the left (0, 1, ..), a place X,Y, or a box X1,Y1,X2,Y2, in pixels of the
    /// first frame.
    #[arg(long, value_name = "WHO", requires = "video", default_value = "largest")]
    subject: Subject,
    /// Looks for the person anew in every frame, as Wan2.2's own preprocessing does, instead of following it.
    #[arg(long, requires = "video")]
    every_frame: bool,
    /// Key points of the video in place of networks: JSON of 133 COCO-WholeBody points a frame, ComfyUI's POSE_KEYPOINT, or OpenPose's files.
    #[arg(long, value_name = "PATH", requires = "video")]
    keypoints: Option<PathBuf>,
    /// Keeps what networks found in this folder, so that another run with other options need not look again.
    #[arg(long, value_name = "DIR", requires = "video")]
    driving_cache: Option<PathBuf>,
    /// About how many pixels are made, where --width and --height do not say.
    #[arg(long, value_name = "480p|580p|720p", requires = "video", default_value = "480p")]
    resolution: Resolution,
    /// Whose aspect the result has, to animate: reference or video.
    #[arg(long, value_enum, value_name = "WHOSE", hide_possible_values = true, requires = "video", default_value = "reference")]
    aspect: Whose,
    /// How the reference is brought to that aspect: letterbox (all of it on black) or crop (its middle).
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true, requires = "video", default_value = "letterbox")]
    fit: Fit,
    /// Gives the poses the character's proportions. Not where the person is replaced.
    #[arg(long, requires = "video")]
    retarget: bool,
    /// Key points of the reference in place of networks; poses are retargeted to it.
    #[arg(long, value_name = "PATH", requires = "video")]
    reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the character, that stands straight: limb lengths come from it.
    #[arg(long, value_name = "PATH", requires = "video")]
    edited_reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the driving person.
    #[arg(long, value_name = "PATH", requires = "video")]
    edited_driving_keypoints: Option<PathBuf>,
    /// The ratio of a limb in place of the measured one, such as forearms=0.9; may be repeated.
    #[arg(long, value_name = "LIMB=RATIO", value_parser = limb_scale, requires = "video")]
    limb_scale: Vec<(Limb, f64)>,
    /// Calms the jitter of points.
    #[arg(long, requires = "video")]
    smooth: bool,
    /// Fills gaps of at most so many frames, in which points are lost.
    #[arg(long, value_name = "N", requires = "video", default_value_t = 0)]
    fill_gaps: usize,
    /// How the face is cut out: official, padded (1.4 times as wide and high), smoothed over time, or constant (of one size).
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true, requires = "video", default_value = "official")]
    face_box: Face,
    #[command(flatten)]
    growth: MaskGrowth,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    Reference,
    Video,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fit {
    Letterbox,
    Crop,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Face {
    Official,
    Padded,
    Smoothed,
    Constant,
}

/// What is given in place of what would be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    pub pose: Option<&'a Path>,
    pub face: Option<&'a Path>,
    pub background: Option<&'a Path>,
    pub mask: Option<&'a Path>,
}

impl Driving {
    /// The video, `fps` frames a second of it and of a `size` where these are given, with a reference of so many pixels.
    pub fn video(
        &self,
        video: &Path,
        fps: Option<f64>,
        size: Option<(u32, u32)>,
        reference: Option<(u32, u32)>,
        given: Given,
    ) -> Result<DrivingVideo> {
        let video = Frames::open(video)?;
        let own = video.size();
        let search = Search::new().subject(self.subject).every_frame(self.every_frame).mask_prompts(self.masks.prompts());
        let preprocess = self.preprocess(fps, reference)?;
        let preprocess = size.into_iter().fold(preprocess, |preprocess, (width, height)| preprocess.size(width, height));
        let mut driving = DrivingVideo::new(video).preprocess(preprocess).search(search);
        if let Some(networks) = self.files() {
            driving = driving.networks(networks);
        }
        if let Some(path) = &self.keypoints {
            driving = driving.keypoints(Keypoints::open_sized(path, own.0, own.1)?);
        }
        if let Some(folder) = &self.driving_cache {
            driving = driving.cache(folder);
        }
        if let Some(path) = given.pose {
            driving = driving.pose(Frames::open(path)?);
        }
        if let Some(path) = given.face {
            driving = driving.face(Frames::open(path)?);
        }
        if let Some(path) = given.background {
            driving = driving.background(Frames::open(path)?);
        }
        if let Some(path) = given.mask {
            driving = driving.mask(Frames::open(path)?);
        }
        Ok(driving)
    }

    /// The networks that are named; none where none is.
    fn files(&self) -> Option<NetworkFiles> {
        let Self { networks, detector, pose_network, mask_network, .. } = self;
        [networks, detector, pose_network, mask_network].into_iter().any(Option::is_some).then(|| {
            let files = networks.iter().fold(NetworkFiles::new(), NetworkFiles::folder);
            let files = detector.iter().fold(files, NetworkFiles::detector);
            let files = pose_network.iter().fold(files, NetworkFiles::pose);
            mask_network.iter().fold(files, NetworkFiles::segmenter)
        })
    }

    fn preprocess(&self, fps: Option<f64>, reference: Option<(u32, u32)>) -> Result<Preprocess> {
        let face = match self.face_box {
            Face::Official => FaceCrop::Official,
            Face::Padded => FaceCrop::Padded(1.4),
            Face::Smoothed => FaceCrop::Smoothed,
            Face::Constant => FaceCrop::Constant,
        };
        let aspect = match self.aspect {
            Whose::Reference => Aspect::Reference,
            Whose::Video => Aspect::Video,
        };
        let fit = match self.fit {
            Fit::Letterbox => ReferenceFit::Letterbox,
            Fit::Crop => ReferenceFit::CentreCrop,
        };
        let preprocess = self.growth.apply(Preprocess::new()).reference_fit(fit).resolution(self.resolution).aspect(aspect);
        let preprocess = preprocess.smooth(self.smooth).fill_gaps(self.fill_gaps).face(face);
        let preprocess = fps.into_iter().fold(preprocess, Preprocess::fps);
        Ok(self.retargeting(reference)?.into_iter().fold(preprocess, Preprocess::retarget))
    }

    fn retargeting(&self, reference: Option<(u32, u32)>) -> Result<Option<Retarget>> {
        let open = |path: &PathBuf| {
            let (width, height) = reference.ok_or_else(|| Error::Input("key points of the reference, but no --reference".into()))?;
            Keypoints::open_sized(path, width, height)
        };
        let mut retarget = match &self.reference_keypoints {
            Some(path) => Retarget::new(open(path)?),
            None if self.retarget => Retarget::to_found(),
            None => return Ok(None),
        };
        if let Some(edited) = &self.edited_reference_keypoints {
            retarget = retarget.edited_reference(open(edited)?);
        }
        if let Some(edited) = &self.edited_driving_keypoints {
            retarget = retarget.edited_driving(open(edited)?);
        }
        Ok(Some(self.limb_scale.iter().fold(retarget, |retarget, &(limb, ratio)| retarget.limb_scale(limb, ratio))))
    }
}

fn limb_scale(text: &str) -> std::result::Result<(Limb, f64), String> {
    let names = || Limb::ALL.map(|limb| format!("{limb:?}").to_lowercase()).join(", ");
    let (name, ratio) = text.split_once('=').ok_or("write it as LIMB=RATIO, for example forearms=0.9")?;
    let limb = Limb::ALL.into_iter().find(|limb| format!("{limb:?}").to_lowercase() == name.to_lowercase());
    let limb = limb.ok_or_else(|| format!("`{name}` is no limb; there are {}", names()))?;
    Ok((limb, ratio.parse().map_err(|_| format!("`{ratio}` is no number"))?))
}
