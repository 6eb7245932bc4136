//! Memory does not grow with a video's length: inputs are read as they are needed, frames leave as they are finished.

mod common;

use std::path::Path;

use common::{anonymous_bytes, golden_path};
use image::RgbImage;
use wan_animate::video::{Frame, Frames, Motion, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, Device, Event, Precision, Result};

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

/// The most memory that was in use.
struct Peaks {
    gpu: u64,
    process: u64,
    /// Of the process, until a quarter of the frames had left.
    first_quarter: u64,
}

/// Runs from file to file.
fn peaks(pipeline: &AnimatePipeline, folder: &Path, frames: usize, side: u32) -> Result<Peaks> {
    let motion = Motion::new(video(&folder.join("pose.mp4"), frames, side), video(&folder.join("face.mp4"), frames, 16))?;
    let reference = open_image(golden_path("inputs/reference.png"))?;
    let mut writer = VideoWriter::create(folder.join("out.mp4"), side, side, 30.0)?;
    pipeline.device().reset_peak();
    let (mut process, mut first_quarter, mut made) = (0, 0, 0);
    for event in pipeline.animate(&reference, &motion).segment_frames(17).num_inference_steps(1).prompt("x").start()? {
        if let Event::Frame(frame) = event? {
            writer.write(&frame)?;
            made += 1;
        }
        process = process.max(anonymous_bytes());
        if made <= frames / 4 {
            first_quarter = process;
        }
    }
    writer.finish()?;
    assert_eq!(made, frames);
    Ok(Peaks { gpu: pipeline.device().memory_use().peak, process, first_quarter })
}

fn pipeline() -> AnimatePipeline {
    let device = Device::builder().shader_checks(true).build().expect("an adapter (`make test` installs a software one)");
    AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build().expect("loads")
}

/// Kept frames would show: the last three quarters of them are 7 MB.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_level_after_a_quarter_of_the_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let Peaks { process, first_quarter, .. } = peaks(&pipeline(), folder.path(), 204, 64).expect("runs");
    println!("{first_quarter} bytes for a quarter, {process} for all");
    assert!(process as f64 <= 1.03 * first_quarter as f64, "{first_quarter} bytes for a quarter, {process} for all");
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "2,400 frames: a minute"]
fn two_thousand_frames_take_no_more_memory_than_two_hundred() {
    let (folder, pipeline) = (tempfile::tempdir().expect("a folder"), pipeline());
    // What is there after any run, of whatever length: the driver's compiled kernels, for example.
    peaks(&pipeline, folder.path(), 200, 32).expect("runs");
    let short = peaks(&pipeline, folder.path(), 200, 32).expect("runs");
    let long = peaks(&pipeline, folder.path(), 2000, 32).expect("runs");
    println!("200 frames: {} on the GPU, {} in the process; 2,000: {}, {}", short.gpu, short.process, long.gpu, long.process);
    assert_eq!(long.gpu, short.gpu);
    assert!(long.process as f64 <= 1.05 * short.process as f64, "{} bytes for 200 frames, {} for 2,000", short.process, long.process);
}
