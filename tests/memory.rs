//! Plans, budgets and streaming: what is promised of memory is kept, and changes no bit of the result.

mod common;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use common::{Golden, golden_json, golden_path, golden_weights, named_budget, refusal};
use image::RgbImage;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::models::dit::animate::{Animate, Driving};
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::{SessionOptions, Timestep};
use wan_animate::video::{Frames, Motion};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cancel, Device, Error, Event, Generation, MemoryBudget, Plan, Precision, Result, VaeTiling,
    VideoPipeline,
};

fn device() -> Device {
    Device::builder().shader_checks(true).build().expect("an adapter")
}

fn video(frames: usize, width: u32, height: u32) -> Frames {
    let image = |i: usize| RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]));
    Frames::from_images((0..frames).map(image)).expect("frames")
}

/// All frames, as bits, and the peak of memory meanwhile.
fn collect(device: &Device, generation: Generation) -> Result<(Vec<u32>, u64)> {
    device.reset_peak();
    let mut bits = Vec::new();
    for event in generation {
        if let Event::Frame(frame) = event? {
            bits.extend(frame.samples().iter().map(|sample| sample.to_bits()));
        }
    }
    Ok((bits, device.memory_use().peak))
}

/// A run within a budget: its frames, its peak, the peak that was planned.
type Run<'a> = dyn Fn(&Device, Precision, MemoryBudget) -> Result<(Vec<u32>, u64, u64)> + 'a;

/// A small animation of two segments.
fn animate(device: &Device, precision: Precision, budget: MemoryBudget) -> Result<(Vec<u32>, u64, u64)> {
    let builder = AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(precision);
    let pipeline = builder.memory_budget(budget).build()?;
    let motion = Motion::new(video(8, 32, 32), Some(video(8, 40, 40)))?;
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(2).guidance_scale(2.0);
    let plan = pipeline.plan(&request)?;
    println!("{plan}");
    let (bits, peak) = collect(device, request.start()?)?;
    Ok((bits, peak, plan.peak()))
}

/// A small video by two experts.
fn two_experts(device: &Device, precision: Precision, budget: MemoryBudget) -> Result<(Vec<u32>, u64, u64)> {
    let builder = VideoPipeline::builder(device).checkpoint(golden_path("family/t2v")).precision(precision);
    let pipeline = builder.memory_budget(budget).build()?;
    let request = pipeline.text_to_video("a cat").size(48, 32).num_frames(5).num_inference_steps(4).seed(3);
    let plan = pipeline.plan(&request)?;
    println!("{plan}");
    let (bits, peak) = collect(device, request.start()?)?;
    Ok((bits, peak, plan.peak()))
}

/// From everything down to the smallest budget: the same bits, the peak below the budget and within a tenth of the plan. One byte less than
/// the smallest is refused, and so is nothing at all.
fn keeps_budgets(run: &Run, precision: Precision, between: u64) {
    let device = device();
    let (frames, everything, planned) = run(&device, precision, MemoryBudget::default()).expect("runs");
    assert_eq!(everything, planned);
    // What the weights alone need is refused by `build`, the rest by the request.
    let weights = named_budget(run(&device, precision, MemoryBudget::bytes(1)));
    let smallest = named_budget(run(&device, precision, MemoryBudget::bytes(weights)));
    assert!(weights < smallest && smallest < everything, "{weights} {smallest} {everything}");
    assert_eq!(named_budget(run(&device, precision, MemoryBudget::bytes(smallest - 1))), smallest);
    for part in 0..=between {
        let budget = smallest + (everything - smallest) * part / between;
        let (streamed, peak, planned) = run(&device, precision, MemoryBudget::bytes(budget)).expect("runs");
        println!("budget {budget}: planned {planned}, measured {peak}");
        assert!(streamed == frames, "other frames within {budget} bytes");
        assert!(peak <= budget, "{peak} bytes of {budget}");
        assert!(peak.abs_diff(planned) * 10 <= planned, "{peak} bytes, planned {planned}");
    }
}

#[test]
fn animate_keeps_budgets() {
    keeps_budgets(&animate, Precision::F16, 3);
}

#[test]
fn animate_keeps_budgets_in_f32() {
    keeps_budgets(&animate, Precision::F32, 1);
}

#[test]
fn two_experts_keep_budgets() {
    keeps_budgets(&two_experts, Precision::F16, 3);
}

/// What a change of a small animation makes of its plan, and of its run where that is asked for.
struct Outcome {
    plan: Plan,
    run: Option<(Vec<u32>, u64)>,
}

fn outcome(budget: MemoryBudget, runs: bool, change: impl Fn(AnimateRequest) -> AnimateRequest) -> Result<Outcome> {
    let device = device();
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).memory_budget(budget).build()?;
    let motion = Motion::new(video(9, 16, 16), Some(video(9, 40, 40)))?;
    let reference = RgbImage::from_fn(320, 32, |x, y| image::Rgb([x as u8, y as u8 * 7, 50]));
    let request = pipeline.animate(&reference, &motion).size(640, 32).segment_frames(9).frame_offset(4).num_inference_steps(1);
    let request = change(request);
    let plan = pipeline.plan(&request)?;
    Ok(Outcome { plan, run: if runs { Some(collect(&device, request.start()?)?) } else { None } })
}

impl Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.plan)
    }
}

/// The smallest budget of a changed animation, and all that its refusal says.
fn smallest(change: impl Fn(AnimateRequest) -> AnimateRequest) -> (u64, String) {
    let weights = named_budget(outcome(MemoryBudget::bytes(1), false, &change));
    let refused = || outcome(MemoryBudget::bytes(weights), false, &change);
    (named_budget(refused()), refusal(refused()))
}

/// Frames that do not fit whole pass the VAE in tiles, without having been asked for, and are the same.
#[test]
fn a_small_budget_takes_tiles() {
    let whole = outcome(MemoryBudget::default(), true, |request| request.segment_frames(5)).expect("runs");
    assert_eq!(whole.plan.vae_tile(), None);
    let (least, _) = smallest(|request| request.segment_frames(5));
    let tiled = outcome(MemoryBudget::bytes(least), true, |request| request.segment_frames(5)).expect("runs");
    println!("{}", tiled.plan);
    assert!(tiled.plan.vae_tile().is_some());
    let ((frames, _), (same, peak)) = (whole.run.expect("ran"), tiled.run.expect("ran"));
    assert!(same == frames, "other frames in tiles");
    assert!(peak <= least && peak.abs_diff(tiled.plan.peak()) * 10 <= peak, "{peak} bytes of {least}");
    assert!(3 * least < 2 * whole.plan.peak(), "{least} bytes instead of {}", whole.plan.peak());
    // Four frames and one on its way; in tiles all five, and what they are made from.
    let frame = 640 * 32 * 3 * 4;
    assert_eq!(whole.plan.host(), 5 * frame);
    assert!(tiled.plan.host() > 5 * frame, "{} bytes on the host", tiled.plan.host());
}

/// A plan looks at the first latent frames alone.
#[test]
fn long_segments_take_what_is_planned() {
    for tiling in [VaeTiling::Off, VaeTiling::Pixels(320)] {
        let Outcome { plan, run } =
            outcome(MemoryBudget::default(), true, |request| request.segment_frames(17).vae_tiling(tiling)).expect("runs");
        println!("{plan}");
        assert_eq!(run.expect("ran").1, plan.peak(), "{tiling:?}");
    }
}

#[test]
fn long_videos_of_the_other_vae_take_what_is_planned() {
    let device = device();
    let pipeline = VideoPipeline::builder(&device).checkpoint(golden_path("family/ti2v")).build().expect("builds");
    let request = pipeline.text_to_video("a cat").size(64, 64).num_frames(25).num_inference_steps(1);
    let plan = pipeline.plan(&request).expect("a plan");
    let (_, peak) = collect(&device, request.start().expect("starts")).expect("runs");
    println!("{plan}");
    assert_eq!(peak, plan.peak());
}

/// What the first one leaves on the GPU is no burden for the second.
#[test]
fn two_generations_keep_to_a_budget_of_just_everything() {
    let device = device();
    let motion = Motion::new(video(5, 32, 32), Some(video(5, 40, 40))).expect("a motion");
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let run = |budget: MemoryBudget| {
        let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).memory_budget(budget).build()?;
        let start = || pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(2).guidance_scale(2.0).start();
        Ok::<_, Error>([collect(&device, start()?)?, collect(&device, start()?)?])
    };
    let [(frames, everything), _] = run(MemoryBudget::default()).expect("runs");
    for (same, peak) in run(MemoryBudget::bytes(everything)).expect("runs") {
        assert!(same == frames, "other frames within {everything} bytes");
        assert!(peak <= everything, "{peak} bytes of {everything}");
    }
}

/// A small animation on a pipeline, within a budget of its own; `seed` tells its frames from those of others.
fn own(pipeline: &AnimatePipeline, seed: u64, budget: u64) -> AnimateRequest {
    let motion = Motion::new(video(8, 32, 32), Some(video(8, 40, 40))).expect("a motion");
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(reference, motion).segment_frames(5).num_inference_steps(2).guidance_scale(2.0);
    request.seed(seed).memory_budget(MemoryBudget::bytes(budget))
}

/// The frames of two generations, an event of the one and an event of the other in turn, the second begun in the middle of the first.
fn in_turn(mut generations: [Generation; 2]) -> [Vec<u32>; 2] {
    let mut frames = [Vec::new(), Vec::new()];
    for turn in 0.. {
        let mut has_ended = true;
        for (i, generation) in generations.iter_mut().enumerate().filter(|(i, _)| turn >= 5 * i) {
            let Some(event) = generation.next() else { continue };
            has_ended = false;
            if let Event::Frame(frame) = event.expect("runs") {
                frames[i].extend(frame.samples().iter().map(|sample| sample.to_bits()));
            }
        }
        if has_ended {
            break;
        }
    }
    frames
}

/// Two generations on one pipeline: each has the frames that it has alone, and together they take no more than what was planned for both,
/// less what both were counted.
#[test]
fn two_generations_at_once_keep_to_their_own_budgets() {
    let device = device();
    let builder = || AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).memory_budget(MemoryBudget::bytes(1 << 30));
    let pipeline = builder().build().expect("builds");
    // What is always on the GPU, which both plans count.
    let shared = device.memory_use().current;
    let plan = |budget| own(&pipeline, 0, budget).plan();
    let everything = plan(1 << 30).expect("a plan").peak();
    let least = named_budget(plan(1));
    for budgets in [[everything, least], [least, everything], [least, least], [everything, everything], [least, (least + everything) / 2]] {
        let plans = budgets.map(|budget| plan(budget).expect("a plan"));
        let alone = [0, 1].map(|i| collect(&device, own(&pipeline, i as u64, budgets[i]).start().expect("starts")).expect("runs"));
        assert!(alone[0].0 != alone[1].0, "two seeds, one video");
        let generations = [0, 1].map(|i| own(&pipeline, i as u64, budgets[i]).start().expect("starts"));
        device.reset_peak();
        let frames = in_turn(generations);
        let peak = device.memory_use().peak;
        let both = plans.iter().map(Plan::peak).sum::<u64>() - shared;
        println!("budgets {budgets:?}: {peak} bytes together, planned {both}");
        assert!(frames[0] == alone[0].0 && frames[1] == alone[1].0, "other frames together than alone, within {budgets:?}");
        assert!(peak <= both, "{peak} bytes together, planned {both}, within {budgets:?}");
        (0..2).for_each(|i| assert!(plans[i].peak() <= budgets[i] && alone[i].1 <= budgets[i], "{} of {}", alone[i].1, budgets[i]));
    }
}

/// The same where each has one of two experts at work, and not always the same.
#[test]
fn two_generations_by_two_experts_keep_to_their_own_budgets() {
    let device = device();
    let builder = VideoPipeline::builder(&device).checkpoint(golden_path("family/t2v")).memory_budget(MemoryBudget::bytes(1 << 30));
    let pipeline = builder.build().expect("builds");
    let request = |seed: u64, budget: u64| {
        let request = pipeline.text_to_video("a cat").size(48, 32).num_frames(5).num_inference_steps(4).seed(seed);
        request.num_videos(2).memory_budget(MemoryBudget::bytes(budget))
    };
    let everything = request(0, 1 << 30).plan().expect("a plan").peak();
    let least = named_budget(request(0, 1).plan());
    for budgets in [[everything, least], [least, least], [least, everything]] {
        let planned = budgets.iter().zip(0..).map(|(&budget, seed)| request(seed, budget).plan().expect("a plan").peak()).sum::<u64>();
        let start = |i: usize| request(i as u64, budgets[i]).start().expect("starts");
        let alone = [0, 1].map(|i| collect(&device, start(i)).expect("runs"));
        device.reset_peak();
        let frames = in_turn([start(0), start(1)]);
        let peak = device.memory_use().peak;
        println!("budgets {budgets:?}: {peak} bytes together, planned {planned}");
        assert!(frames[0] == alone[0].0 && frames[1] == alone[1].0, "other frames together than alone, within {budgets:?}");
        assert!(peak <= planned, "{peak} bytes together, planned {planned}, within {budgets:?}");
    }
}

/// What a generation keeps is its own: another with a small budget, begun and ended meanwhile, takes none of its blocks away.
#[test]
fn a_second_start_changes_nothing_for_the_first() {
    let device = device();
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("builds");
    let least = named_budget(own(&pipeline, 0, 1).plan());
    let loaded = device.memory_use().current;
    let mut first = own(&pipeline, 0, 1 << 30).start().expect("starts");
    first.find(|event| matches!(event, Ok(Event::Step(_)))).expect("a step").expect("runs");
    drop(collect(&device, own(&pipeline, 1, least).start().expect("starts")).expect("runs"));
    device.reset_peak();
    first.find(|event| matches!(event, Ok(Event::Step(_)))).expect("a step").expect("runs");
    assert!(device.memory_use().peak_weights <= loaded, "blocks were loaded again");
    drop(first);
    assert_eq!(device.memory_use().current, loaded, "and they stay for the next one");
    // Alone, the one with the small budget has to make room.
    let weights = || {
        device.reset_peak();
        device.memory_use().peak_weights
    };
    let all = weights();
    let second = own(&pipeline, 1, least).start().expect("starts");
    let fewest = second.map(|event| event.map(|_| weights()).expect("runs")).min().expect("events");
    assert!(fewest < all, "{fewest} bytes of weights of {all}");
}

type Change = dyn Fn(AnimateRequest) -> AnimateRequest;

/// What a refusal says would need less, does: as much less as it says.
#[test]
fn refusals_name_what_lowers_the_budget() {
    let (least, message) = smallest(|request| request.vae_tiling(VaeTiling::Off));
    println!("{message}");
    let levers: [(&str, &Change); 3] = [
        ("automatic VAE tiling", &|request| request),
        ("segments of 5 frames", &|request| request.vae_tiling(VaeTiling::Off).segment_frames(5)),
        ("320x16 pixels", &|request| request.vae_tiling(VaeTiling::Off).size(320, 16)),
    ];
    for (words, change) in levers {
        let (changed, _) = smallest(change);
        let said = format!("{words}: {:.3} GiB", changed as f64 / f64::from(1 << 30));
        assert_eq!(message.contains(&said), changed < least, "{said} in: {message}");
        assert_eq!(message.contains(words), changed < least, "{words} in: {message}");
    }
    let (_, message) = smallest(|request| request);
    assert!(!message.contains("automatic VAE tiling"), "{message}");
}

/// Planning is running on a device that does nothing, so its figures are those of the real thing, to the byte.
#[test]
fn a_dry_device_takes_what_a_real_one_does() {
    let real = device();
    let dry = real.dry(real.limits().clone());
    let (frames, peak, _) = two_experts(&real, Precision::F16, MemoryBudget::default()).expect("runs");
    let (rehearsed, planned, _) = two_experts(&dry, Precision::F16, MemoryBudget::default()).expect("rehearses");
    assert_eq!(planned, peak);
    assert!(rehearsed.is_empty() && !frames.is_empty(), "a dry device makes no frames");
    let rehearsal = dry.rehearsal().expect("a dry device");
    assert!(rehearsal.dispatches() > 500 && rehearsal.cost().flops > 1e6 && rehearsal.largest_buffer().size > 1 << 12);
}

/// Two passes of the model of a golden of parts, as bits: with so many blocks that stay, and each pass in two ranges of layers.
fn passes(model: &Animate, rec: &mut Recorder, golden: &Golden, options: SessionOptions, keep: usize) -> Result<Vec<u32>> {
    let dit = model.dit();
    let mut session = dit.session(options);
    session.keep(keep);
    let text_dim = model.config().text_dim;
    let mut text = golden.values("encoder_hidden_states").to_vec();
    text.resize(512 * text_dim, 0.0);
    let text = rec.upload(&[512, text_dim], &text)?;
    let image = golden.upload(rec, "encoder_hidden_states_image");
    dit.add_prompt(rec, &mut session, &text, Some(&image))?;
    let pose = golden.upload(rec, "pose_hidden_states");
    let pose = model.pose(rec, &pose)?;
    let face = golden.upload(rec, "face_encoder");
    let mut face = model.face_keys(rec, &face)?;
    let latents = golden.upload(rec, "hidden_states");
    let mut bits = Vec::new();
    for timestep in [999.0, 500.0] {
        let mut driving = Driving { pose: &pose, face: &mut face };
        let mut pass = dit.begin(rec, &session, 0, &latents, Timestep::Of(timestep), &mut driving)?;
        dit.layers(rec, &mut session, &mut pass, 0..1, &mut driving)?;
        dit.layers(rec, &mut session, &mut pass, 1..dit.blocks().all().end, &mut driving)?;
        let in_two = dit.head(rec, &pass)?;
        let at_once = model.forward(rec, &mut session, 0, &latents, timestep, driving)?;
        let [in_two, at_once] = [rec.download(&in_two)?, rec.download(&at_once)?];
        assert!(in_two == at_once, "another prediction in two ranges");
        bits.extend(at_once.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

/// However many blocks stay, however few tokens are worked on at a time, and whether keys are kept: the same bits.
#[test]
fn streaming_and_runs_change_no_bit() {
    let device = device();
    let mut rec = Recorder::new(&device, Cancel::new());
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    let config = golden_json("tiny/transformer/config.json");
    let weights = Arc::new(golden_weights("tiny/transformer"));
    for precision in [Precision::F32, Precision::F16] {
        let model = Animate::open(&device, &weights, precision, &config).expect("opens");
        let all = model.dit().blocks().all().end;
        let resident = passes(&model, &mut rec, &golden, SessionOptions::default(), all).expect("runs");
        assert!(resident.iter().any(|&bits| bits != resident[0]), "a result of one value");
        for (keep, tokens, keep_keys) in (0..=all).map(|keep| (keep, [1, 8192][keep % 2], keep % 3 == 0)) {
            let streamed =
                passes(&model, &mut rec, &golden, SessionOptions { tokens, keep_keys, ..Default::default() }, keep).expect("runs");
            assert!(streamed == resident, "{precision:?}: {keep} of {all} blocks resident, {tokens} tokens at a time");
        }
    }
}

/// A pass that ends after the first layer has loaded no other, whether the layers stay or not.
#[test]
fn a_range_of_layers_loads_no_more() {
    let device = device();
    let mut rec = Recorder::new(&device, Cancel::new());
    let config: Config = golden_json("tiny/transformer/config.json");
    let weights = Arc::new(golden_weights("tiny/transformer"));
    let model = Animate::open(&device, &weights, Precision::F32, &config).expect("opens");
    let dit = model.dit();
    let sizes = dit.blocks().sizes(&device.dry(device.limits().clone())).expect("sizes");
    let text = rec.zeros(&[512, config.text_dim]).expect("text");
    let image = rec.zeros(&[257, config.image_dim.expect("an image branch")]).expect("image");
    let latents = rec.zeros(&[config.in_channels().expect("channels"), 2, 4, 4]).expect("latents");
    let mut session = dit.session(SessionOptions { keep_keys: false, ..Default::default() });
    dit.add_prompt(&mut rec, &mut session, &text, Some(&image)).expect("a prompt");
    rec.finish().expect("waits");
    rec.trim();
    let before = device.memory_use().current;
    let mut taken = |keep: usize, range: Range<usize>| {
        session.keep(keep);
        device.reset_peak();
        let mut pass = dit.begin(&mut rec, &session, 0, &latents, Timestep::Of(500.0), &mut ()).expect("begins");
        dit.layers(&mut rec, &mut session, &mut pass, range, &mut ()).expect("runs");
        drop(pass);
        rec.finish().expect("waits");
        rec.trim();
        let weights = device.memory_use().peak_weights;
        (device.memory_use().current - before, weights)
    };
    let (_, fixed) = taken(0, 0..0);
    let [(nothing, one), (_, two)] = [0..1, 0..2].map(|range| taken(0, range));
    assert_eq!((nothing, taken(2, 0..0).0, taken(2, 0..1).0, taken(2, 0..2).0), (0, 0, sizes[0], sizes[0] + sizes[1]));
    // Slots are a little larger than what they hold.
    assert!(
        one - fixed >= sizes[0] && one - fixed < sizes[0] + sizes[1] / 2,
        "{} bytes streamed for {} of one layer",
        one - fixed,
        sizes[0]
    );
    assert!(two - fixed >= sizes[0] + sizes[1], "{} bytes streamed for both layers", two - fixed);
}
