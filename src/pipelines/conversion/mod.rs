//! A checkpoint saved in the layout of diffusers, in another form.

mod layout;
mod model_index;
mod part;

use std::path::Path;
use std::{fmt, fs, io};

use layout::Layout;
use part::Part;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::models::{inspect::WeightsReport, inspect::inspect_weights};
use crate::partial_folder::PartialFolder;
use crate::weights::storage::Storage;

/// Saves a checkpoint, or a part of one such as a transformer, in the layout of diffusers, whatever layout and format it has.
///
/// A part becomes a folder with `config.json` and one file of weights, shards of 5 GB with their index, or GGUF for [`Storage::Q8_0`]. It can be
/// given to a [`Builder`](crate::Builder) as that part, or take the part's place in a checkpoint of diffusers. Numbers are read, converted and
/// written a run of rows at a time, so that memory stays small whatever the size.
///
/// Of a folder in the layout of diffusers all parts are converted, and the other files copied. An official release becomes such a folder: what
/// diffusers wants beside its files is written too, and the rules of diffusers apply from then on (see
/// [`Builder::checkpoint`](crate::Builder::checkpoint)). LoRAs stay where they are, and so does a vocabulary in a GGUF file: give the result a
/// tokenizer.
///
/// ```no_run
/// use wan_animate::{Conversion, Storage};
///
/// # fn main() -> wan_animate::Result<()> {
/// let reports = Conversion::new("wan2.2_animate_14B_bf16.safetensors").storage(Storage::Fp8).write("transformer-fp8")?;
/// println!("{}", reports[0]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done before `write`"]
pub struct Conversion<'a> {
    input: Location,
    storage: Storage,
    max_shard_size: u64,
    overwrite: bool,
    cancel: Cancel,
    progress: Box<dyn FnMut(u64, u64) + Send + 'a>,
}

impl<'a> Conversion<'a> {
    /// Of a file of weights, an index of shards, a folder with one of them, or a whole checkpoint's folder. A `config.json` of diffusers or transformers beside it is kept;
    /// where there is none, one is written with the sizes that the tensors tell.
    pub fn new(input: impl Into<Location>) -> Self {
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
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + Send + 'a) -> Self {
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
    pub fn write(mut self, output: impl AsRef<Path>) -> Result<Vec<WeightsReport>> {
        let output = output.as_ref();
        let layout = Layout::of(&self.input)?;
        let parts = layout.parts.iter().map(|(name, weights)| Part::of(name, weights, self.storage)).collect::<Result<Vec<_>>>()?;
        if matches!(self.storage, Storage::Fp8 | Storage::Q8_0) && !parts.iter().any(|part| part.converted.is_quantized()) {
            let (input, model) = (self.input.path().display(), parts[0].model);
            return Err(Error::Unsupported(format!("{input}: {model} without a matrix that could be {}; choose bf16", self.storage)));
        }
        self.check(output, &layout)?;
        let folder = PartialFolder::create(output)?;
        let (total, mut written) = (parts.iter().map(|part| part.converted.bytes()).sum::<Result<u64>>()?, 0);
        let mut watch = |bytes| {
            written += bytes;
            (self.progress)(written.min(total), total);
            if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        };
        let mut write = || {
            layout.write(folder.partial())?;
            parts.iter().try_for_each(|part| part.write(folder.partial(), self.max_shard_size, &mut watch))
        };
        write().map_err(|error| nothing_kept(error, written))?;
        folder.publish()?;
        inspect_weights(output)
    }

    /// Refuses to write over the input, or over what is not to be lost.
    fn check(&self, output: &Path, layout: &Layout) -> Result<()> {
        let fail = |message: &str| Err(Error::Input(format!("{}: {message}", output.display())));
        let weights = layout.parts.iter().flat_map(|(_, weights)| weights.iter().map(|(_, info)| &*info.file).chain([weights.path()]));
        let mut files = weights.chain(layout.copies.iter().map(|(file, _)| file.path()));
        let partial = PartialFolder::name(output)?;
        if files.any(|file| is_in(file, output) || is_in(file, &partial)) {
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

/// Whether a file, or what a link of this name leads to, lies in a folder.
fn is_in(file: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let place = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [file, place].into_iter().filter_map(|path| path.canonicalize().ok()).any(|path| path.starts_with(&folder))
}

/// Says of a failure of the disk how far it went.
fn nothing_kept(error: Error, written: u64) -> Error {
    match error {
        Error::Io { path, error } => {
            let message = format!("{error}, after {written} bytes; what was written has been removed");
            Error::Io { path, error: io::Error::new(error.kind(), message) }
        }
        error => error,
    }
}
