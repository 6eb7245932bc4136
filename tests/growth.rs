//! Memory does not grow with a video's length: inputs are read as they are needed, frames leave as they are finished.

mod common;

use std::fs;
use std::path::Path;

use common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frame, Frames, Motion, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, Device, Event, Precision, Result};

/// Bytes of this process that belong to no file: the driver's buffers too, where it is a software one.
fn anonymous_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// A video file of so many frames, no two alike.
fn video(path: &Path, frames: usize, side: u32) -> Frames {
    let mut writer = VideoWriter::create(path, side, side, 30.0).expect("a file");
    for index in 0..frames {
        let image = RgbImage::from_fn(side, side, |x, y| [x as u8 * 3, y as u8 * 3, (index % 251) as u8].into());
        writer.write(&Frame::from(&image)).expect("written");
    }
    writer.finish().expect("a video");
    Frames::open(path).expect("opens")
}

/// From file to file; the peaks of GPU memory and of the process.
fn peaks(pipeline: &AnimatePipeline, folder: &Path, frames: usize) -> Result<(u64, u64)> {
    let motion = Motion::new(video(&folder.join("pose.mp4"), frames, 32), video(&folder.join("face.mp4"), frames, 16))?;
    let reference = open_image(golden_path("inputs/reference.png"))?;
    let mut writer = VideoWriter::create(folder.join("out.mp4"), 32, 32, 30.0)?;
    pipeline.device().reset_peak();
    let (mut peak, mut made) = (0, 0);
    for event in pipeline.animate(&reference, &motion).segment_frames(17).num_inference_steps(1).prompt("x").start()? {
        if let Event::Frame(frame) = event? {
            writer.write(&frame)?;
            made += 1;
        }
        peak = peak.max(anonymous_bytes());
    }
    writer.finish()?;
    assert_eq!(made, frames);
    Ok((pipeline.device().memory_use().peak, peak))
}

fn check_growth(short: usize, long: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build().expect("loads");
    let (gpu_short, process_short) = peaks(&pipeline, folder.path(), short).expect("runs");
    let (gpu_long, process_long) = peaks(&pipeline, folder.path(), long).expect("runs");
    println!("{short} frames: {gpu_short} bytes on the GPU, {process_short} in the process; {long}: {gpu_long}, {process_long}");
    assert!(gpu_long as f64 <= 1.05 * gpu_short as f64, "GPU: {gpu_short} bytes for {short} frames, {gpu_long} for {long}");
    assert!(process_long as f64 <= 1.05 * process_short as f64, "process: {process_short} for {short} frames, {process_long} for {long}");
}

#[test]
#[cfg(target_os = "linux")]
fn ten_times_the_frames_take_no_more_memory() {
    check_growth(34, 340);
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "2,200 frames: minutes"]
fn two_thousand_frames_take_no_more_memory() {
    check_growth(200, 2000);
}
