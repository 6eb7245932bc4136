//! A checkpoint saved in the layout of diffusers, in another form.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::models::{Sizes, clip, dit, umt5, vae};
use crate::partial_folder::PartialFolder;
use crate::weights::config::config_beside;
use crate::weights::{Converted, Coverage, Kind, Storage, Weights, WeightsReport, inspect_weights};

/// Saves a part of a checkpoint, such as a transformer, in the layout of diffusers, whatever layout and format it has.
///
/// The result is a folder with `config.json` and one file of weights, shards of 5 GB with their index, or GGUF for [`Storage::Q8_0`]. It can be
/// given to a [`Builder`](crate::Builder) as that part, or take the part's place in a checkpoint of diffusers. Numbers are read, converted and
/// written a run of rows at a time, so that memory stays small whatever the size.
///
/// ```no_run
/// use wan_animate::{Conversion, Storage};
///
/// # fn main() -> wan_animate::Result<()> {
/// let report = Conversion::new("wan2.2_animate_14B_Q5_K_M.gguf").storage(Storage::Fp8).write("transformer-fp8")?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done before `write`"]
pub struct Conversion<'a> {
    input: PathBuf,
    storage: Storage,
    max_shard_size: u64,
    overwrite: bool,
    cancel: Cancel,
    progress: Box<dyn FnMut(u64, u64) + 'a>,
}

impl<'a> Conversion<'a> {
    /// Of a file of weights, an index of shards, or a folder with one of them. A `config.json` of diffusers or transformers beside it is kept;
    /// where there is none, one is written with the sizes that the tensors tell.
    pub fn new(input: impl Into<PathBuf>) -> Self {
        Self {
            input: input.into(),
            storage: Storage::default(),
            max_shard_size: 5_000_000_000,
            overwrite: false,
            cancel: Cancel::new(),
            progress: Box::new(|_, _| {}),
        }
    }

    /// How numbers are saved. Default: [`Storage::Bf16`].
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Bytes of tensors in a safetensors file at most; one tensor may be more. Default: 5 GB.
    pub fn max_shard_size(mut self, bytes: u64) -> Self {
        self.max_shard_size = bytes;
        self
    }

    /// Whether an earlier checkpoint may be replaced. It stays as it is until the new one is whole. Default: no.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// A flag that stops the conversion soon after it is set.
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// What is to be called now and then with the bytes that are written and those that will be.
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Converts, and says what the result is. It is written to `OUTPUT.partial`, which becomes `output` once all of it is on the disk, and is removed
    /// where that fails.
    ///
    /// # Errors
    /// [`Error::Input`] where `output` is there already or has the input in it; [`Error::Weights`] where the input is damaged, is no part of a
    /// checkpoint, has tensors that its model does not know or lacks some, or has a number that the new form cannot hold;
    /// [`Error::Unsupported`] where a quantised form applies to none of its tensors; [`Error::Io`] where the disk is full or the system refuses;
    /// [`Error::Cancelled`].
    pub fn write(mut self, output: impl AsRef<Path>) -> Result<WeightsReport> {
        let output = output.as_ref();
        let weights = Weights::open(&self.input)?;
        let part = Part::of(&weights)?;
        let converted = Converted::new(&weights, self.storage);
        if matches!(self.storage, Storage::Fp8 | Storage::Q8_0) && !converted.is_quantized() {
            let (input, kind) = (self.input.display(), part.kind);
            return Err(Error::Unsupported(format!("{input}: {kind} without a matrix that could be {}; choose bf16", self.storage)));
        }
        self.check(output, &weights)?;
        let folder = PartialFolder::create(output)?;
        let (total, mut written) = (converted.bytes()?, 0);
        let mut watch = |bytes| {
            written += bytes;
            (self.progress)(written.min(total), total);
            if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        };
        let config = folder.partial().join("config.json");
        let files = match self.storage {
            Storage::Q8_0 => converted.write_gguf(folder.partial(), part.stem, part.architecture, &mut watch),
            _ => converted.write_safetensors(folder.partial(), part.stem, self.max_shard_size, &mut watch),
        };
        files.and_then(|()| write_json(&config, &part.config)).map_err(|error| nothing_kept(error, written))?;
        folder.publish()?;
        let mut reports = inspect_weights(output)?;
        reports.pop().ok_or_else(|| Error::weights(output, "nothing was written"))
    }

    /// Refuses to write over the input, or over what is not to be lost.
    fn check(&self, output: &Path, weights: &Weights) -> Result<()> {
        let fail = |message: &str| Err(Error::Input(format!("{}: {message}", output.display())));
        let files = weights.iter().map(|(_, info)| &*info.file).chain([weights.path()]);
        let partial = PartialFolder::name(output)?;
        if files.into_iter().any(|file| is_in(file, output) || is_in(file, &partial)) {
            return fail("the input is there; choose another place for the result");
        }
        if output.is_file() {
            return fail("this is a file; the result is a folder");
        }
        let has_files = output.is_dir() && fs::read_dir(output).map_err(Error::io(output))?.next().is_some();
        let is_checkpoint = ["config.json", "model_index.json"].iter().any(|name| output.join(name).exists());
        match (has_files, self.overwrite) {
            (true, false) => fail("there already; choose another name, or allow to overwrite it (example: --force)"),
            (true, true) if !is_checkpoint => fail("has no config.json, so it is not an earlier checkpoint, and will not be overwritten"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Conversion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Conversion").field("input", &self.input).field("storage", &self.storage).finish_non_exhaustive()
    }
}

/// What is written beside the tensors, and what files are called.
struct Part {
    kind: Kind,
    stem: &'static str,
    /// What GGUF files call it.
    architecture: &'static str,
    config: Value,
}

impl Part {
    /// Makes sure that a checkpoint is a whole part of a known kind.
    fn of(weights: &Weights) -> Result<Self> {
        let kind = Kind::of(weights);
        let Coverage { unknown, missing } = Coverage::of(weights);
        let fail = |message: String| Err(Error::weights(weights.path(), message));
        if let Some((name, near)) = unknown.first() {
            let near = near.as_ref().map_or_else(String::new, |near| format!(" (near `{near}`)"));
            return fail(format!("{} tensors are unknown to {kind}, the first is `{name}`{near}", unknown.len()));
        }
        if let Some(name) = missing.first() {
            return fail(format!("{kind} without {} of its tensors, the first is `{name}`; download it again", missing.len()));
        }
        let (stem, architecture, config) = match kind {
            Kind::Animate | Kind::Transformer => ("diffusion_pytorch_model", "wan", config::<dit::config::Config>(weights)?),
            Kind::Vae21 | Kind::Vae22 => ("diffusion_pytorch_model", "wan", config::<vae::config::Config>(weights)?),
            Kind::Umt5 => ("model", "t5encoder", config::<umt5::config::Config>(weights)?),
            Kind::Clip => ("model", "clip", config::<clip::config::Config>(weights)?),
            Kind::Lora | Kind::Unknown => {
                return fail(format!("this is {kind}; a transformer, text encoder, image encoder or VAE is wanted"));
            }
        };
        Ok(Self { kind, stem, architecture, config })
    }
}

/// The configuration beside a checkpoint, or what its tensors tell.
fn config<C: Sizes>(weights: &Weights) -> Result<Value> {
    match config_beside(weights)?.filter(C::is_described) {
        Some(json) => Ok(json),
        None => Ok(C::detect(weights)?.to_json()),
    }
}

fn write_json(path: &Path, json: &Value) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = File::create_new(path)?;
        writeln!(file, "{json:#}")?;
        file.sync_all()
    };
    write().map_err(Error::io(path))
}

/// Whether a file, or what a link of this name leads to, lies in a folder.
fn is_in(file: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let place = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [file, place].into_iter().filter_map(|path| path.canonicalize().ok()).any(|path| path.starts_with(&folder))
}

/// Says of a failure of the disk how far it went.
fn nothing_kept(error: Error, written: u64) -> Error {
    match error {
        Error::Io { path, source } => {
            let message = format!("{source}, after {written} bytes; what was written has been removed");
            Error::Io { path, source: io::Error::new(source.kind(), message) }
        }
        error => error,
    }
}
