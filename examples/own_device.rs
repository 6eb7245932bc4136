//! Runs the demo on a wgpu device that the application opened itself and renders with at 60 Hz meanwhile; says how long its `submit` took.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::wgpu;
use wan_animate::{AnimatePipeline, Device, DeviceBuilder, Event, Result};

#[derive(Parser)]
#[command(about = "The demo on a device that the application renders with at 60 Hz")]
struct Arguments {
    /// How long a submission of the generation's is meant to last, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = DeviceBuilder::SUBMISSION_AT_60_HZ.as_millis() as u64)]
    submission_time: u64,
    /// Runs this often, each time with the default submission time too.
    #[arg(long, value_name = "N")]
    compare: Option<usize>,
}

/// What the application opened, and draws on.
struct Application {
    adapter: wgpu::Adapter,
    gpu: wgpu::Device,
    queue: wgpu::Queue,
    picture: wgpu::Texture,
}

/// Milliseconds of each of the application's frames.
#[derive(Default)]
struct Times {
    submit: Vec<f64>,
    whole: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    if !demo().exists() {
        return Err("the demo's checkpoint is in the repository, not in the package: run this example there".into());
    }
    let application = Application::open()?;
    let short = Some(Duration::from_millis(arguments.submission_time));
    if arguments.compare.is_none() {
        report("", &application.run(short)?);
    }
    for _ in 0..arguments.compare.unwrap_or(0) {
        report("default  ", &application.run(None)?);
        report("short    ", &application.run(short)?);
    }
    Ok(())
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo")
}

impl Application {
    fn open() -> Result<Self, Box<dyn std::error::Error>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
        let (gpu, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            // Immediates are a little faster than uniform buffers; the adapter's own limits allow far larger buffers than the defaults.
            required_features: adapter.features() & wgpu::Features::IMMEDIATES,
            required_limits: adapter.limits(),
            ..Default::default()
        }))?;
        let picture = gpu.create_texture(&wgpu::TextureDescriptor {
            label: Some("the application's picture"),
            size: wgpu::Extent3d { width: 640, height: 360, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        Ok(Self { adapter, gpu, queue, picture })
    }

    /// Renders in another thread for as long as the demo takes.
    fn run(&self, submission_time: Option<Duration>) -> Result<(Duration, Times)> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let renderer = scope.spawn(|| self.render(&is_over));
            let generated = self.generate(submission_time);
            is_over.store(true, Ordering::Relaxed);
            Ok((generated?, renderer.join().expect("rendering does not fail")))
        })
    }

    /// Makes the demo's video, and says how long that took.
    fn generate(&self, submission_time: Option<Duration>) -> Result<Duration> {
        let mut builder = Device::builder().wgpu(Some(&self.adapter), self.gpu.clone(), self.queue.clone());
        if let Some(time) = submission_time {
            builder = builder.submission_time(time);
        }
        let device = builder.build()?;
        let demo = demo();
        let pipeline = AnimatePipeline::builder(&device).checkpoint(demo.join("model")).build()?;
        let character = open_image(demo.join("reference.png"))?;
        let motion = Motion::new(Frames::open(demo.join("pose"))?, Frames::open(demo.join("face"))?)?;
        let begun = Instant::now();
        for event in pipeline.animate(&character, &motion).size(96, 96).segment_frames(17).num_inference_steps(4).start()? {
            if let Event::Step(step) = event? {
                log::info!("{step}");
            }
        }
        Ok(begun.elapsed())
    }

    /// Draws at 60 Hz until it is over.
    fn render(&self, is_over: &AtomicBool) -> Times {
        let mut times = Times::default();
        let view = self.picture.create_view(&Default::default());
        let mut next = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let mut encoder = self.gpu.create_command_encoder(&Default::default());
            let ops = wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::GREEN), store: wgpu::StoreOp::Store };
            let attachment = wgpu::RenderPassColorAttachment { view: &view, depth_slice: None, resolve_target: None, ops };
            encoder.begin_render_pass(&wgpu::RenderPassDescriptor { color_attachments: &[Some(attachment)], ..Default::default() });
            let commands = encoder.finish();
            let begun = Instant::now();
            self.queue.submit([commands]);
            times.submit.push(1e3 * begun.elapsed().as_secs_f64());
            self.gpu.poll(wgpu::PollType::wait_indefinitely()).expect("the device is there");
            times.whole.push(1e3 * begun.elapsed().as_secs_f64());
            next = (next + Duration::from_micros(16_667)).max(Instant::now());
            thread::sleep(next - Instant::now());
        }
        times
    }
}

fn report(name: &str, (generation, times): &(Duration, Times)) {
    let of = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get((part * sorted.len() as f64) as usize).copied().unwrap_or_default();
        format!("{:.1} / {:.1} / {:.1}", at(0.5), at(0.9), at(0.99))
    };
    let (frames, submit, whole) = (times.submit.len(), of(&times.submit), of(&times.whole));
    println!(
        "{name}generation {:.2} s, {frames} frames rendered: p50 / p90 / p99 of submit {submit} ms, of a frame {whole} ms",
        generation.as_secs_f64()
    );
}
