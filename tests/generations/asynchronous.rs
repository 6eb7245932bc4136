//! Generations behind an executor, as `examples/tokio.rs` has them: whoever drops the future has the GPU free soon.

use std::time::{Duration, Instant};

use crate::common::golden_path;
use image::RgbImage;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, AnimateRequest, Cancel, Device, Event, Result};

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn pipeline() -> AnimatePipeline {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("loads")
}

fn request(pipeline: &AnimatePipeline, steps: usize) -> AnimateRequest {
    let poses = Frames::from_images((0..5).map(|_| RgbImage::new(32, 32))).expect("frames");
    let motion = Motion::new(poses, None).expect("a motion");
    pipeline.animate(RgbImage::new(32, 32), motion).segment_frames(5).num_inference_steps(steps)
}

/// Sends its events' kinds away, and counts frames.
async fn frames(request: AnimateRequest, begun: mpsc::Sender<()>) -> Result<usize> {
    let cancel = Cancel::new();
    let _guard = CancelOnDrop(cancel.clone());
    let work = move || {
        let mut frames = 0;
        for event in request.cancel(cancel).start()? {
            match event? {
                Event::Step(_) => drop(begun.try_send(())),
                Event::Frame(_) => frames += 1,
                _ => {}
            }
        }
        Ok(frames)
    };
    task::spawn_blocking(work).await.expect("no panic")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[test]
fn an_abandoned_request_frees_the_gpu() {
    let pipeline = pipeline();
    let loaded = pipeline.device().memory_use().current;
    runtime().block_on(async {
        for _ in 0..3 {
            let (sender, mut begun) = mpsc::channel(1);
            let running = task::spawn(frames(request(&pipeline, 1000), sender));
            begun.recv().await.expect("a step");
            running.abort();
            let abandoned = Instant::now();
            while pipeline.device().memory_use().current > loaded {
                assert!(abandoned.elapsed() < Duration::from_secs(5), "the GPU is still taken");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            println!("free after {:?}", abandoned.elapsed());
        }
        let (sender, _begun) = mpsc::channel(1);
        assert_eq!(frames(request(&pipeline, 2), sender).await.expect("runs"), 5, "the pipeline is as good as before");
    });
}
