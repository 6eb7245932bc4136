//! What a checkpoint's folder has beside its parts' weights, in the layout of diffusers.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::model_index::{Index, image_processor, scheduler};
use crate::error::{Error, Result};
use crate::json::read;
use crate::location::Location;
use crate::models::{clip, dit, registry::model_of, registry::open, spec::Sizes, umt5, vae};
use crate::partial_file::sync_parent;
use crate::pipelines::checkpoint::open::VAES;
use crate::pipelines::checkpoint::release::{self, Release};
use crate::weights::{checkpoint::Weights, config::ModelIndex, locate::checkpoints, locate::is_plain_name};

/// The files of a tokenizer.
const TOKENIZER: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model"];

/// A checkpoint, or a part of one.
#[derive(Default)]
pub(super) struct Layout {
    /// Weights by the folder that they are saved in; a part by itself has none.
    pub(super) parts: Vec<(String, Weights)>,
    /// What is copied: from where, to where.
    pub(super) copies: Vec<(Location, String)>,
    pub(super) texts: Vec<(&'static str, Value)>,
}

impl Layout {
    /// Of a folder in the layout of diffusers, with all its components; of an official release, with what diffusers wants beside its files; or of
    /// a part.
    pub(super) fn of(input: &Location) -> Result<Self> {
        if let Some(name) = ModelIndex::name_in(input) {
            return Self::diffusers(input, name);
        }
        if input.is_dir() {
            let release = Release::open(input)?;
            if release.is_whole() {
                return Self::release(input, release);
            }
        }
        Ok(Self { parts: vec![(String::new(), open(input.clone())?)], ..Self::default() })
    }

    /// Writes what is no weights into a folder, and makes the parts' folders.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let names = self.parts.iter().map(|(name, _)| name.as_str());
        let files = self.copies.iter().map(|(_, to)| to.as_str()).chain(self.texts.iter().map(|(to, _)| *to));
        for parent in names.chain(files.filter_map(|file| Some(file.rsplit_once('/')?.0))) {
            let path = folder.join(parent);
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
        }
        for (from, to) in &self.copies {
            write_file(&folder.join(to), &read(from)?)?;
        }
        self.texts.iter().try_for_each(|(to, json)| write_json(&folder.join(to), json))
    }

    /// With an index of this name.
    fn diffusers(input: &Location, file: &'static str) -> Result<Self> {
        let index = ModelIndex::open(input)?;
        let mut layout = Self::default();
        layout.copies.push((input.join(file), file.into()));
        for name in index.components() {
            if !is_plain_name(name) {
                return Err(Error::weights(input.join(file).path(), format!("`{name}` is not the name of a folder beside it")));
            }
            let folder = input.join(name);
            if checkpoints(&folder)?.is_empty() {
                layout.copy(&folder, name, |_| true)?;
            } else {
                layout.parts.push((name.into(), open(folder)?));
            }
        }
        match layout.parts.is_empty() {
            true => Err(Error::weights(input.path(), format!("no component that {file} lists has weights"))),
            false => Ok(layout),
        }
    }

    /// Adds files of a folder.
    fn copy(&mut self, folder: &Location, name: &str, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
        let files = folder.names()?.into_iter().filter(|file| is_wanted(file) && folder.join(file).is_file());
        self.copies.extend(files.map(|file| (folder.join(&file), format!("{name}/{file}"))));
        Ok(())
    }

    fn release(input: &Location, mut release: Release) -> Result<Self> {
        let missing = |what: &str| Error::weights(input.path(), format!("there is no {what} in this folder: convert its files one by one"));
        let transformer = release.transformer(&[&dit::spec::ANIMATE, &dit::spec::TRANSFORMER])?.ok_or_else(|| missing("transformer"))?;
        if dit::spec::is_animate_2(&transformer) {
            return Err(Error::weights(
                input.path(),
                "whether this is Animate-2's base model or the distilled one is not told: convert its files one by one",
            ));
        }
        let (vae, text_encoder) = (release.take(&VAES)?, release.take(&[&umt5::spec::UMT5])?);
        let (vae, text_encoder) = (vae.ok_or_else(|| missing("VAE"))?, text_encoder.ok_or_else(|| missing("text encoder"))?);
        let transformer_2 = release.transformer_2();
        let sizes = dit::config::Config::of(&transformer)?;
        let vae_sizes = vae::config::Config::of(&vae)?;
        let mut layout = Self::default();
        let mut index = Index::new(&transformer, &sizes)?;
        index.add("scheduler", "diffusers", "UniPCMultistepScheduler");
        layout.texts.push(("scheduler/scheduler_config.json", scheduler(release::shift(&sizes, transformer_2.is_some())?)));
        index.add("tokenizer", "transformers", "T5TokenizerFast");
        let tokenizer = release.tokenizer().ok_or_else(|| missing("tokenizer (google/umt5-xxl/)"))?;
        layout.copy(&tokenizer, "tokenizer", |file| TOKENIZER.contains(&file))?;
        index.add("text_encoder", "transformers", "UMT5EncoderModel");
        index.add("vae", "diffusers", "AutoencoderKLWan");
        if model_of(&transformer) == Some(&dit::spec::TRANSFORMER) {
            index.set("expand_timesteps", json!(vae_sizes.is_residual));
        }
        if sizes.image_dim.is_some() {
            let encoder = release.take(&[&clip::spec::CLIP])?.ok_or_else(|| missing("image encoder"))?;
            index.add("image_encoder", "transformers", "CLIPVisionModel");
            index.add("image_processor", "transformers", "CLIPImageProcessor");
            let clip = clip::config::Config::of(&encoder)?;
            layout.texts.push(("image_processor/preprocessor_config.json", image_processor(clip.image_size)));
            layout.parts.push(("image_encoder".into(), encoder));
        }
        if let Some(low) = transformer_2 {
            index.add("transformer_2", "diffusers", "WanTransformer3DModel");
            index.set("boundary_ratio", json!(release::boundary(&sizes, &vae_sizes)?));
            layout.parts.push(("transformer_2".into(), low));
        }
        layout.texts.push(("model_index.json", Value::Object(index.0)));
        layout.parts.extend([("transformer".into(), transformer), ("text_encoder".into(), text_encoder), ("vae".into(), vae)]);
        Ok(layout)
    }
}

/// Writes a JSON file, and waits until it is on the disk.
pub(super) fn write_json(path: &Path, json: &Value) -> Result<()> {
    write_file(path, format!("{json:#}\n").as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))?;
    sync_parent(path)
}
