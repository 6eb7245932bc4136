//! What a generation is given, made of a raw video: `src_pose.mp4`, `src_face.mp4`, `src_ref.png`, to replace a person also `src_bg.mp4` and
//! `src_mask.mp4`, as Wan2.2's own preprocessing calls them; and `report.json`, `keypoints.json`, `overlay.mp4`. Networks find the person, or key
//! points are given. `--help` lists the options.

#[path = "cli/growth.rs"]
mod growth;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use growth::MaskGrowth;
use wan_animate::image::RgbImage;
use wan_animate::networks::{Found, Networks, Search, Subject};
use wan_animate::preprocess::{Conditions, FaceCrop, Keypoints, KeypointsFormat, Limb, Preprocess, Retarget};
use wan_animate::video::{Frame, Frames, VideoWriter, open_image};
use wan_animate::{Cancel, Device, Error, Result};

/// What a generation is given, made of a raw video: its poses and faces, and to replace the person also background and mask.
#[derive(Parser)]
struct CommandLine {
    /// The driving video: a directory of images or a video file.
    #[arg(long, value_name = "PATH")]
    video: PathBuf,
    /// The character image. To animate it, the poses have its aspect.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Whether the character is animated, or takes the person's place; by default the latter where there is a --mask.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// A folder of networks (ONNX) that find the person: a detector, one of 133 key points, or MediaPipe's, and to replace one of masks. They are
    /// told apart by what they are; `process_checkpoint` of the official release is such a folder.
    #[arg(long, value_name = "DIR")]
    networks: Option<PathBuf>,
    /// The detector of persons, where the folder has several or none.
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// The network of key points, likewise.
    #[arg(long, value_name = "FILE")]
    pose_network: Option<PathBuf>,
    /// The network of masks, likewise.
    #[arg(long, value_name = "FILE")]
    mask_network: Option<PathBuf>,
    /// Who is meant, where there are several: largest, the number from the left (0, 1, ..), a place X,Y, or a box X1,Y1,X2,Y2, in pixels of the
    /// first frame.
    #[arg(long, value_name = "WHO", default_value = "largest")]
    subject: Subject,
    /// Looks for the person anew in every frame, as Wan2.2's own preprocessing does, instead of following it.
    #[arg(long)]
    every_frame: bool,
    /// Part of the name of the adapter that computes networks; by default the fastest.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Key points in place of the networks: JSON of 133 COCO-WholeBody points a frame, ComfyUI's POSE_KEYPOINT, or OpenPose's files.
    #[arg(long, value_name = "PATH")]
    keypoints: Option<PathBuf>,
    /// Gives the poses the character's proportions, by key points of the reference that the networks find.
    #[arg(long)]
    retarget: bool,
    /// Those of the reference in place of the networks; poses are retargeted to it.
    #[arg(long, value_name = "PATH", requires = "reference")]
    reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the character, that stands straight: limb lengths come from it.
    #[arg(long, value_name = "PATH", requires = "reference")]
    edited_reference_keypoints: Option<PathBuf>,
    /// Those of an edited picture of the driving person.
    #[arg(long, value_name = "PATH", requires = "reference")]
    edited_driving_keypoints: Option<PathBuf>,
    /// The ratio of a limb in place of the measured one; may be repeated.
    #[arg(long, value_name = "LIMB=RATIO", value_parser = limb_scale, requires = "reference")]
    limb_scale: Vec<(Limb, f64)>,
    /// Where the person is, white, in place of the networks. One image may stand for all frames.
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
    #[command(flatten)]
    growth: MaskGrowth,
    /// Islands of less than this share of the mask are dropped.
    #[arg(long, default_value_t = 0.0)]
    least_island: f64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    /// The character performs the motion.
    Animate,
    /// It takes the person's place in the video.
    Replace,
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
    let replaces = line.mode.map_or(line.mask.is_some(), |mode| mode == Mode::Replace);
    let reference = line.reference.as_ref().map(open_image).transpose()?;
    let mut networks = networks(line, replaces)?;
    let masks = replaces && line.mask.is_none();
    let searching = networks.as_mut().filter(|_| masks || line.keypoints.is_none());
    let found = searching.map(|networks| find(line, networks, &video, masks)).transpose()?;
    let (width, height) = video.size();
    let keypoints = match (&line.keypoints, &found) {
        (Some(path), _) => Keypoints::open_sized(path, width, height)?,
        (None, Some(found)) => found.keypoints.clone(),
        (None, None) => {
            return Err(Error::Input("nothing says where the person is: give --networks, a folder of ONNX files, or --keypoints".into()));
        }
    };
    let preprocess = settings(line);
    let conditions = match (replaces, &reference) {
        (true, _) => {
            let mask = match (&line.mask, found.and_then(|found| found.masks)) {
                (Some(path), _) => Frames::open(path)?,
                (None, Some(masks)) => masks,
                (None, None) => {
                    return Err(Error::Input("nothing says where the mask is: give --networks with one of masks, or --mask".into()));
                }
            };
            preprocess.replace(&video, &keypoints, &mask)?
        }
        (false, Some(reference)) => {
            let retarget = retarget(line, reference, networks.as_mut())?;
            let preprocess = retarget.into_iter().fold(preprocess, Preprocess::retarget);
            preprocess.animate(reference, &video, &keypoints)?
        }
        (false, None) => return Err(Error::Input("give --reference to animate it, or --mode replace to replace the person".into())),
    };
    write(line, &conditions, reference.as_ref())?;
    Ok(conditions)
}

/// The networks, where any are needed.
fn networks(line: &CommandLine, replaces: bool) -> Result<Option<Networks>> {
    let is_given = line.networks.is_some() || line.detector.is_some() || line.pose_network.is_some() || line.mask_network.is_some();
    let is_needed = line.keypoints.is_none() || replaces && line.mask.is_none() || line.retarget && line.reference_keypoints.is_none();
    if !is_given || !is_needed {
        return Ok(None);
    }
    let device = line.adapter.iter().fold(Device::builder(), |builder, name| builder.adapter_name(name)).build()?;
    let mut choice = Networks::choose(&device);
    if let Some(folder) = &line.networks {
        choice = choice.folder(folder);
    }
    if let Some(file) = &line.detector {
        choice = choice.detector(file);
    }
    if let Some(file) = &line.pose_network {
        choice = choice.pose(file);
    }
    if let Some(file) = &line.mask_network {
        choice = choice.segmenter(file);
    }
    choice.open().map(Some)
}

fn find(line: &CommandLine, networks: &mut Networks, video: &Frames, masks: bool) -> Result<Found> {
    let search = Search::new().subject(line.subject).every_frame(line.every_frame).masks(masks);
    let bar = indicatif::ProgressBar::new(video.num_frames() as u64);
    let found = networks.find(video, &search, &Cancel::new(), &mut |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    if found.persons > 1 {
        eprintln!("{} persons are seen; --subject says which one is meant, overlay.mp4 shows who was followed", found.persons);
    }
    Ok(found)
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
        .least_island(line.least_island);
    line.fps.into_iter().fold(line.growth.apply(preprocess), Preprocess::fps)
}

fn retarget(line: &CommandLine, reference: &RgbImage, networks: Option<&mut Networks>) -> Result<Option<Retarget>> {
    let open = |path: &PathBuf| Keypoints::open_sized(path, reference.width(), reference.height());
    let keypoints = match (&line.reference_keypoints, networks) {
        (Some(path), _) => open(path)?,
        (None, _) if !line.retarget => return Ok(None),
        (None, Some(networks)) => networks.find_in(reference, Subject::Largest)?.keypoints,
        (None, None) => return Err(Error::Input("--retarget needs --networks, or --reference-keypoints".into())),
    };
    let mut retarget = Retarget::new(keypoints);
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

fn write(line: &CommandLine, conditions: &Conditions, reference: Option<&RgbImage>) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error| Error::Io { path, error }
    };
    fs::create_dir_all(&line.out).map_err(io(&line.out))?;
    let (pose, face) = (Some(conditions.pose()), Some(conditions.face()));
    let (background, mask) = (conditions.background(), conditions.mask());
    let videos =
        [("src_pose", pose), ("src_face", face), ("src_bg", background), ("src_mask", mask), ("overlay", Some(conditions.overlay()))];
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
    if let Some(reference) = reference {
        let path = line.out.join("src_ref.png");
        reference.save(&path).map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
    }
    conditions.keypoints().save(line.out.join("keypoints.json"), KeypointsFormat::CocoWholeBody)?;
    let report = line.out.join("report.json");
    fs::write(&report, conditions.report().to_json()).map_err(io(&report))
}
