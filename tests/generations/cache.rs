//! Steps that reuse what others computed: what is planned is taken, and neither memory nor an interruption changes a bit.

use crate::common::{golden_json, golden_path, golden_weights};
use image::RgbImage;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Recorder, Tensor};
use wan_animate::unversioned::layers::Loader;
use wan_animate::unversioned::models::dit::block::Block;
use wan_animate::unversioned::models::dit::cache::work::{How, Work};
use wan_animate::unversioned::models::dit::hooks::Hooks;
use wan_animate::unversioned::models::dit::{Dit, SessionOptions, Timestep};
use wan_animate::unversioned::ops::lincomb::lincomb;
use wan_animate::video::{Frames, Motion};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cache, CacheBound, Device, Error, Event, Generation, MemoryBudget, Precision, Result, Scheduler,
    Stage, State, VideoPipeline,
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

/// DBCache would compute the first eight steps, EasyCache ten.
fn cache(name: &str) -> Result<Cache> {
    let cache = name.parse::<Cache>()?;
    Ok(match name.split(':').next() {
        Some("dual-block") => cache.start(CacheBound::Step(2)),
        Some("easy") => cache.start(CacheBound::Step(3)),
        _ => cache,
    })
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

const CACHES: [&str; 5] = ["mask:110010", "taylor:3:2", "first-block:0.3", "dual-block:2:1", "easy:2"];

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
        assert_eq!(peak, plan.peak(), "{cache}");
        drop(resident);
        let budget = crate::common::named_budget(request(&pipeline(&device, MemoryBudget::bytes(1 << 20))?, Some(cache))?.plan());
        let streamed = pipeline(&device, MemoryBudget::bytes(budget))?;
        device.reset_peak();
        assert!(run(&mut request(&streamed, Some(cache))?.start()?)? == (frames, computed), "{cache} within {budget} bytes");
        assert!(device.memory_use().peak <= budget);
    }
    Ok(())
}

/// What denoising takes is known to the byte where it is decided on the way too, if a step is computed once the solver knows as much of the past
/// as it uses. Where none is, it takes less.
#[test]
fn denoising_takes_what_is_planned() -> Result<()> {
    for (cache, is_computed_late) in [("first-block:0.1", true), ("dual-block:0.1:1", true), ("easy:0.5", true), ("dual-block:2:1", false)]
    {
        // A plan is of the first run of a pipeline, and of it whole: the first of two segments is conditioned on less.
        let device = Device::builder().build()?;
        let pipeline = pipeline(&device, MemoryBudget::default())?;
        let request = || Ok::<_, Error>(request(&pipeline, Some(cache))?.num_frames(5).num_inference_steps(9));
        let plan = request()?.plan()?;
        let planned = plan.stages().iter().find(|stage| matches!(stage.stage, Stage::Denoising { .. })).expect("a stage").peak;
        let (mut computed, mut peak) = (String::new(), 0);
        for event in request()?.start()? {
            match event? {
                Event::Stage(Stage::Denoising { .. }) => device.reset_peak(),
                Event::Stage(Stage::Decoding { .. }) => peak = device.memory_use().peak,
                Event::Step(step) => computed.push(if step.computed { '1' } else { '0' }),
                _ => {}
            }
        }
        println!("{cache}: {computed}, {peak} of {planned} bytes");
        assert!(computed.contains('0') && computed[4..].contains('1') == is_computed_late, "{cache}: {computed}");
        match is_computed_late {
            true => assert_eq!(peak, planned, "{cache}"),
            false => assert!(peak <= planned, "{cache}"),
        }
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

/// Sees the tokens after the first and after the last block of a model of four, or puts others in place of the last.
#[derive(Default)]
struct Tokens {
    blocks: usize,
    first: Option<Tensor>,
    last: Option<Tensor>,
    /// What the blocks between have added, by hand.
    added: Option<Tensor>,
}

impl Hooks<Block> for Tokens {
    fn after_block(&mut self, rec: &mut Recorder, _: &Block, _: std::ops::Range<usize>, x: Tensor) -> Result<Tensor> {
        self.blocks += 1;
        match self.blocks {
            1 => self.first = Some(x.clone()),
            4 => {
                if let (Some(first), Some(added)) = (&self.first, &self.added) {
                    return lincomb(rec, &[(1.0, first), (1.0, added)], DType::F32);
                }
                self.last = Some(x.clone());
            }
            _ => {}
        }
        Ok(x)
    }
}

#[test]
fn a_reused_residual_is_the_one_added_by_hand() -> Result<()> {
    let (device, mut rec) = crate::common::device();
    let weights = golden_weights("caches/t2v/transformer");
    let config = golden_json("caches/t2v/transformer/config.json");
    let dit = Dit::<Block>::load(&Loader::new(&device, &weights, Precision::F32), &config)?;
    let mut session = dit.session(SessionOptions::default());
    let wave = |rec: &mut Recorder, shape: &[usize], pace: f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * pace).sin()).collect();
        rec.upload(shape, &values)
    };
    let text = wave(&mut rec, &[512, dit.config().text_dim], 0.3)?;
    dit.add_prompt(&mut rec, &mut session, &text, None)?;
    let [before, now] = [0.7, 1.1].map(|pace| wave(&mut rec, &[16, 3, 4, 6], pace));
    let (before, now) = (before?, now?);
    let mut seen = Tokens::default();
    let work = Work { ends: (1, 0), keeps: true, ..Work::default() };
    dit.predict(&mut rec, &mut session, 0, &before, Timestep::Of(900.0), work, &mut seen)?;
    let (Some(first), Some(last)) = (&seen.first, &seen.last) else { panic!("four blocks") };
    let added = Some(lincomb(&mut rec, &[(1.0, last), (-1.0, first)], DType::F32)?);
    let by_hand = dit.forward(&mut rec, &mut session, 0, &now, Timestep::Of(700.0), &mut Tokens { added, ..Tokens::default() })?;
    let computed = dit.forward(&mut rec, &mut session, 0, &now, Timestep::Of(700.0), &mut ())?;
    // A pass that keeps nothing lets go of what others kept, so the reuse comes of a second one like the first.
    let work = Work { ends: (1, 0), keeps: true, ..Work::default() };
    dit.predict(&mut rec, &mut session, 0, &before, Timestep::Of(900.0), work, &mut ())?;
    let work = Work { ends: (1, 0), how: How::Reuse, ..Work::default() };
    let reused = dit.predict(&mut rec, &mut session, 0, &now, Timestep::Of(700.0), work, &mut ())?;
    assert!(!reused.is_computed);
    let reused = rec.download(&reused.velocity)?;
    assert!(reused == rec.download(&by_hand)?);
    assert!(reused != rec.download(&computed)?);
    Ok(())
}
