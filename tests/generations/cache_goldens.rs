//! Caches against those of diffusers, cache-dit, EasyCache and TeaCache on tiny models: the same steps are computed, and the same latents come of
//! it. `tests/reference/caches.py` says what the goldens are.

use std::collections::BTreeMap;

use crate::common::{Golden, difference, golden_json, golden_path};
use serde::Deserialize;
use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::{
    AnimatePipeline, Cache, CacheBound, CacheCurve, Device, Event, Generation, Latents, Precision, Result, Scheduler, VideoPipeline,
};

/// Mean and largest difference of latents of size 1: what f32 rounding adds up to over twenty steps, the reference's own included.
const BOUNDS: (f64, f64) = (2e-5, 3e-4);
const STEPS: usize = 20;
const PROMPT: &str = "a person dances in the park and waves both hands";
const FLAWS: &str = "blurry, worst quality";

/// A cache of another, as ours, and which steps it computed.
#[derive(Deserialize)]
struct Case {
    checkpoint: String,
    method: String,
    #[serde(default)]
    start: Option<usize>,
    #[serde(default)]
    end: Option<usize>,
    #[serde(default)]
    max_consecutive: Option<usize>,
    #[serde(default)]
    max_reused: Option<usize>,
    computed: String,
}

impl Case {
    /// The ratios of MagCache are those that diffusers measured.
    fn cache(&self, calibration: &BTreeMap<String, Vec<(f64, f64)>>) -> Result<Cache> {
        let mut cache: Cache = self.method.parse()?;
        cache.start = self.start.map(CacheBound::Step);
        cache.end = self.end.map(CacheBound::Step);
        cache.max_consecutive = self.max_consecutive;
        cache.max_reused = self.max_reused;
        if self.method.starts_with("mag") {
            cache.curve = Some(CacheCurve::new(vec![calibration[&self.checkpoint].clone()])?);
        }
        Ok(cache)
    }
}

/// A run of a checkpoint that the goldens have.
fn start(checkpoint: &str, cache: Option<Cache>) -> Result<Generation> {
    let device = Device::builder().build()?;
    let noise = Latents::read_segments(golden_path("caches").join(format!("{checkpoint}.safetensors")))?;
    if checkpoint == "tiny" {
        let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path(checkpoint)).precision(Precision::F32).build()?;
        let video = |name: &str| {
            let frames = Frames::open(golden_path("inputs").join(name))?;
            Frames::from_images((0..5).map(|i| frames.read(i)).collect::<Result<Vec<_>>>()?)
        };
        let motion = Motion::new(video("pose")?, video("face_16")?)?;
        let request = pipeline.animate(open_image(golden_path("inputs/reference.png"))?, motion).prompt(PROMPT).negative_prompt(FLAWS);
        let request = request.size(48, 32).segment_frames(5).num_inference_steps(STEPS).guidance_scale(2.0).noise(noise);
        let request = request.previews(true).calibrate(cache.is_none());
        return cache.map_or(request.clone(), |cache| request.cache(cache)).start();
    }
    let folder = if checkpoint == "t2v" { golden_path("caches/t2v") } else { golden_path("family").join(checkpoint) };
    let pipeline = VideoPipeline::builder(&device).checkpoint(folder).precision(Precision::F32).build()?;
    let request = match checkpoint {
        "t2v" => pipeline.text_to_video(PROMPT),
        _ => pipeline.image_to_video(open_image(golden_path("family/inputs/image.png"))?, PROMPT),
    };
    let request = request.negative_prompt(FLAWS).size(48, 32).num_frames(9).num_inference_steps(STEPS).guidance_scale(3.0).noise(noise);
    let request = request.previews(true).calibrate(cache.is_none());
    cache.map_or(request.clone(), |cache| request.cache(cache)).start()
}

/// Which steps were computed, and the last estimate of the latents, which is what they end as.
fn run(generation: Generation) -> Result<(String, Latents)> {
    let (mut computed, mut last) = (String::new(), None);
    for event in generation {
        match event? {
            Event::Step(step) => computed.push(if step.computed { '1' } else { '0' }),
            Event::Preview(latents) => last = Some(latents),
            Event::Stage(wan_animate::Stage::Decoding { .. }) => break,
            _ => {}
        }
    }
    Ok((computed, last.expect("previews")))
}

/// A golden [C, T, H, W] without the reference's frame, where it has one.
fn without_reference(golden: &Golden, name: &str, frames: usize) -> Vec<f32> {
    let [channels, all, rows, cols] = *golden.shape(name) else { panic!("four axes") };
    let values = golden.values(name).chunks_exact(all * rows * cols).flat_map(|channel| &channel[(all - frames) * rows * cols..]);
    let values: Vec<f32> = values.copied().collect();
    assert_eq!(values.len(), channels * frames * rows * cols);
    values
}

#[test]
fn the_same_steps_are_computed_and_the_same_latents_come_of_it() -> Result<()> {
    let cases: BTreeMap<String, Case> = golden_json("caches/cases.json");
    let calibration = golden_json("caches/calibration.json");
    let golden = Golden::open("caches/latents.safetensors");
    let mut wrong = Vec::new();
    for (name, case) in &cases {
        let (computed, latents) = run(start(&case.checkpoint, Some(case.cache(&calibration)?))?)?;
        let (mean, most) = difference(&latents.values, &without_reference(&golden, name, latents.shape[1]));
        println!("{name}: {computed}, mean {mean:.2e}, largest {most:.2e}");
        if computed != case.computed || mean > BOUNDS.0 || most > BOUNDS.1 {
            wrong.push(format!("{name}: {computed}, expected {}; mean {mean:.2e}, largest {most:.2e}", case.computed));
        }
    }
    assert!(cases.len() >= 27, "goldens of {} cases", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Levels and ratios that a run with calibration tells.
fn calibrated(generation: Generation) -> Result<CacheCurve> {
    for event in generation {
        if let Event::Calibrated(curve) = event? {
            return Ok(curve);
        }
    }
    panic!("nothing was told")
}

#[test]
fn calibration_measures_what_diffusers_does() -> Result<()> {
    let calibration: BTreeMap<String, Vec<(f64, f64)>> = golden_json("caches/calibration.json");
    for (checkpoint, wanted) in &calibration {
        let curve = calibrated(start(checkpoint, None)?)?;
        let [got] = curve.experts() else { panic!("one transformer") };
        assert_eq!(got.len(), wanted.len());
        for ((sigma, ratio), (wanted_sigma, wanted_ratio)) in got.iter().zip(wanted) {
            assert!((sigma - wanted_sigma).abs() < 1e-6 && (ratio - wanted_ratio).abs() < 1e-4, "{checkpoint}: {ratio} at {sigma}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        curve.save(file.path())?;
        assert_eq!(CacheCurve::open(file.path())?, curve);
    }
    Ok(())
}

#[test]
fn calibration_refuses_what_it_cannot_measure() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = VideoPipeline::builder(&device).checkpoint(golden_path("caches/t2v")).precision(Precision::F32).build()?;
    let request = || pipeline.text_to_video(PROMPT).size(48, 32).num_frames(5).num_inference_steps(4).calibrate(true);
    for (request, why) in [
        (request().cache("mag".parse::<Cache>()?), "leave one of them out"),
        (request().num_inference_steps(1), "take more steps"),
        (request().scheduler("heun".parse::<Scheduler>()?), "once a step"),
    ] {
        let message = request.start().expect_err("refused").to_string();
        assert!(message.contains(why), "{message}");
    }
    let state = request().calibrate(false).start()?.state();
    assert!(request().resume(state).start().expect_err("refused").to_string().contains("saved state"));
    Ok(())
}
