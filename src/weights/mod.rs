//! Checkpoints on disk: opened by mapping, indexed by name, read tensor by tensor, with a word on every tensor that is missing or left over.

mod blocks;
pub mod config;
mod convert;
mod decode;
mod encode;
mod encoding;
mod entry;
mod foreign;
mod gguf;
mod gguf_header;
mod inspect;
mod kind;
mod locate;
mod lora;
mod map;
pub mod names;
mod pickle;
mod pth;
mod quantized;
mod quantized_view;
mod rotation;
mod safetensors;
mod schema;
mod storage;
mod stored;
mod view;
mod zip;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use blocks::Block;
pub(crate) use convert::{Converted, Watch};
pub use encoding::Encoding;
pub use gguf::Vocabulary;
pub use inspect::{WeightsReport, inspect_weights};
pub use kind::Kind;
pub use locate::checkpoints;
pub(crate) use locate::is_plain_name;
pub use lora::{Lora, LowRank};
pub(crate) use map::map;
pub use quantized_view::Quantized;
pub use safetensors::{NewTensor, write_safetensors};
pub use schema::Coverage;
pub use storage::Storage;
pub use stored::TensorInfo;
pub use view::TensorView;

use entry::{Entry, Metadata};
use names::Table;
use stored::Tensor;

use crate::digest::Digest;
use crate::{Error, Result};

/// What ComfyUI's single files put before every name of the transformer.
const SINGLE_FILE: &str = "model.diffusion_model.";

/// A checkpoint: the tensors of one file, or of a folder's shards, by name.
///
/// Files are memory-mapped, so opening reads nothing but their headers, and what is not asked for never leaves the disk. They must not be
/// changed while the checkpoint is open.
pub struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    metadata: Metadata,
    layout: Option<&'static Table>,
}

impl Weights {
    /// Opens a component's folder (such as `transformer/`), a file, or a `.safetensors.index.json` that lists shards.
    ///
    /// A file may be safetensors, what `torch.save` wrote (nothing in it is executed), or GGUF; its content decides, not its name.
    /// A folder without safetensors files may hold one `.gguf`, `.bin`, `.pth`, `.pt` or `.ckpt` file instead.
    /// Of a folder with several files the one without a variant in its name is taken (`model.safetensors` before `model.fp16.safetensors`).
    /// Every header is checked and every shard's length compared with it.
    ///
    /// # Errors
    /// [`Error::Weights`] where a file is damaged, cut short, missing or contradicts the index; [`Error::Io`] where it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = locate::checkpoint(path.as_ref())?;
        let mut weights = Self { path, tensors: BTreeMap::new(), metadata: Metadata::new(), layout: None };
        if weights.path.extension().is_some_and(|extension| extension == "json") {
            weights.add_shards()?;
        } else {
            weights.add_file(&weights.path.clone())?;
        }
        quantized::attach_scales(&weights.path, &mut weights.tensors, &weights.metadata)?;
        weights.rename()?;
        Ok(weights)
    }

    /// Gives every tensor the name, and where needed the shape, that it has in diffusers' layout. Unknown ones keep theirs.
    fn rename(&mut self) -> Result<()> {
        let stored = std::mem::take(&mut self.tensors);
        for (name, tensor) in stored {
            let name = name.strip_prefix(SINGLE_FILE).map(String::from).unwrap_or(name);
            self.insert(name, tensor)?;
        }
        self.layout = Table::of(self);
        let Some(table) = self.layout else {
            return Ok(());
        };
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            let Some(names) = table.to_diffusers(&name) else {
                self.insert(name, tensor)?;
                continue;
            };
            for (part, new) in names.iter().enumerate() {
                let mut tensor = tensor.part(part, names.len()).ok_or_else(|| {
                    let shape = &tensor.info.shape;
                    Error::tensor(&tensor.info.file, &name, format!("shape {shape:?} cannot be cut into {}", names.len()))
                })?;
                if table.is_squeezed(new) {
                    tensor.squeeze();
                }
                self.insert(new.clone(), tensor)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, name: String, tensor: Tensor) -> Result<()> {
        match self.tensors.entry(name) {
            btree_map::Entry::Vacant(place) => {
                place.insert(tensor);
                Ok(())
            }
            btree_map::Entry::Occupied(place) => {
                let message = match &place.get().info.file {
                    first if *first == tensor.info.file => "it is in this file twice".into(),
                    first => format!("it is in {} too", first.display()),
                };
                Err(Error::tensor(&tensor.info.file, place.key(), message))
            }
        }
    }

    fn add_shards(&mut self) -> Result<()> {
        let index = locate::Index::read(&self.path)?;
        for shard in index.shards() {
            if !shard.exists() {
                return Err(Error::weights(&shard, format!("missing, but listed in {}; download it again", self.path.display())));
            }
            self.add_file(&shard)?;
        }
        for (name, shard) in &index.weight_map {
            let found = self.tensors.get(name).and_then(|tensor| tensor.info.file.file_name());
            if found != Some(shard.as_ref()) {
                let shard = self.path.with_file_name(shard);
                return Err(Error::tensor(&shard, name, format!("not in this file, where {} has it", self.path.display())));
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let map = Arc::new(map(path)?);
        let file: Arc<Path> = path.into();
        let (entries, metadata) = read_header(path, &map)?;
        self.metadata.extend(metadata);
        for entry in entries {
            let tensor = Tensor::new(&file, &map, &entry);
            self.insert(entry.name, tensor)?;
        }
        Ok(())
    }

    /// Merges a LoRA: its tensors' elements are from now on those with the LoRA's changes, in f32. Several add up.
    ///
    /// # Errors
    /// [`Error::Input`] for a weight of the LoRA out of range; [`Error::Weights`] naming the LoRA's tensors that are damaged, do not fit or match
    /// nothing here. Nothing is merged then.
    pub fn add_lora(&mut self, lora: &Lora) -> Result<()> {
        for (name, delta) in lora.deltas(self)? {
            if let Some(tensor) = self.tensors.get_mut(&name) {
                tensor.deltas.push(delta);
            }
        }
        Ok(())
    }

    /// A tensor to be kept without the checkpoint, its elements found to be finite.
    fn own(&self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.missing(name, &[]))?;
        self.tensor(name, &tensor.info.shape)?.check_finite()?;
        tensor.part(0, 1).ok_or_else(|| self.missing(name, &[]))
    }

    /// Of every tensor's name, form, shape and first bytes: enough to tell checkpoints apart without reading them.
    pub(crate) fn digest(&self) -> Digest {
        const BYTES: usize = 64;
        let mut digest = Digest::new();
        for (name, tensor) in &self.tensors {
            digest.add(format!("{name} {} {:?}", tensor.info.encoding, tensor.info.shape).as_bytes());
            let stored = tensor.stored();
            digest.add(&stored[..stored.len().min(BYTES)]);
        }
        digest
    }

    /// The file that was opened: the index where there are shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.info))
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// What is said of a tensor, or `None` where there is none. Does not count as use.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.info)
    }

    /// The extents of the tensor `name`, which must have N of them: how a model's sizes are found. Does not count as use.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another number of extents.
    pub fn extents<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let info =
            self.info(name).ok_or_else(|| Error::tensor(&self.path, name, "missing; without it the model's sizes cannot be told"))?;
        let wrong = |_| Error::tensor(&info.file, name, format!("shape {:?}; {N} extents were expected", info.shape));
        info.shape.as_slice().try_into().map_err(wrong)
    }

    /// How many tensors there are named by the numbers from 0 on.
    pub fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&i| self.contains(&name(i))).count()
    }

    /// The tensor `name`, which must have these extents. Counts as its use.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let (name, tensor) = self.claim(name, shape)?;
        let (dtype, bytes) = tensor.elements();
        Ok(TensorView { name, file: &tensor.info.file, dtype, shape: &tensor.info.shape, bytes })
    }

    /// [`Weights::tensor`] without reading it: what would have to be converted is zeros.
    pub fn outline(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let (name, tensor) = self.claim(name, shape)?;
        let (dtype, bytes) = tensor.outline();
        Ok(TensorView { name, file: &tensor.info.file, dtype, shape: &tensor.info.shape, bytes })
    }

    /// The tensor `name`, which must have these extents, as it is stored; `None` where that form is none to compute with, or LoRAs change it in
    /// more than low rank. Counts as its use. Where it is not to be `read`, zeros stand for what does not lie in the file as it is.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another shape.
    pub fn quantized(&self, name: &str, shape: &[usize], read: bool) -> Result<Option<Quantized<'_>>> {
        Ok(self.claim(name, shape)?.1.quantized(read))
    }

    /// The tensor `name` of these extents, which from now on is used.
    fn claim(&self, name: &str, shape: &[usize]) -> Result<(&str, &Tensor)> {
        let (name, tensor) = self.tensors.get_key_value(name).ok_or_else(|| self.missing(name, shape))?;
        let info = &tensor.info;
        if info.shape != shape {
            return Err(Error::tensor(
                &info.file,
                name,
                format!("expected shape {shape:?}, found {:?}: the configuration does not belong to these weights", info.shape),
            ));
        }
        tensor.used.store(true, Ordering::Relaxed);
        Ok((name, tensor))
    }

    /// The elements of the tensor `name`, which must have these extents, in f32. Counts as its use.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing, has another shape, or holds a NaN or an infinity.
    pub fn to_f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensor(name, shape)?.to_f32()
    }

    /// Counts as used, without reading, every tensor whose name begins with `prefix`: what checkpoints carry and models do not need.
    pub fn ignore(&self, prefix: &str) {
        for (_, tensor) in self.tensors.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix)) {
            tensor.used.store(true, Ordering::Relaxed);
        }
    }

    /// To be called when a model has loaded: makes sure that every tensor was used.
    ///
    /// # Errors
    /// [`Error::Weights`] that counts the others and lists the first eight.
    pub fn finish(&self) -> Result<()> {
        let unused: Vec<_> = self.tensors.iter().filter(|(_, tensor)| !tensor.used.load(Ordering::Relaxed)).collect();
        let Some((_, first)) = unused.first() else {
            return Ok(());
        };
        let mut names: Vec<_> = unused.iter().take(8).map(|(name, _)| format!("`{name}`")).collect();
        if unused.len() > names.len() {
            names.push("..".into());
        }
        let near = Coverage::of(self).unknown.into_iter().find_map(|(name, near)| near.map(|near| format!(" (`{name}` is near `{near}`)")));
        let near = near.unwrap_or_default();
        let message = format!("{} of {} tensors are unknown to this model: {}{near}", unused.len(), self.tensors.len(), names.join(", "));
        Err(Error::weights(&first.info.file, message))
    }

    fn missing(&self, name: &str, shape: &[usize]) -> Error {
        let origin = self.layout.and_then(|table| table.to_origin(name));
        let there = origin.map_or_else(String::new, |origin| format!(" (in this file: `{}`)", origin.name));
        Error::tensor(&self.path, name, format!("missing{there}; it should have shape {shape:?}"))
    }

    /// Which format the file has; of shards, the first.
    pub fn format(&self) -> &'static str {
        match self.tensors.values().next().map(Tensor::file_bytes) {
            Some(bytes) if is_gguf(bytes) => "GGUF",
            Some(bytes) if is_zip(bytes) => "torch archive",
            _ => "safetensors",
        }
    }

    /// What the file says about itself under this name: text that safetensors files may carry beside their tensors.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Which layout's names the file has, where they are not diffusers' own. Here every tensor goes by diffusers' name in any case.
    pub fn layout(&self) -> Option<&'static str> {
        self.layout.map(|table| table.name)
    }

    /// The vocabulary that a GGUF file has beside its tensors, or `None` where it has none or is of another format.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is damaged.
    pub fn vocabulary(&self) -> Result<Option<Vocabulary>> {
        match self.tensors.values().next() {
            Some(tensor) if is_gguf(tensor.file_bytes()) => gguf::vocabulary(&tensor.info.file, tensor.file_bytes()),
            _ => Ok(None),
        }
    }

    /// A tensor's bytes as they are in the file, such as a tokenizer's that came with it, or `None` where there is no such tensor. Counts as its
    /// use.
    pub fn stored(&self, name: &str) -> Option<&[u8]> {
        let tensor = self.tensors.get(name)?;
        tensor.used.store(true, Ordering::Relaxed);
        Some(tensor.stored())
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Weights").field("path", &self.path).field("tensors", &self.tensors.len()).finish()
    }
}

/// Reads a file's header in whatever format its content is.
fn read_header(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, Metadata)> {
    let bare = |entries| (entries, Metadata::new());
    match bytes {
        _ if is_zip(bytes) => pth::read(path, bytes).map(bare),
        _ if is_gguf(bytes) => gguf::read(path, bytes).map(bare),
        _ if bytes.starts_with(&pth::LEGACY) => {
            Err(Error::Unsupported(format!("{}: written by torch before version 1.6; load and save it again with torch", path.display())))
        }
        _ => safetensors::read(path, bytes),
    }
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GGUF")
}
