//! Generations behind an executor: their frames are awaited, and one that nobody waits for any longer frees the GPU at once.
//!
//! `cargo run --release --example tokio` runs two requests on the demo's inputs, of which the first is given up after half a second.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task;
use tokio::time::timeout;
use wan_animate::video::{Frame, Frames, Motion, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Cancel, Device, DeviceBuilder, Event, Result};

/// A generation on a thread of its own. Dropping this stops it.
struct Running {
    frames: mpsc::Receiver<Result<Frame>>,
    cancel: Cancel,
}

impl Running {
    /// A generation blocks, so it gets a thread that may. Whoever takes frames slowly slows it down: no more than four of them wait.
    fn start(request: AnimateRequest) -> Self {
        let cancel = Cancel::new();
        let (sender, frames) = mpsc::channel(4);
        let request = request.cancel(cancel.clone());
        task::spawn_blocking(move || {
            let work = || {
                for event in request.start()? {
                    if let Event::Frame(frame) = event?
                        && sender.blocking_send(Ok(frame)).is_err()
                    {
                        break;
                    }
                }
                Ok(())
            };
            // Where nobody is there to take the error, nobody wants it.
            work().or_else(|error| sender.blocking_send(Err(error)))
        });
        Self { frames, cancel }
    }

    /// The next frame; none after the last, or after an error.
    async fn next(&mut self) -> Option<Result<Frame>> {
        self.frames.recv().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// All frames of a request; its future may be dropped at any time.
async fn all(request: AnimateRequest) -> Result<Vec<Frame>> {
    let (mut running, mut frames) = (Running::start(request), Vec::new());
    while let Some(frame) = running.next().await {
        frames.push(frame?);
    }
    Ok(frames)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    if !demo.exists() {
        return Err("the demo's checkpoint is in the repository, not in the package: run this example there".into());
    }
    // Loading blocks too. What was submitted is not taken back, so short submissions are what frees the GPU soon.
    let model = demo.join("model");
    let device = Device::builder().submission_time(DeviceBuilder::SUBMISSION_AT_60_HZ);
    let load = move || device.build().and_then(|device| AnimatePipeline::builder(&device).checkpoint(model).build());
    let pipeline = task::spawn_blocking(load).await??;
    let character = open_image(demo.join("reference.png"))?;
    let motion = Motion::new(Frames::open(demo.join("pose"))?, Frames::open(demo.join("face"))?)?;
    let request = || pipeline.animate(&character, &motion).size(96, 96).segment_frames(17).num_inference_steps(4);

    let loaded = pipeline.device().memory_use().current;
    let impatient = timeout(Duration::from_millis(500), all(request())).await;
    println!("given up after half a second: {}", impatient.is_err());
    let begun = Instant::now();
    while pipeline.device().memory_use().current > loaded {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("the GPU is free {:?} later", begun.elapsed());
    println!("{} frames", all(request()).await?.len());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(run())
}
