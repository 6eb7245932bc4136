//! The options of `animate2`.

use std::path::PathBuf;

use clap::Args;
use wan_animate::video::{Audio, Frames, open_image};
use wan_animate::{ANIMATE_2_FPS, Animate2Pipeline, Animate2Request, Animate2Variant, Error, Result};

use super::sound::{self, Sound};
use super::{Destination, Engine, Output, Settings};

#[derive(Args, Debug)]
pub struct Animate2Arguments {
    #[command(flatten)]
    engine: Engine,
    /// Which model it is, animate-2 or animate-2-distilled, where the files do not tell: those of diffusers do.
    #[arg(long, value_name = "NAME")]
    variant: Option<Animate2Variant>,
    /// The character, of any size: the result has its shape, and the area of --width and --height.
    #[arg(long, value_name = "IMAGE")]
    reference: PathBuf,
    /// The driving video as it was filmed: a video file or a directory of images.
    #[arg(long, value_name = "PATH")]
    video: PathBuf,
    /// How the character looks, and the background.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// What goes with the driving video; by default what the model was trained with.
    #[arg(long, value_name = "TEXT")]
    driving_prompt: Option<String>,
    #[command(flatten)]
    destination: Destination,
    /// The sound of MP4 and MOV files: keep copies that of the driving video, cut to the result.
    #[arg(long, value_enum, value_name = "keep|none", hide_possible_values = true, default_value = "keep")]
    audio: Sound,
    /// Frames made at once, 4n + 1; by default 81, which the model was trained with.
    #[arg(long, value_name = "N")]
    segment_frames: Option<usize>,
    /// Frames to make at most; by default as many as the driving video has at 24 a second.
    #[arg(long, value_name = "N")]
    num_frames: Option<usize>,
    /// Frames a second of a driving video of images, which do not say their own; by default 24.
    #[arg(long, value_name = "N")]
    fps: Option<f64>,
    /// Added to the scores of the first four generated frames; by default as officially released, -1.3 distilled and 0 otherwise. diffusers has 0.
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    log_scale: Option<f32>,
    /// The pass that guidance leads away from goes through all blocks, as in ComfyUI, and leaves none out.
    #[arg(long)]
    every_block: bool,
    /// What the model keeps of the driving video is kept in 8 bits: half the memory, and frames that differ a little.
    #[arg(long)]
    quantize_driving: bool,
    #[command(flatten)]
    settings: Settings,
    /// Also write a picture of reference, driving video and result side by side.
    #[arg(long, value_name = "PNG")]
    contact_sheet: Option<PathBuf>,
}

impl Animate2Arguments {
    fn driving(&self) -> Result<Frames> {
        let frames = Frames::open(&self.video)?;
        match (self.fps, frames.fps()) {
            (Some(fps), None) => frames.with_fps(fps),
            _ => Ok(frames),
        }
    }

    fn request(&self, request: Animate2Request) -> Result<Animate2Request> {
        let mut request = self.settings.apply(request)?.skip_block(!self.every_block).quantize_driving(self.quantize_driving);
        if let Some(prompt) = &self.driving_prompt {
            request = request.driving_prompt(prompt);
        }
        if let Some(frames) = self.segment_frames {
            request = request.segment_frames(frames);
        }
        if let Some(frames) = self.num_frames {
            request = request.num_frames(frames);
        }
        if let Some(scale) = self.log_scale {
            request = request.log_scale(scale);
        }
        Ok(request)
    }

    fn sound(&self) -> Result<Option<Audio>> {
        match self.audio {
            Sound::Keep => sound::find([self.video.as_path()], true),
            Sound::None => Ok(None),
        }
    }
}

/// Loads what `animate2` needs, and makes a video.
pub fn run_animate2(arguments: &Animate2Arguments) -> Result<()> {
    let Animate2Arguments { engine, destination, settings, .. } = arguments;
    if !engine.checkpoint.is_named() {
        return Err(Error::Input("give --model DIR, or --transformer FILE and the other parts: Animate-2 has no demo".into()));
    }
    [&arguments.reference, &arguments.video].into_iter().try_for_each(|input| destination.check_input(input))?;
    let (reference, driving) = (open_image(&arguments.reference)?, arguments.driving()?);
    let loaded = engine.load(|device| {
        let builder = Animate2Pipeline::builder(device);
        match arguments.variant {
            Some(variant) => builder.variant(variant),
            None => builder,
        }
    })?;
    let request = arguments.request(loaded.pipeline.animate(&reference, &driving, &arguments.prompt))?;
    let Some(request) = engine.planned(request, |request| loaded.pipeline.plan(request))? else { return Ok(()) };
    let options = destination.options().audio(arguments.sound()?);
    let mut output = Output::new(destination.path()?, ANIMATE_2_FPS, options).files(settings);
    if let Some(sheet) = &arguments.contact_sheet {
        output = output.contact_sheet(sheet, &reference, vec![driving.at_fps(ANIMATE_2_FPS)?], 0);
    }
    output.write(request.start()?, &loaded)
}
