//! Tokens that do not see all others: what is planned is taken, and neither memory nor an interruption changes a bit.

use image::RgbImage;
use wan_animate::video::{Frames, Motion};
use wan_animate::{
    Animate2Pipeline, AnimatePipeline, AnimateRequest, Device, Error, Event, MemoryBudget, Precision, RadialAttention, Result,
};

use crate::common::{golden_path, named_budget};

const STEPS: usize = 3;

fn image(i: usize) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]))
}

fn pipeline(device: &Device, budget: MemoryBudget) -> Result<AnimatePipeline> {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).memory_budget(budget).build()
}

/// The reference and four latent frames: of few tokens, so that those two frames away and more are not seen, but for the reference.
fn request(pipeline: &AnimatePipeline, radial: Option<RadialAttention>) -> Result<AnimateRequest> {
    let video = || Frames::from_images((0..13).map(image));
    let request = pipeline.animate(image(20), Motion::new(video()?, video()?)?).size(32, 32).segment_frames(13);
    let request = request.num_inference_steps(STEPS);
    Ok(radial.map_or(request.clone(), |radial| request.radial_attention(radial)))
}

fn bits(request: AnimateRequest) -> Result<Vec<u32>> {
    let mut bits = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            bits.extend(frame.samples().iter().map(|sample| sample.to_bits()));
        }
    }
    Ok(bits)
}

#[test]
fn the_plan_is_kept_and_streaming_changes_no_bit() -> Result<()> {
    let device = Device::builder().build()?;
    let resident = pipeline(&device, MemoryBudget::default())?;
    let radial = RadialAttention::default();
    let (dense, plan) = (request(&resident, None)?.plan()?, request(&resident, Some(radial))?.plan()?);
    println!("{plan}");
    // Of 25 pairs of frames the second to fifth column lose those two and more away.
    assert_eq!((dense.attention_share(), plan.attention_share()), (None, Some(16.0 / 25.0)));
    assert!(plan.step_operations() < dense.step_operations());
    device.reset_peak();
    let frames = bits(request(&resident, Some(radial))?)?;
    assert_eq!(device.memory_use().peak, plan.peak());
    assert!(frames != bits(request(&resident, None)?)?);
    // Neither the tiny model's two blocks nor its steps are left to be sparse.
    assert!(bits(request(&resident, Some(radial.dense_layers(2)))?)? == bits(request(&resident, None)?)?);
    assert!(bits(request(&resident, Some(radial.dense_steps(2)))?)? != frames);
    drop(resident);
    let budget = named_budget(request(&pipeline(&device, MemoryBudget::bytes(1 << 20))?, Some(radial))?.plan());
    let streamed = pipeline(&device, MemoryBudget::bytes(budget))?;
    device.reset_peak();
    assert!(bits(request(&streamed, Some(radial))?)? == frames);
    assert!(device.memory_use().peak <= budget);
    Ok(())
}

#[test]
fn a_saved_state_knows_of_it() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    let radial = Some(RadialAttention::default());
    let (whole, mut state, mut rest) = (bits(request(&pipeline, radial)?)?, None, Vec::new());
    let mut generation = request(&pipeline, radial)?.start()?;
    while let Some(event) = generation.next() {
        if let Event::Step(step) = event?
            && step.step == 1
        {
            state = Some(generation.state());
            break;
        }
    }
    let state = state.expect("a second step");
    let other = request(&pipeline, Some(RadialAttention::default().decay(0.8)))?.resume(state.clone()).start();
    assert!(matches!(other, Err(Error::Input(why)) if why.contains("radial attention was `0.2:1:1` and is `0.8:1:1`")));
    rest.extend(bits(request(&pipeline, radial)?.resume(state))?);
    assert!(rest == whole);
    Ok(())
}

#[test]
fn what_it_cannot_be_is_refused() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = pipeline(&device, MemoryBudget::default())?;
    for (radial, why) in
        [(RadialAttention::default().decay(0.0), "a decay of 0"), (RadialAttention::default().dense_steps(STEPS), "3 dense steps of 3")]
    {
        let request = request(&pipeline, Some(radial))?;
        assert!(matches!(request.plan(), Err(Error::Input(said)) if said.contains(why)), "{why}");
        assert!(matches!(request.start(), Err(Error::Input(said)) if said.contains(why)), "{why}");
    }
    let pipeline = Animate2Pipeline::builder(&device).checkpoint(golden_path("animate2/base")).build()?;
    let driving = Frames::from_images((0..5).map(image))?;
    let request = pipeline.animate(image(9), &driving, "x").radial_attention(RadialAttention::default());
    assert!(matches!(request.start(), Err(Error::Unsupported(why)) if why.contains("Animate-2")));
    Ok(())
}
