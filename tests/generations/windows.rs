//! A video that is denoised as one, in windows, against a harness around diffusers' transformer; and that plans, budgets and interruptions change
//! nothing.

use crate::common::{Golden, difference, golden_path};
use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cache, CacheBound, Device, Error, Event, Generation, Latents, MemoryBudget, Precision, Result, State,
};

/// Mean and largest difference of latents of size 1 after four steps in f32.
const BOUNDS: (f64, f64) = (1e-5, 2e-4);
const FRAMES: usize = 18;

fn pipeline(device: &Device, budget: MemoryBudget) -> Result<AnimatePipeline> {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).memory_budget(budget).build()
}

/// With guidance, all frames at once.
fn request(pipeline: &AnimatePipeline) -> Result<AnimateRequest> {
    let video = |name: &str| {
        let frames = Frames::open(golden_path("inputs").join(name))?;
        Frames::from_images((0..FRAMES).map(|i| frames.read(i)).collect::<Result<Vec<_>>>()?)
    };
    let motion = Motion::new(video("pose")?, video("face_16")?)?;
    let request = pipeline.animate(open_image(golden_path("inputs/reference.png"))?, motion);
    let request = request.prompt("a person dances in the park and waves both hands").negative_prompt("blurry, worst quality");
    let noise = Latents::read_segments(golden_path("windows/noise.safetensors"))?;
    Ok(request.size(48, 32).num_inference_steps(4).guidance_scale(2.0).noise(noise).seed(42))
}

fn frames(generation: Generation) -> Result<Vec<f32>> {
    let mut samples = Vec::new();
    for event in generation {
        if let Event::Frame(frame) = event? {
            samples.extend(frame.into_samples());
        }
    }
    Ok(samples)
}

#[test]
fn latents_are_those_of_the_harness() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let mut last = None;
    for event in request(&pipeline)?.windows(9, 4).previews(true).start()? {
        if let Event::Preview(latents) = event? {
            last = Some(latents);
        }
    }
    let last = last.expect("previews");
    let golden = Golden::open("windows/latents.safetensors");
    let [_, all, rows, cols] = *golden.shape("latents") else { panic!("four axes") };
    let wanted: Vec<f32> = golden.values("latents").chunks(all * rows * cols).flat_map(|c| c[rows * cols..].to_vec()).collect();
    let (mean, most) = difference(&last.values, &wanted);
    println!("mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= BOUNDS.0 && most <= BOUNDS.1, "mean {mean:.2e}, largest {most:.2e}");
    Ok(())
}

#[test]
fn one_window_is_one_segment() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let segment = frames(request(&pipeline)?.segment_frames(21).start()?)?;
    assert!(frames(request(&pipeline)?.windows(21, 8).start()?)? == segment);
    assert!(frames(request(&pipeline)?.windows(9, 4).start()?)? != segment);
    Ok(())
}

#[test]
fn plans_are_kept_and_streaming_changes_no_bit() -> Result<()> {
    let device = Device::builder().build()?;
    let resident = pipeline(&device, MemoryBudget::default())?;
    let plan = request(&resident)?.windows(9, 4).plan()?;
    println!("{plan}");
    device.reset_peak();
    let whole = frames(request(&resident)?.windows(9, 4).start()?)?;
    assert_eq!(device.memory_use().peak, plan.peak());
    let segment = request(&resident)?.segment_frames(21).plan()?;
    let ratio = plan.step_operations() / segment.step_operations();
    println!("{ratio:.2} times the operations of a segment");
    assert!(ratio > 1.2 && ratio < 2.5, "three windows of half the frames: {ratio}");
    drop(resident);
    let budget = crate::common::named_budget(request(&pipeline(&device, MemoryBudget::bytes(1 << 20))?)?.windows(9, 4).plan());
    let streamed = pipeline(&device, MemoryBudget::bytes(budget))?;
    device.reset_peak();
    assert!(frames(request(&streamed)?.windows(9, 4).start()?)? == whole);
    assert!(device.memory_use().peak <= budget);
    Ok(())
}

#[test]
fn a_saved_state_goes_on() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let cached = || Ok::<_, Error>(request(&pipeline)?.windows(9, 4).cache("easy:2".parse::<Cache>()?.start(CacheBound::Step(3))));
    let whole = frames(cached()?.start()?)?;
    let mut generation = cached()?.start()?;
    let mut steps = 0;
    while steps < 3 {
        steps += usize::from(matches!(generation.next().expect("four steps")?, Event::Step(_)));
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    generation.state().save(file.path())?;
    drop(generation);
    assert!(frames(cached()?.resume(State::open(file.path())?).start()?)? == whole);
    Ok(())
}

#[test]
fn what_windows_cannot_do_is_refused() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    for (frames, overlap) in [(8, 4), (9, 0), (9, 6), (9, 12)] {
        assert!(matches!(request(&pipeline)?.windows(frames, overlap).start(), Err(Error::Input(_))), "{frames}:{overlap}");
    }
    let refused = |request: AnimateRequest| match request.start() {
        Err(Error::Input(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    assert!(refused(request(&pipeline)?.windows(9, 4).cache("mag".parse::<Cache>()?)).contains("take `easy`"));
    assert!(refused(request(&pipeline)?.windows(9, 4).calibrate(true)).contains("calibration"));
    Ok(())
}
