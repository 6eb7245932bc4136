//! Steps that reuse what others computed: what is planned is taken, and neither memory nor an interruption changes a bit.

mod common;

use common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frames, Motion};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cache, CacheBound, Device, Error, Event, Generation, MemoryBudget, Precision, Result, Scheduler,
    State, VideoPipeline,
};

const STEPS: usize = 6;

fn video() -> Frames {
    let image = |i: usize| RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]));
    Frames::from_images((0..9).map(image)).expect("frames")
}

fn pipeline(device: &Device, budget: MemoryBudget) -> Result<AnimatePipeline> {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).memory_budget(budget).build()
}

/// Two segments, with guidance.
fn request(pipeline: &AnimatePipeline, name: Option<&str>) -> Result<AnimateRequest> {
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(reference, Motion::new(video(), video())?).size(32, 32).segment_frames(5);
    let request = request.num_inference_steps(STEPS).guidance_scale(2.0);
    Ok(match name {
        Some(name) => request.cache(cache(name)?),
        None => request,
    })
}

/// DBCache would compute the first eight steps.
fn cache(name: &str) -> Result<Cache> {
    let cache = name.parse::<Cache>()?;
    Ok(if name.starts_with("dual-block") { cache.start(CacheBound::Step(2)) } else { cache })
}

/// Bits of all frames, and which steps were computed.
fn run(generation: &mut Generation) -> Result<(Vec<u32>, String)> {
    let (mut bits, mut computed) = (Vec::new(), String::new());
    for event in generation {
        match event? {
            Event::Frame(frame) => bits.extend(frame.samples().iter().map(|sample| sample.to_bits())),
            Event::Step(step) => computed.push(if step.computed { '1' } else { '0' }),
            _ => {}
        }
    }
    Ok((bits, computed))
}

const CACHES: [&str; 4] = ["mask:110010", "taylor:3:2", "first-block:0.3", "dual-block:2:1"];

#[test]
fn a_mask_of_ones_changes_no_bit_and_zeros_do() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let without = run(&mut request(&pipeline, None)?.start()?)?;
    assert_eq!(without.1, "111111".repeat(2));
    assert!(run(&mut request(&pipeline, Some("mask:111111"))?.start()?)? == without);
    let masked = run(&mut request(&pipeline, Some("mask:110010"))?.start()?)?;
    assert_eq!(masked.1, "110010".repeat(2));
    assert!(masked.0 != without.0);
    assert!(matches!(request(&pipeline, Some("mask:10"))?.start(), Err(Error::Input(why)) if why.contains("6 evaluations")));
    Ok(())
}

#[test]
fn plans_are_kept_and_streaming_changes_no_bit() -> Result<()> {
    for cache in CACHES {
        let device = Device::builder().build()?;
        let resident = pipeline(&device, MemoryBudget::default())?;
        let plan = request(&resident, Some(cache))?.plan()?;
        println!("{plan}");
        device.reset_peak();
        let (frames, computed) = run(&mut request(&resident, Some(cache))?.start()?)?;
        println!("{cache}: {computed}");
        assert!(computed.contains('0'), "{cache} reuses nothing");
        let peak = device.memory_use().peak;
        match cache.starts_with("mask") || cache.starts_with("taylor") {
            true => assert_eq!(peak, plan.peak(), "{cache}"),
            false => assert!(peak <= plan.peak() && 10 * peak >= 9 * plan.peak(), "{cache}: {peak} of {}", plan.peak()),
        }
        drop(resident);
        let budget = common::named_budget(request(&pipeline(&device, MemoryBudget::bytes(1 << 20))?, Some(cache))?.plan());
        let streamed = pipeline(&device, MemoryBudget::bytes(budget))?;
        device.reset_peak();
        assert!(run(&mut request(&streamed, Some(cache))?.start()?)? == (frames, computed), "{cache} within {budget} bytes");
        assert!(device.memory_use().peak <= budget);
    }
    Ok(())
}

#[test]
fn saved_and_resumed_between_every_two_steps() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    for cache in CACHES {
        let (mut frames, mut state, mut generation) = (Vec::new(), None::<State>, request(&pipeline, Some(cache))?.start()?);
        let whole = run(&mut request(&pipeline, Some(cache))?.start()?)?.0;
        loop {
            match generation.next().transpose()? {
                Some(Event::Step(_)) => {
                    let file = tempfile::NamedTempFile::new().expect("a file");
                    generation.state().save(file.path())?;
                    state = Some(State::open(file.path())?);
                }
                Some(Event::Frame(frame)) => frames.extend(frame.samples().iter().map(|sample| sample.to_bits())),
                Some(_) => continue,
                None => break,
            }
            if let Some(state) = state.take() {
                generation = request(&pipeline, Some(cache))?.resume(state).start()?;
            }
        }
        assert!(frames == whole, "{cache}");
    }
    Ok(())
}

/// What a request warns of.
fn warnings(mut generation: Generation) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    while let Some(Event::Warning(warning)) = generation.next().transpose()? {
        warnings.push(warning);
    }
    Ok(warnings)
}

#[test]
fn caches_that_may_do_harm_are_warned_of() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let with = |steps: usize, name: &str| Ok::<_, Error>(request(&pipeline, Some(name))?.num_inference_steps(steps));
    assert_eq!(warnings(request(&pipeline, None)?.start()?)?, [""; 0]);
    assert_eq!(warnings(with(13, "mag")?.start()?)?, [""; 0]);
    let few = warnings(with(12, "mag")?.start()?)?;
    assert!(few.len() == 1 && few[0].contains("12 evaluations"), "{few:?}");
    let noisy = warnings(with(13, "mag")?.scheduler("dpm++_sde".parse::<Scheduler>()?).start()?)?;
    assert!(noisy.iter().any(|warning| warning.contains("fresh noise")), "{noisy:?}");
    Ok(())
}

#[test]
fn each_of_two_experts_begins_anew() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = VideoPipeline::builder(&device).checkpoint(golden_path("family/t2v")).precision(Precision::F32).build()?;
    let request =
        pipeline.text_to_video("a cat").size(48, 32).num_frames(5).num_inference_steps(8).cache("mask:10000000".parse::<Cache>()?);
    let (mut computed, mut before) = (0, None);
    for event in request.start()? {
        let Event::Step(step) = event? else { continue };
        assert_eq!(step.computed, step.expert != before, "step {}", step.step);
        computed += usize::from(step.computed);
        before = step.expert;
    }
    assert_eq!(computed, 2);
    Ok(())
}
