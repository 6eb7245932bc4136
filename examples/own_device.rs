//! Runs a generation on a wgpu device that the application opened itself and goes on using: the demo's inputs.

use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::wgpu;
use wan_animate::{AnimatePipeline, Device, Event};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (gpu, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        // Immediates are a little faster than uniform buffers; the adapter's own limits allow far larger buffers than the defaults.
        required_features: adapter.features() & wgpu::Features::IMMEDIATES,
        required_limits: adapter.limits(),
        ..Default::default()
    }))?;

    let device = Device::from_wgpu(gpu.clone(), queue.clone());
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    if !demo.exists() {
        return Err("the demo's checkpoint is in the repository, not in the package: run this example there".into());
    }
    let pipeline = AnimatePipeline::builder(&device).checkpoint(demo.join("model")).build()?;
    let character = open_image(demo.join("reference.png"))?;
    let motion = Motion::new(Frames::open(demo.join("pose"))?, Frames::open(demo.join("face"))?)?;
    let generation = pipeline.animate(&character, &motion).size(96, 96).segment_frames(17).num_inference_steps(4).start()?;
    for event in generation {
        match event? {
            Event::Step(step) => println!("{step}"),
            Event::Frame(frame) => println!("frame of {}x{}", frame.width(), frame.height()),
            _ => {}
        }
    }

    // The application's own work goes on, on the same queue.
    queue.submit([gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()).finish()]);
    Ok(())
}
