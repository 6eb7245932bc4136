//! A character does what a driving video shows: the video itself, without poses.

mod job;
mod layout;

use std::sync::Arc;

use image::RgbImage;

use crate::cache::tables::Kin;
use crate::error::{Error, Result};
use crate::gpu::{Device, Sink};
use crate::models::dit::{animate2::Animate2, beside::DrivingCache, config::Config, embed::time_embeddings};
use crate::pipelines::checkpoint::{
    expert::Expert, open::Checkpoint, open::Family, parts::Parts, recipe::Recipe, transformer::Transformer, variant::Animate2Variant,
};
use crate::pipelines::plan::{refusal, report::Plan};
use crate::pipelines::request::{
    Request, builder::Builder, pipeline::DryPipeline, pipeline::Pipeline, pipeline::sealed::Sealed, task::Task,
};
use crate::pipelines::run::{arrangement::Arrangement, canvas::Canvas, crop::Crop, job::Job, segments::Segments, settings::Settings};
use crate::pipelines::tasks::animate2::{job::Animate2Job, job::Inputs};
use crate::pipelines::tasks::shared::Shared;
use crate::video::Frames;

/// Frames a second that the model was trained with.
pub const ANIMATE_2_FPS: f64 = 24.0;

/// Width and height whose product is the area where none is set.
const AREA: (u32, u32) = (640, 800);

/// What goes with the driving video: "a reference video of a person's motion".
const DRIVING_PROMPT: &str = "人物动作的参考视频";

/// A loaded Wan-Animate-2. Dear to build; cheap to clone; shared and reused, by several generations at once too.
///
/// # This model, or [`AnimatePipeline`](crate::AnimatePipeline)
/// This one sees the driving video itself. Nothing has to be found in it: no networks, no poses, no faces, and so none of their mistakes. It is told
/// of more than a skeleton and a face: of all that moves. The base model takes 40 steps with a guidance scale of 3, which are 80 passes; the
/// distilled one 10 in all.
///
/// The first model is the one for all else. It [puts the character in the video's place](crate::AnimatePipeline::replace_video), lit as the scene is;
/// this one makes its own background, of the image and the prompt. Poses and faces can be edited, left out, made stronger or weaker, and fitted to the
/// character's proportions; here there is nothing to edit, and users report that identity drifts. It takes 20 passes, and for the driving video next to
/// no memory beside its weights; this one keeps 12.5 GiB of it at 832x480 in 81 frames, on the GPU or on the host, as the
/// [`memory_budget`](Request::memory_budget) has it.
///
/// Their weights are of about the same size. The prompt matters more here: it describes the character and the background.
///
/// ```no_run
/// # fn main() -> wan_animate::Result<()> {
/// use wan_animate::{Animate2Pipeline, Device, Event, video::{Frames, open_image}};
///
/// let device = Device::builder().build()?;
/// let pipeline = Animate2Pipeline::builder(&device).checkpoint("models/Wan2.2-Animate-2-14B-Diffusers").build()?;
/// let driving = Frames::open("dance.mp4")?;
/// for event in pipeline.animate(open_image("character.png")?, &driving, "a woman in a red dress; a stage").start()? {
///     if let Event::Frame(frame) = event? {
///         println!("{}x{}", frame.width(), frame.height());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Animate2Pipeline {
    parts: Arc<Parts<Animate2>>,
    variant: Animate2Variant,
    dry_pipeline: DryPipeline<Self>,
}

/// A generation of [`Animate2Pipeline`] that is being described.
pub type Animate2Request = Request<Animation2>;

/// What Animate-2 makes of what.
#[derive(Clone, Debug)]
pub struct Animation2 {
    pipeline: Animate2Pipeline,
    reference: Arc<RgbImage>,
    driving: Frames,
    driving_prompt: String,
    num_frames: Option<usize>,
    segment_frames: usize,
    log_scale: Option<f32>,
    skips_block: bool,
    quantizes: bool,
}

impl Animate2Pipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// The character of `reference` does what the person in `driving` does. The prompt describes the character and the background.
    ///
    /// The reference may have any size; the result has its shape, and the area that [`size`](Request::size) says. The driving video is fitted into
    /// that on black, and played at [`ANIMATE_2_FPS`] where it knows its own rate; the result has that rate.
    pub fn animate(&self, reference: impl Into<Shared<RgbImage>>, driving: &Frames, prompt: impl Into<String>) -> Animate2Request {
        let animation = Animation2 {
            pipeline: self.clone(),
            reference: reference.into().0,
            driving: driving.clone(),
            driving_prompt: DRIVING_PROMPT.into(),
            num_frames: None,
            segment_frames: 81,
            log_scale: None,
            skips_block: true,
            quantizes: false,
        };
        Request::new(animation, prompt)
    }

    /// What a request will take on this pipeline: see [`Request::plan`].
    ///
    /// # Errors
    /// Those of [`Request::start`].
    pub fn plan(&self, request: &Animate2Request) -> Result<Plan> {
        request.plan_on(self)
    }

    /// Which of the two models it is.
    pub fn variant(&self) -> Animate2Variant {
        self.variant
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }
}

impl Builder<'_, Animate2Pipeline> {
    /// Which of the two models the files hold, where no index of diffusers says: the files themselves do not tell.
    pub fn variant(mut self, variant: Animate2Variant) -> Self {
        self.set_variant(variant);
        self
    }
}

impl Sealed for Animate2Pipeline {}
impl Sealed for Animation2 {}

impl Pipeline for Animate2Pipeline {
    type Transformer = Animate2;

    fn load(device: &Device, recipe: &Recipe) -> Result<Self> {
        let checkpoint = Checkpoint::open(&recipe.source, Family::Animate2)?;
        check_agreement(&checkpoint)?;
        let variant = variant(&checkpoint, recipe.variant)?;
        let Checkpoint { transformer: (mut weights, config), files, .. } = checkpoint;
        recipe.loras.merge(&mut weights, None)?;
        let dry_pipeline = DryPipeline::new(device, recipe);
        if let Some(budget) = recipe.budget {
            dry_pipeline.with(|dry_pipeline: &Self| refusal::check(&dry_pipeline.parts, budget))?;
        }
        let parts = files.load(device, recipe, recipe.loras.digest(device, [&weights])?, || {
            let weights = Arc::new(weights);
            let sink = recipe.sink(device);
            let transformer = Animate2::open(&sink, &weights, recipe.precision, &config)?;
            if recipe.budget.is_none() {
                transformer.fill(&sink, usize::MAX, true)?;
                weights.finish()?;
            }
            Ok(transformer)
        })?;
        Ok(Self { parts: Arc::new(parts), variant, dry_pipeline })
    }

    fn parts(&self) -> &Arc<Parts<Animate2>> {
        &self.parts
    }

    fn dry_pipeline(&self) -> &DryPipeline<Self> {
        &self.dry_pipeline
    }
}

impl Transformer for Animate2 {
    fn config(&self) -> &Config {
        self.dit().config()
    }

    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.dit().blocks().sizes(dry)
    }

    fn time_embeddings(&self, _expert: Expert, timesteps: &[f64]) -> Result<Vec<Vec<f32>>> {
        let weights = self.dit().blocks().weights();
        weights.map_or_else(|| Ok(Vec::new()), |weights| time_embeddings(weights, self.config(), timesteps))
    }

    fn fill(&self, sink: &dyn Sink, count: usize, _both: bool) -> Result<()> {
        self.dit().blocks().fill(sink, count)
    }
}

/// What the index says, or else the user.
fn variant(checkpoint: &Checkpoint, told: Option<Animate2Variant>) -> Result<Animate2Variant> {
    match (checkpoint.variant, told) {
        (Some(index), Some(told)) if index != told => {
            Err(checkpoint.error(format!("the index says {index}, not {told}: leave `variant` out")))
        }
        (Some(variant), _) | (None, Some(variant)) => Ok(variant),
        (None, None) => Err(checkpoint.error(
            "these files do not tell whether they are Animate-2's base model or the distilled one: say it with `variant` \
             on the builder (example: --variant animate-2, or animate-2-distilled)",
        )),
    }
}

/// The transformer must be of Wan2.1's I2V, and the VAE's latents its own.
fn check_agreement(checkpoint: &Checkpoint) -> Result<()> {
    let (dit, vae) = (&checkpoint.transformer.1, &checkpoint.files.vae.1);
    let (z, inputs, outputs) = (vae.z_dim, dit.in_channels()?, dit.out_channels()?);
    if outputs != z || inputs != z.saturating_mul(2).saturating_add(4) {
        return Err(checkpoint.error(format!(
            "the VAE has {z} latent channels, the transformer takes {inputs} and gives {outputs}; expected z, 2 z + 4 and z"
        )));
    }
    if dit.image_dim.is_none() || dit.pos_embed_seq_len.is_some() {
        return Err(checkpoint.error("Animate-2 has a branch for one image of CLIP, as Wan2.1's I2V has; this transformer has not"));
    }
    let (frames, pixels) = (vae.frames_per_latent(), vae.pixels_per_latent());
    if (frames, pixels) != (4, 8) || dit.patch_size != [1, 2, 2] {
        return Err(Error::Unsupported(format!(
            "a VAE of {frames}x{pixels}x{pixels} with patches of {:?}; Animate-2 needs 4x8x8 and [1, 2, 2]",
            dit.patch_size
        )));
    }
    Ok(())
}

impl Animation2 {
    /// The driving video at the model's rate.
    fn played(&self) -> Result<Frames> {
        self.driving.clone().at_fps(ANIMATE_2_FPS)
    }
}

impl Animate2Request {
    /// Frames made at once, 4n + 1. Default: 81, which the model was trained with. Each segment but the first begins with the last frame of the one before.
    pub fn segment_frames(mut self, frames: usize) -> Self {
        self.task.segment_frames = frames;
        self
    }

    /// How many frames to make at most, 1 or more. Default: as many as the driving video has.
    pub fn num_frames(mut self, frames: usize) -> Self {
        self.task.num_frames = Some(frames);
        self
    }

    /// What goes with the driving video, for the model to know it by. Default: that of the official release.
    pub fn driving_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.task.driving_prompt = prompt.into();
        self
    }

    /// A number that is added to the scores of the first four generated frames, so that other frames look at them less where it is negative. Default:
    /// that of the official release, -1.3 for the distilled model and 0 for the base. diffusers has none: 0.
    pub fn log_scale(mut self, scale: f32) -> Self {
        self.task.log_scale = Some(scale);
        self
    }

    /// Whether the pass that guidance leads away from leaves out the tenth block, as in the official release and in diffusers; ComfyUI does not.
    /// Default: yes.
    pub fn skip_block(mut self, skips: bool) -> Self {
        self.task.skips_block = skips;
        self
    }
}

impl Animate2Request {
    /// Whether what blocks keep of the driving video is kept in 8 bits, with a scale for each token: half as much memory, or traffic where the
    /// [plan](Plan::driving_cache) keeps it on the host; a quarter in [`Precision::F32`](crate::Precision::F32). Each number is off by 1/254 of the
    /// token's largest at most; keys and values are always computed anew of it in each step. Default: no.
    pub fn quantize_driving(mut self, quantizes: bool) -> Self {
        self.task.quantizes = quantizes;
        self
    }
}

impl Task for Animation2 {
    type Pipeline = Animate2Pipeline;

    fn pipeline(&self) -> &Animate2Pipeline {
        &self.pipeline
    }

    fn on(self, pipeline: &Animate2Pipeline) -> Self {
        Self { pipeline: pipeline.clone(), ..self }
    }

    fn size(&self) -> Option<(u32, u32)> {
        Some(AREA)
    }

    fn canvas(&self, asked: Option<(u32, u32)>) -> Option<(u32, u32)> {
        Some(layout::canvas(self.reference.dimensions(), asked.unwrap_or(AREA)))
    }

    fn crop(&self, canvas: (usize, usize)) -> Crop {
        layout::crop(self.reference.dimensions(), canvas)
    }

    fn steps(&self) -> usize {
        self.pipeline.variant.steps()
    }

    fn driving_cache(&self) -> Option<DrivingCache> {
        Some(if self.quantizes { DrivingCache::Inputs } else { DrivingCache::Keys })
    }

    fn reference_frames(&self) -> usize {
        1
    }

    fn segments(&self) -> Result<Segments> {
        let frames = self.played()?.num_frames();
        let made = self.num_frames.unwrap_or(usize::MAX).min(frames);
        Ok(Segments::new(made, self.segment_frames, 1)?.within(frames, 0).mirrored())
    }

    fn halve_frames(&mut self) -> Option<String> {
        let frames = Some(self.segment_frames / 8 * 4 + 1).filter(|&frames| frames >= 5)?;
        self.segment_frames = frames;
        Some(format!("segments of {frames} frames"))
    }

    fn kin(&self, pixels: usize, _expert: Expert) -> Kin {
        Kin::i2v(pixels)
    }

    fn check(&self, _segments: &Segments) -> Result<()> {
        match self.log_scale.filter(|scale| !scale.is_finite()) {
            Some(scale) => Err(Error::Input(format!("a log scale of {scale}; it must be a finite number"))),
            None => Ok(()),
        }
    }

    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job> {
        // That it can be played was seen when it was cut into segments.
        let driving = self.played().unwrap_or_else(|_| self.driving.clone());
        let Self {
            pipeline: Animate2Pipeline { parts, variant, .. }, reference, driving_prompt, skips_block, quantizes, log_scale, ..
        } = self;
        let guidance_scale = settings.guidance_scale.unwrap_or(variant.guidance_scale());
        let prompts = settings.prompts(guidance_scale > 1.0, "");
        let log_scale = log_scale.unwrap_or(variant.log_scale());
        let inputs = Inputs { reference, driving, prompts, driving_prompt, guidance_scale, log_scale, skips_block, quantizes };
        Box::new(Animate2Job::new(parts, inputs, canvas, arrangement))
    }
}
