//! From a folder or single files to the opened parts of a checkpoint, whatever its layout.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::json::read;
use crate::location::Location;
use crate::models::registry::{model_of, name_of, open, open_all};
use crate::models::{clip, dit, spec::Sizes, spec::Spec, taehv, umt5, vae};
use crate::pipelines::checkpoint::parts::{Encoders, Files, ImageEncoder};
use crate::pipelines::checkpoint::release::{self, Release};
use crate::pipelines::checkpoint::{rules::Rules, source::Part, source::Source, variant::Animate2Variant};
use crate::schedulers::{Scheduler, SchedulerConfig};
use crate::tokenizer::Tokenizer;
use crate::video::clip_image::ClipImageConfig;
use crate::weights::lora::is_lora;
use crate::weights::{checkpoint::Weights, config::ModelIndex};

const ANIMATE_2: &str = "`Animate2Pipeline` (example `animate2`)";

/// Which pipeline, and which example, runs a class of `model_index.json`.
const CLASSES: [(&str, &str); 5] = [
    ("WanAnimatePipeline", "`AnimatePipeline` (examples `animate` and `replace`)"),
    ("WanAnimate2ModularPipeline", ANIMATE_2),
    ("WanAnimate2DistilledModularPipeline", ANIMATE_2),
    ("WanPipeline", "`VideoPipeline` (examples `t2v` and `ti2v`)"),
    ("WanImageToVideoPipeline", "`VideoPipeline` (example `i2v`)"),
];

pub(crate) static VAES: [&Spec; 2] = [&vae::spec::VAE_2_1, &vae::spec::VAE_2_2];

/// Where a file of each model belongs.
static PLACES: [(&Spec, &str); 7] = [
    (&dit::spec::ANIMATE, "use `AnimatePipeline` (examples `animate` and `replace`)"),
    (
        &dit::spec::TRANSFORMER,
        "use `VideoPipeline` (examples `t2v`, `i2v` and `ti2v`), or `Animate2Pipeline` (example `animate2`) if it is Animate-2",
    ),
    (&umt5::spec::UMT5, "give it as `text_encoder`"),
    (&clip::spec::CLIP, "give it as `image_encoder`"),
    (&vae::spec::VAE_2_1, "give it as `vae`"),
    (&vae::spec::VAE_2_2, "give it as `vae`"),
    (&taehv::spec::TAEHV, "give it as `preview_decoder` or `draft_decoder`"),
];

/// Which pipeline a checkpoint is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Animate,
    Animate2,
    Video,
}

impl Family {
    fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Animate => &["WanAnimatePipeline"],
            Self::Animate2 => &["WanAnimate2ModularPipeline", "WanAnimate2DistilledModularPipeline"],
            Self::Video => &["WanPipeline", "WanImageToVideoPipeline"],
        }
    }

    fn model(self) -> &'static Spec {
        match self {
            Self::Animate => &dit::spec::ANIMATE,
            Self::Animate2 | Self::Video => &dit::spec::TRANSFORMER,
        }
    }
}

/// An opened part that has a configuration.
type Opened<C> = (Weights, C);

/// A checkpoint, opened, not loaded.
pub(crate) struct Checkpoint {
    path: PathBuf,
    /// The only transformer, or the high-noise expert.
    pub transformer: Opened<dit::config::Config>,
    /// The low-noise expert, and where it takes over: a noise level in [0, 1].
    pub low: Option<(Opened<dit::config::Config>, f64)>,
    /// Whether a first frame is given by a timestep of its own, where the checkpoint says.
    pub expand_timesteps: Option<bool>,
    /// Of Animate-2, where the index says.
    pub variant: Option<Animate2Variant>,
    pub files: Files,
}

impl Checkpoint {
    /// Opens all parts that a pipeline of the family needs. Everything that can be wrong without reading weights is looked at here.
    pub fn open(source: &Source, family: Family) -> Result<Self> {
        if source.is_empty() {
            return Err(Error::Input("no checkpoint was given: set `checkpoint`, or `transformer` and the other parts".into()));
        }
        let mut opener = Opener { source, base: Base::open(source.folder(), family)?, family };
        let transformer = opener.transformer()?;
        if family == Family::Video && dit::spec::is_animate_2(&transformer.0) {
            return Err(Error::weights(transformer.0.path(), format!("this is Animate-2's transformer: use {ANIMATE_2}")));
        }
        let image_encoder = transformer.1.image_dim.map(|_| opener.image_encoder()).transpose()?;
        let vae = opener.required::<vae::config::Config>(Part::Vae, &VAES)?;
        let text_encoder = opener.required::<umt5::config::Config>(Part::TextEncoder, &[&umt5::spec::UMT5])?;
        let tokenizer = opener.tokenizer(&text_encoder.0)?;
        let low = opener.low(&transformer.1, &vae.1)?;
        let expand_timesteps = opener.expand_timesteps(&vae.1);
        let scheduler = opener.scheduler(&transformer.1, low.is_some())?;
        let rules = opener.base.rules();
        let variant = opener.base.variant();
        let text_encoder = (Arc::new(text_encoder.0), text_encoder.1);
        let tiny = |part| opener.source.get(part).map(|file| tiny_decoder(file, &vae.1)).transpose();
        let files = Files {
            scheduler,
            rules,
            preview_decoder: tiny(Part::PreviewDecoder)?,
            draft_decoder: tiny(Part::DraftDecoder)?,
            vae,
            encoders: Encoders {
                tokenizer,
                text_encoder,
                text_len: transformer.1.text_len,
                cleans: family != Family::Animate2,
                image_encoder,
            },
        };
        Ok(Self { path: source.path().into(), transformer, low, expand_timesteps, variant, files })
    }

    /// What is wrong with the checkpoint as a whole.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::weights(&self.path, message)
    }
}

/// What parts that are not given by themselves are looked for in.
enum Base {
    Nothing,
    Diffusers { folder: Location, index: ModelIndex },
    Release(Box<Release>),
}

impl Base {
    fn open(folder: Option<&Location>, family: Family) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self::Nothing) };
        let path = folder.path();
        if !folder.is_dir() {
            let message = match folder.exists() {
                true => "this is a file; a checkpoint is a folder: give single files as `transformer`, `vae` and so on",
                false => "there is no such folder; a checkpoint in the layout of diffusers or of the official release is expected",
            };
            return Err(Error::weights(path, message));
        }
        if ModelIndex::name_in(folder).is_none() {
            let release = Release::open(folder)?;
            return match release.names()[..] {
                [] => Err(Error::weights(path, "neither a model_index.json nor a file of weights is in this folder")),
                _ => Ok(Self::Release(Box::new(release))),
            };
        }
        let index = ModelIndex::open(folder)?;
        let class = index.class_name.as_str();
        if family.classes().contains(&class) {
            return Ok(Self::Diffusers { folder: folder.clone(), index });
        }
        let advice = CLASSES.iter().find(|(name, _)| *name == class).map_or_else(String::new, |(_, right)| format!(": use {right}"));
        let message = format!("its index says {class}, this pipeline runs {}{advice}", family.classes().join(" and "));
        Err(Error::weights(path, message))
    }

    /// Which Animate-2 the index says it is.
    fn variant(&self) -> Option<Animate2Variant> {
        match self {
            Self::Diffusers { index, .. } => Animate2Variant::of_blocks(index.text("_blocks_class_name")?),
            Self::Nothing | Self::Release(_) => None,
        }
    }

    /// Single files come from the official release, so its rules go with them.
    fn rules(&self) -> Rules {
        match self {
            Self::Diffusers { .. } => Rules::Diffusers,
            Self::Nothing | Self::Release(_) => Rules::Official,
        }
    }
}

/// Opens parts, those that were given by themselves first.
struct Opener<'a> {
    source: &'a Source,
    base: Base,
    family: Family,
}

impl Opener<'_> {
    /// A part from where it is, or `None` where it is nowhere.
    fn part<C: Sizes>(&mut self, part: Part, models: &[&'static Spec]) -> Result<Option<Opened<C>>> {
        if let Some(file) = self.source.get(part) {
            return single(file, models).map(Some);
        }
        let weights = match &mut self.base {
            Base::Nothing => return Ok(None),
            Base::Diffusers { folder, .. } => {
                let folder = folder.join(part.name());
                if self.family == Family::Animate2 && part == Part::Transformer {
                    let weights = open(folder)?;
                    let config = C::of(&weights)?;
                    return Ok(Some((weights, config)));
                }
                let config = C::read(&folder.join("config.json"))?;
                return Ok(Some((open(folder)?, config)));
            }
            Base::Release(release) => match part {
                Part::Transformer => release.transformer(models)?,
                Part::Transformer2 => release.transformer_2(),
                _ => release.take(models)?,
            },
        };
        weights.map(|weights| described(weights, models)).transpose()
    }

    fn required<C: Sizes>(&mut self, part: Part, models: &[&'static Spec]) -> Result<Opened<C>> {
        self.part(part, models)?.ok_or_else(|| self.missing(part, models[0]))
    }

    fn missing(&self, part: Part, model: &Spec) -> Error {
        let there = match &self.base {
            Base::Release(release) => {
                format!(" (there is {})", release.names().join(", "))
            }
            _ => String::new(),
        };
        let name = part.name();
        Error::weights(
            self.source.path(),
            format!("there is no {name}{there}: give {model} as `{name}` (examples: --{})", name.replace('_', "-")),
        )
    }

    fn transformer(&mut self) -> Result<Opened<dit::config::Config>> {
        self.dit(Part::Transformer)?.ok_or_else(|| self.missing(Part::Transformer, self.family.model()))
    }

    fn dit(&mut self, part: Part) -> Result<Option<Opened<dit::config::Config>>> {
        self.part(part, &[self.family.model()])
    }

    /// The second of two experts: where the checkpoint says, or where one is there.
    fn low(&mut self, high: &dit::config::Config, vae: &vae::config::Config) -> Result<Option<(Opened<dit::config::Config>, f64)>> {
        let boundary = match &self.base {
            Base::Diffusers { index, .. } => match index.number("boundary_ratio") {
                None => return Ok(None),
                Some(boundary) if (0.0..=1.0).contains(&boundary) => boundary,
                Some(boundary) => {
                    let message = format!("`boundary_ratio` is {boundary}; it must be in [0, 1]");
                    return Err(Error::weights(self.source.path(), message));
                }
            },
            _ => release::boundary(high, vae)?,
        };
        Ok(self.dit(Part::Transformer2)?.map(|low| (low, boundary)))
    }

    fn image_encoder(&mut self) -> Result<ImageEncoder> {
        let processor = match (&self.base, self.source.get(Part::ImageEncoder)) {
            // Animate-2's own pipeline makes CLIP's images without a processor.
            (Base::Diffusers { folder, .. }, _) if self.family != Family::Animate2 => {
                let file = folder.join("image_processor/preprocessor_config.json");
                Some(ClipImageConfig::from_json(file.path(), &read(&file)?)?)
            }
            _ => None,
        };
        let (weights, config): Opened<clip::config::Config> = self.required(Part::ImageEncoder, &[&clip::spec::CLIP])?;
        processor.as_ref().map_or(Ok(()), |processor| processor.check_crop(config.image_size as u32))?;
        Ok(ImageEncoder { weights: Arc::new(weights), config, processor })
    }

    /// From its own folder or file, or from what came with the text encoder.
    fn tokenizer(&self, text_encoder: &Weights) -> Result<Tokenizer> {
        let embedded = umt5::spec::tokenizer(text_encoder)?;
        let folder = match (self.source.get(Part::Tokenizer), &self.base) {
            (Some(given), _) => Some(given.clone()),
            (None, _) if embedded.is_some() && self.source.get(Part::TextEncoder).is_some() => None,
            (None, Base::Diffusers { folder, .. }) => Some(folder.join("tokenizer")),
            (None, Base::Release(release)) => release.tokenizer(),
            (None, Base::Nothing) => None,
        };
        match (folder, embedded) {
            (Some(folder), _) => Tokenizer::open(folder),
            (None, Some(tokenizer)) => Ok(tokenizer),
            (None, None) => {
                let message = "no tokenizer came with this text encoder: give the folder with tokenizer.json or spiece.model of \
                               google/umt5-xxl as `tokenizer` (examples: --tokenizer)";
                Err(Error::weights(text_encoder.path(), message))
            }
        }
    }

    fn expand_timesteps(&self, vae: &vae::config::Config) -> Option<bool> {
        match &self.base {
            Base::Diffusers { index, .. } => index.flag("expand_timesteps"),
            _ => Some(vae.is_residual),
        }
    }

    /// The checkpoint's own, or UniPC with the shift of the official configurations.
    fn scheduler(&self, transformer: &dit::config::Config, two_experts: bool) -> Result<SchedulerConfig> {
        if let Base::Diffusers { folder, .. } = &self.base {
            return SchedulerConfig::open(&folder.join("scheduler/scheduler_config.json"));
        }
        let solver = if self.family == Family::Animate2 { Scheduler::DpmPp2M } else { Scheduler::UniPc };
        Ok(SchedulerConfig::official(solver).with_shift(release::shift(transformer, two_experts)?))
    }
}

/// A part from a file or folder of its own, or from an all-in-one file.
fn single<C: Sizes>(file: &Location, models: &[&'static Spec]) -> Result<Opened<C>> {
    let mut parts = open_all(file.clone())?;
    let wanted = parts.iter().position(|part| model_of(part).is_some_and(|found| models.contains(&found)));
    described(parts.swap_remove(wanted.unwrap_or(0)), models)
}

/// A tiny decoder that can stand in for that of a VAE.
fn tiny_decoder(file: &Location, vae: &vae::config::Config) -> Result<Opened<taehv::config::Config>> {
    let (weights, config): Opened<taehv::config::Config> = single(file, &[&taehv::spec::TAEHV])?;
    let own = [config.latent_channels, config.frames_per_latent(), config.pixels_per_latent()];
    let wanted = [vae.z_dim, vae.frames_per_latent(), vae.pixels_per_latent()];
    match own == wanted {
        true => Ok((weights, config)),
        false => {
            let words =
                |[channels, frames, pixels]: [usize; 3]| format!("{channels} channels, {frames} frames and {pixels} pixels a latent");
            let message = format!(
                "this tiny decoder is for {}, where the VAE has {}: taew2_1 goes with VAE 2.1, taew2_2 with VAE 2.2",
                words(own),
                words(wanted)
            );
            Err(Error::weights(file.path(), message))
        }
    }
}

/// An opened part with its configuration.
fn described<C: Sizes>(weights: Weights, models: &[&'static Spec]) -> Result<Opened<C>> {
    let found = model_of(&weights);
    if found.is_some_and(|found| models.contains(&found)) {
        let config = C::of(&weights)?;
        return Ok((weights, config));
    }
    let place = PLACES.iter().find(|(model, _)| Some(*model) == found).map(|&(_, place)| place);
    let place = place.or(is_lora(&weights).then_some("give it as `lora`")).map_or_else(String::new, |place| format!(": {place}"));
    Err(Error::weights(weights.path(), format!("this is {}, where {} is wanted{place}", name_of(&weights), models[0])))
}
