//! What a generation is given, made of a video and the key points of the person in it: `pose.mp4`, `face.mp4`, with `--mask` also
//! `background.mp4` and `mask.mp4`; and `report.json`, `keypoints.json`, `overlay.mp4`. `--help` lists the options.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use wan_animate::preprocess::{Conditions, FaceCrop, Keypoints, KeypointsFormat, Limb, Preprocess, Retarget};
use wan_animate::video::{Frame, Frames, VideoWriter, open_image};
use wan_animate::{Error, Result};

/// What a generation is given, made of a video and the key points of the person in it.
#[derive(Parser)]
struct CommandLine {
    /// The driving video: a directory of images or a video file.
    #[arg(long, value_name = "PATH")]
    video: PathBuf,
    /// Its key points: JSON of 133 COCO-WholeBody points a frame, ComfyUI's POSE_KEYPOINT, or OpenPose's files.
    #[arg(long, value_name = "PATH")]
    keypoints: PathBuf,
    /// The character image; the poses have its aspect. Not with --mask.
    #[arg(long, value_name = "FILE", required_unless_present = "mask", conflicts_with = "mask")]
    reference: Option<PathBuf>,
    /// Its key points, to which the poses are retargeted.
    #[arg(long, value_name = "PATH", requires = "reference")]
    reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the character, that stands straight: limb lengths come from it.
    #[arg(long, value_name = "PATH", requires = "reference_keypoints")]
    edited_reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the driving person.
    #[arg(long, value_name = "PATH", requires = "reference_keypoints")]
    edited_driving_keypoints: Option<PathBuf>,
    /// The ratio of a limb in place of the measured one; may be repeated.
    #[arg(long, value_name = "LIMB=RATIO", value_parser = limb_scale, requires = "reference_keypoints")]
    limb_scale: Vec<(Limb, f64)>,
    /// Where the person is, white; makes what `replace` needs. One image may stand for all frames.
    #[arg(long, value_name = "PATH")]
    mask: Option<PathBuf>,
    /// The folder that the results are written to.
    #[arg(long, value_name = "FOLDER", default_value = "preprocessed")]
    out: PathBuf,
    /// Folders of PNG files in place of MP4 files.
    #[arg(long)]
    lossless: bool,
    /// Frames a second [default: the video's].
    #[arg(long)]
    fps: Option<f64>,
    /// About how many pixels are generated, as width and height.
    #[arg(long, num_args = 2, value_names = ["WIDTH", "HEIGHT"], default_values_t = [1280, 720])]
    resolution_area: Vec<u32>,
    /// Calms the jitter of points.
    #[arg(long)]
    smooth: bool,
    /// Fills gaps of at most so many frames.
    #[arg(long, default_value_t = 0)]
    fill_gaps: usize,
    /// How the face is cut out.
    #[arg(long, value_enum, default_value_t)]
    face: Face,
    /// How often the mask is dilated.
    #[arg(long, default_value_t = 3)]
    iterations: u32,
    /// By a square of so many pixels.
    #[arg(long, default_value_t = 7)]
    kernel_size: u32,
    /// Columns of the grid that it is filled up to.
    #[arg(long, default_value_t = 1)]
    w_subdivisions: u32,
    /// Rows of it.
    #[arg(long, default_value_t = 1)]
    h_subdivisions: u32,
    /// Islands of less than this share of the mask are dropped.
    #[arg(long, default_value_t = 0.0)]
    least_island: f64,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Face {
    /// As Wan2.2's own preprocessing does.
    #[default]
    Official,
    /// 1.4 times as wide and high.
    Padded,
    /// Smoothed over time.
    Smoothed,
    /// Of one size.
    Constant,
}

fn main() -> ExitCode {
    match run(&CommandLine::parse()) {
        Ok(conditions) => {
            let (width, height) = conditions.size();
            let frames = |number: usize| format!("{number} frame{}", if number == 1 { "" } else { "s" });
            println!("{} of {width}x{height} pixels at {} fps", frames(conditions.pose().num_frames()), conditions.fps());
            conditions.report().summary().iter().for_each(|(flag, number)| println!("{}: {}", flag.name(), frames(*number)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<Conditions> {
    let video = Frames::open(&line.video)?;
    let (width, height) = video.size();
    let keypoints = Keypoints::open_sized(&line.keypoints, width, height)?;
    let preprocess = settings(line);
    let conditions = match (&line.mask, &line.reference) {
        (Some(mask), _) => preprocess.replace(&video, &keypoints, &Frames::open(mask)?)?,
        (None, Some(reference)) => {
            let reference = open_image(reference)?;
            let retarget = retarget(line, reference.dimensions())?;
            let preprocess = retarget.into_iter().fold(preprocess, Preprocess::retarget);
            preprocess.animate(&reference, &video, &keypoints)?
        }
        (None, None) => return Err(Error::Input("give --reference to animate it, or --mask to replace the person".into())),
    };
    write(line, &conditions)?;
    Ok(conditions)
}

fn settings(line: &CommandLine) -> Preprocess {
    let face = match line.face {
        Face::Official => FaceCrop::Official,
        Face::Padded => FaceCrop::Padded(1.4),
        Face::Smoothed => FaceCrop::Smoothed,
        Face::Constant => FaceCrop::Constant,
    };
    let preprocess = Preprocess::new()
        .area(line.resolution_area.iter().map(|&side| u64::from(side)).product())
        .smooth(line.smooth)
        .fill_gaps(line.fill_gaps)
        .face(face)
        .iterations(line.iterations)
        .kernel_size(line.kernel_size)
        .w_subdivisions(line.w_subdivisions)
        .h_subdivisions(line.h_subdivisions)
        .least_island(line.least_island);
    line.fps.into_iter().fold(preprocess, Preprocess::fps)
}

fn retarget(line: &CommandLine, (width, height): (u32, u32)) -> Result<Option<Retarget>> {
    let open = |path: &PathBuf| Keypoints::open_sized(path, width, height);
    let Some(reference) = &line.reference_keypoints else { return Ok(None) };
    let mut retarget = Retarget::new(open(reference)?);
    if let Some(edited) = &line.edited_reference_keypoints {
        retarget = retarget.edited_reference(open(edited)?);
    }
    if let Some(edited) = &line.edited_driving_keypoints {
        retarget = retarget.edited_driving(open(edited)?);
    }
    Ok(Some(line.limb_scale.iter().fold(retarget, |retarget, &(limb, ratio)| retarget.limb_scale(limb, ratio))))
}

fn limb_scale(text: &str) -> std::result::Result<(Limb, f64), String> {
    let names = || Limb::ALL.map(|limb| format!("{limb:?}").to_lowercase()).join(", ");
    let (name, ratio) = text.split_once('=').ok_or("write it as LIMB=RATIO, for example forearms=0.9")?;
    let limb = Limb::ALL.into_iter().find(|limb| format!("{limb:?}").to_lowercase() == name.to_lowercase());
    let limb = limb.ok_or_else(|| format!("`{name}` is no limb; there are {}", names()))?;
    Ok((limb, ratio.parse().map_err(|_| format!("`{ratio}` is no number"))?))
}

fn write(line: &CommandLine, conditions: &Conditions) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error| Error::Io { path, error }
    };
    fs::create_dir_all(&line.out).map_err(io(&line.out))?;
    let (pose, face) = (Some(conditions.pose()), Some(conditions.face()));
    let (background, mask) = (conditions.background(), conditions.mask());
    let videos = [("pose", pose), ("face", face), ("background", background), ("mask", mask), ("overlay", Some(conditions.overlay()))];
    for (name, frames) in videos.into_iter().filter_map(|(name, frames)| Some((name, frames?))) {
        let (width, height) = frames.size();
        // H.264 has even sides.
        let folder = line.lossless || width % 2 == 1 || height % 2 == 1;
        let path = line.out.join(if folder { name.to_owned() } else { format!("{name}.mp4") });
        let mut writer = VideoWriter::create(path, width, height, conditions.fps())?;
        for index in 0..frames.num_frames() {
            writer.write(&Frame::from(&frames.read(index)?))?;
        }
        writer.finish()?;
    }
    conditions.keypoints().save(line.out.join("keypoints.json"), KeypointsFormat::CocoWholeBody)?;
    let report = line.out.join("report.json");
    fs::write(&report, conditions.report().to_json()).map_err(io(&report))
}
