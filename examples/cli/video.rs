//! The options of `t2v`, `i2v` and `ti2v`.

use std::path::PathBuf;

use clap::Args;
use wan_animate::video::open_image;
use wan_animate::{Error, Expert, Result, VideoPipeline};

use super::{Destination, Engine, LoraFile, Output, Settings, safety};

#[derive(Args, Debug)]
pub struct VideoArguments {
    #[command(flatten)]
    engine: Engine,
    /// The low-noise expert by itself, as for --transformer.
    #[arg(long, value_name = "FILE")]
    transformer_2: Option<PathBuf>,
    /// A LoRA for the high-noise expert, as for --lora.
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora_high: Vec<LoraFile>,
    /// A LoRA for the low-noise expert, as for --lora.
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora_low: Vec<LoraFile>,
    /// What is to be seen.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    #[command(flatten)]
    destination: Destination,
    /// Frames of the video, 4n + 1; by default the model's own number.
    #[arg(long, value_name = "N")]
    num_frames: Option<usize>,
    /// The guidance scale of the low-noise expert, where there are two; by default --guidance-scale.
    #[arg(long, value_name = "X")]
    guidance_scale_2: Option<f64>,
    #[command(flatten)]
    settings: Settings,
    /// Frames a second that the result is to be played at; by default those that the model was trained with, 16 or 24.
    #[arg(long, value_name = "N")]
    fps: Option<f64>,
}

/// Makes the video; `first` and `last` are the images that it begins and ends with.
pub fn run_video(arguments: &VideoArguments, first: Option<&PathBuf>, last: Option<&PathBuf>, fps: f64) -> Result<()> {
    if !arguments.engine.checkpoint.is_named() {
        let message = "give --model DIR, or --transformer FILE: the demo's checkpoint is for `animate` and `replace` alone";
        return Err(Error::Input(message.into()));
    }
    first.into_iter().chain(last).try_for_each(|image| arguments.destination.check_input(image))?;
    let first = first.map(open_image).transpose()?;
    let last = last.map(open_image).transpose()?;
    let places = [(Expert::HighNoise, &arguments.lora_high), (Expert::LowNoise, &arguments.lora_low)];
    let files = places.into_iter().flat_map(|(expert, files)| files.iter().map(move |file| Ok((expert, file.open()?))));
    let loras = files.collect::<Result<Vec<_>>>()?;
    let loaded = arguments.engine.load(|device| {
        let builder =
            loras.iter().fold(VideoPipeline::builder(device), |builder, (expert, lora)| builder.expert_lora(*expert, lora.clone()));
        match &arguments.transformer_2 {
            Some(path) => builder.transformer_2(path),
            None => builder,
        }
    })?;
    let mut request = match &first {
        Some(image) => loaded.pipeline.image_to_video(image, &arguments.prompt),
        None => loaded.pipeline.text_to_video(&arguments.prompt),
    };
    if let Some(image) = &last {
        request = request.last_image(image);
    }
    if let Some(frames) = arguments.num_frames {
        request = request.num_frames(frames);
    }
    if let Some(scale) = arguments.guidance_scale_2 {
        request = request.guidance_scale_2(scale);
    }
    let request = arguments.settings.apply(request)?;
    let Some(request) = arguments.engine.planned(request, |request| loaded.pipeline.plan(request))? else { return Ok(()) };
    let mut safety = arguments.settings.safety.open(&loaded.device)?;
    if let Some(safety) = &mut safety {
        first.iter().chain(&last).try_for_each(|image| safety::look(safety, Some(image), []))?;
    }
    let destination = &arguments.destination;
    let output = Output::new(destination.path()?, arguments.fps.unwrap_or(fps), destination.options()).safety(safety);
    output.files(&arguments.settings).write(request.start()?, &loaded)
}
