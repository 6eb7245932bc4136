//! What a generation is given, made of a raw video: `src_pose.mp4`, `src_face.mp4`, `src_ref.png`, to replace a person also `src_bg.mp4` and
//! `src_mask.mp4`, as Wan2.2's own preprocessing calls them; and `report.json`, `keypoints.json`, `overlay.mp4`. Networks find the person, or key
//! points are given. `--help` lists the options.

#[path = "cli/driving.rs"]
mod driving;
#[path = "cli/growth.rs"]
mod growth;
#[path = "cli/masks.rs"]
mod masks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::{Parser, ValueEnum};
use driving::{Driving, Given};
use wan_animate::image::RgbImage;
use wan_animate::preprocess::{Conditions, KeypointsFormat};
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
    #[command(flatten)]
    driving: Driving,
    /// Where the person is, white, in place of the networks. One image may stand for all frames.
    #[arg(long, value_name = "PATH")]
    mask: Option<PathBuf>,
    /// Part of the name of the adapter that computes networks; by default the fastest.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// The folder that the results are written to.
    #[arg(long, value_name = "FOLDER", default_value = "preprocessed")]
    out: PathBuf,
    /// Folders of PNG files in place of MP4 files: what a generation makes of them is what it makes of the raw video, to the bit.
    #[arg(long)]
    lossless: bool,
    /// Frames a second, 4 to 60; by default, or with -1, the video's.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    fps: Option<f64>,
    /// The width that is generated in pixels, in place of a --resolution; goes with --height.
    #[arg(long, requires = "height")]
    width: Option<u32>,
    /// The height that is generated in pixels.
    #[arg(long, requires = "width")]
    height: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    /// The character performs the motion.
    Animate,
    /// It takes the person's place in the video.
    Replace,
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
    let reference = line.reference.as_ref().map(open_image).transpose()?;
    let given = Given { mask: line.mask.as_deref(), ..Given::default() };
    let fps = line.fps.filter(|&fps| fps != -1.0);
    let driving = line.driving.video(&line.video, fps, line.width.zip(line.height), reference.as_ref().map(RgbImage::dimensions), given)?;
    let device = line.adapter.iter().fold(Device::builder(), |builder, name| builder.adapter_name(name)).build()?;
    let replaces = line.mode.map_or(line.mask.is_some(), |mode| mode == Mode::Replace);
    let preparation = match (replaces, &reference) {
        (true, _) => driving.to_replace(&device)?,
        (false, Some(reference)) => driving.to_animate(reference.clone(), &device)?,
        (false, None) => return Err(Error::Input("give --reference to animate it, or --mode replace to replace the person".into())),
    };
    let bar = indicatif::ProgressBar::new(0);
    let conditions = preparation.run(&Cancel::new(), &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let shown = reference.as_ref().map(|reference| driving.shown(reference, conditions.size()));
    write(line, &conditions, shown.as_deref())?;
    Ok(conditions)
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
    let videos = videos.into_iter().filter_map(|(name, frames)| Some((name, frames?)));
    write_videos(videos.map(|(name, frames)| Ok((frames, writer(line, name, frames, conditions.fps())?))).collect::<Result<_>>()?)?;
    if let Some(reference) = reference {
        let path = line.out.join("src_ref.png");
        reference.save(&path).map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
    }
    conditions.keypoints().save(line.out.join("keypoints.json"), KeypointsFormat::CocoWholeBody)?;
    let report = line.out.join("report.json");
    fs::write(&report, conditions.report().to_json()).map_err(io(&report))
}

fn writer(line: &CommandLine, name: &str, frames: &Frames, fps: f64) -> Result<VideoWriter<'static>> {
    let (width, height) = frames.size();
    // H.264 has even sides. The overlay is to be looked at, not for a generation.
    let folder = line.lossless && name != "overlay" || width % 2 == 1 || height % 2 == 1;
    VideoWriter::create(line.out.join(if folder { name.to_owned() } else { format!("{name}.mp4") }), width, height, fps)
}

/// Frame by frame, since all are made of the same video, but each by a core of its own.
fn write_videos(mut videos: Vec<(&Frames, VideoWriter<'static>)>) -> Result<()> {
    for index in 0..videos.iter().map(|(frames, _)| frames.num_frames()).max().unwrap_or(0) {
        thread::scope(|scope| {
            let with_more = videos.iter_mut().filter(|(frames, _)| index < frames.num_frames());
            let writing: Vec<_> =
                with_more.map(|(frames, writer)| scope.spawn(move || writer.write(&Frame::from(&frames.read(index)?)))).collect();
            writing.into_iter().try_for_each(|written| written.join().expect("no panic while a frame is written"))
        })?;
    }
    videos.into_iter().try_for_each(|(_, writer)| writer.finish())
}
