//! A checkpoint: the tensors of one file, or of a folder's shards.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{
    claim::Claim, entry::Entry, entry::Metadata, gguf, kin::Kin, locate, names::Table, pth, safetensors, scales::SINGLE_FILE,
    scales::attach_scales, stored::Stored, stored::TensorInfo, tensor::Tensor, view::TensorView,
};
use crate::content::Content;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::vocabulary::Vocabulary;

/// A name that may be meant at a distance of this part of its length.
const NEAR: f64 = 0.75;

/// So many bytes tell a file's format.
const MAGIC: usize = 16;

/// How many names errors list.
const LISTED: usize = 8;

/// A checkpoint: its tensors by name.
///
/// Files on disk are memory-mapped (feature `mmap`; else read when they are needed), so opening reads nothing but their headers, and what is not
/// asked for never leaves the disk. They must not be changed while the checkpoint is open.
pub struct Weights {
    location: Location,
    pub(super) tensors: BTreeMap<String, Tensor>,
    metadata: Metadata,
    layout: Option<&'static Table>,
    /// What LoRAs for it may be made for.
    pub(super) kin: Option<&'static Kin>,
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
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let location = locate::checkpoint(location.into())?;
        let mut files = Files::default();
        if location.path().extension().is_some_and(|extension| extension == "json") {
            files.add_shards(&location)?;
        } else {
            files.add(&location)?;
        }
        let Files { mut tensors, metadata } = files;
        attach_scales(location.path(), &mut tensors, &metadata)?;
        let mut weights = Self { location, tensors: BTreeMap::new(), metadata, layout: None, kin: None };
        for (name, tensor) in tensors {
            let name = name.strip_prefix(SINGLE_FILE).map(String::from).unwrap_or(name);
            insert(&mut weights.tensors, name, tensor)?;
        }
        Ok(weights)
    }

    /// Gives every tensor the name, and where needed the shape, that it has in diffusers' layout instead of those of `table`. Unknown ones keep
    /// theirs.
    ///
    /// # Errors
    /// [`Error::Weights`] naming a tensor that cannot be cut as the table says, or that is there twice then.
    pub fn rename(&mut self, table: &'static Table) -> Result<()> {
        self.layout = Some(table);
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            let Some(names) = table.to_diffusers(&name) else {
                insert(&mut self.tensors, name, tensor)?;
                continue;
            };
            for (part, new) in names.iter().enumerate() {
                let mut tensor = tensor.stored.part(part, names.len()).ok_or_else(|| {
                    let TensorInfo { file, shape, .. } = &tensor.stored.info;
                    Error::tensor(file, &name, format!("shape {shape:?} cannot be cut into {}", names.len()))
                })?;
                if table.is_squeezed(new) {
                    tensor.squeeze();
                }
                insert(&mut self.tensors, new.clone(), tensor.into())?;
            }
        }
        Ok(())
    }

    /// From now on LoRAs for its relatives are for it too.
    pub fn set_kin(&mut self, kin: &'static Kin) {
        self.kin = Some(kin);
    }

    /// The models of an all-in-one file, which has more than one of them, each with its own names.
    pub fn split(mut self) -> Vec<Self> {
        let mut parts = BTreeMap::from([(String::new(), BTreeMap::new())]);
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            let (part, own) = part_of(&name);
            parts.entry(part.into()).or_default().insert(own.into(), tensor);
        }
        if parts.len() > 1 {
            parts.retain(|_, tensors| !tensors.is_empty());
        }
        let part = |tensors| Self { location: self.location.clone(), tensors, metadata: self.metadata.clone(), ..self };
        parts.into_values().map(part).collect()
    }

    /// A tensor to be kept without the checkpoint, its elements found to be finite.
    pub(super) fn own(&self, name: &str) -> Result<Stored> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.missing(name, &[]))?;
        self.tensor(name, &tensor.stored.info.shape)?.check_finite()?;
        Ok(tensor.stored.clone())
    }

    /// Of every tensor's name, form, shape and first bytes: enough to tell checkpoints apart without reading them.
    pub(crate) fn digest(&self) -> Result<Digest> {
        const BYTES: usize = 64;
        let mut digest = Digest::new();
        for (name, tensor) in &self.tensors {
            let TensorInfo { encoding, shape, .. } = &tensor.stored.info;
            digest.add(format!("{name} {encoding} {shape:?}").as_bytes());
            digest.add(&tensor.stored.head(BYTES)?);
        }
        Ok(digest)
    }

    /// The file that was opened: the index where there are shards.
    pub fn path(&self) -> &Path {
        self.location.path()
    }

    /// The same, wherever it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Every tensor, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.stored.info))
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// What is said of a tensor, or `None` where there is none. Does not count as use.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.stored.info)
    }

    /// The extents of the tensor `name`, which must have N of them: how a model's sizes are found. Does not count as use.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another number of extents.
    pub fn extents<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let info =
            self.info(name).ok_or_else(|| Error::tensor(self.path(), name, "missing; without it the model's sizes cannot be told"))?;
        let wrong = |_| Error::tensor(&info.file, name, format!("shape {:?}; {N} extents were expected", info.shape));
        info.shape.as_slice().try_into().map_err(wrong)
    }

    /// How many numbers follow `prefix`, as `blocks.` in the names of a model's layers.
    pub fn count(&self, prefix: &str) -> usize {
        let names = self.tensors.range(prefix.to_owned()..).map_while(|(name, _)| name.strip_prefix(prefix));
        let numbers: BTreeSet<usize> = names.filter_map(|name| name.split('.').next()?.parse().ok()).collect();
        numbers.len()
    }

    /// The tensor `name`, which must have these extents. Counts as its use.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        self.claim(name, shape)?.read()
    }

    /// [`Weights::tensor`], to be read later.
    ///
    /// # Errors
    /// The same.
    pub fn claim(&self, name: &str, shape: &[usize]) -> Result<Claim<'_>> {
        let (name, tensor) = self.tensors.get_key_value(name).ok_or_else(|| self.missing(name, shape))?;
        let info = &tensor.stored.info;
        if info.shape != shape {
            return Err(Error::tensor(
                &info.file,
                name,
                format!("expected shape {shape:?}, found {:?}: the configuration does not belong to these weights", info.shape),
            ));
        }
        tensor.set_used();
        Ok(Claim { name, tensor })
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
            tensor.set_used();
        }
    }

    /// The names of all tensors that do not count as used.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().filter(|(_, tensor)| !tensor.is_used()).map(|(name, _)| name.as_str())
    }

    /// To be called when a model has loaded: makes sure that every tensor was used.
    ///
    /// # Errors
    /// [`Error::Weights`] that counts the others and lists the first eight.
    pub fn finish(&self) -> Result<()> {
        let unused: Vec<_> = self.unused().collect();
        let Some(first) = unused.first().and_then(|name| self.info(name)) else { return Ok(()) };
        let used = || self.tensors.iter().filter(|(_, tensor)| tensor.is_used()).map(|(name, _)| name.as_str());
        let near = unused.iter().take(LISTED).find_map(|name| Some(format!(" (`{name}` is near `{}`)", nearest(name, used())?)));
        let (near, names) = (near.unwrap_or_default(), list(&unused));
        let message = format!("{} of {} tensors are unknown to this model: {names}{near}", unused.len(), self.tensors.len());
        Err(Error::weights(&first.file, message))
    }

    fn missing(&self, name: &str, shape: &[usize]) -> Error {
        let origin = self.layout.and_then(|table| table.to_origin(name));
        let there = origin.map_or_else(String::new, |origin| format!(" (in this file: `{}`)", origin.name));
        Error::tensor(self.path(), name, format!("missing{there}; it should have shape {shape:?}"))
    }

    /// Which format the file has; of shards, the first.
    pub fn format(&self) -> &'static str {
        match self.tensors.values().next().and_then(|tensor| tensor.stored.content().head(MAGIC).ok()) {
            Some(head) if is_gguf(&head) => "GGUF",
            Some(head) if is_zip(&head) => "torch archive",
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
            Some(Tensor { stored, .. }) if self.format() == "GGUF" => gguf::vocabulary(&stored.info.file, stored.content()),
            _ => Ok(None),
        }
    }

    /// A tensor's bytes as they are in the file, such as a tokenizer's that came with it, or `None` where there is no such tensor. Counts as its
    /// use.
    ///
    /// # Errors
    /// [`Error::Io`] where they cannot be read.
    pub fn stored(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        tensor.set_used();
        tensor.stored.stored().map(Some)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Weights").field("path", &self.path()).field("tensors", &self.tensors.len()).finish()
    }
}

/// The tensors of one or several files, by the names that they have there.
#[derive(Default)]
struct Files {
    tensors: BTreeMap<String, Tensor>,
    metadata: Metadata,
}

impl Files {
    fn add(&mut self, location: &Location) -> Result<()> {
        let content = location.open()?;
        let file: Arc<Path> = location.path().into();
        let (entries, metadata) = read_header(&file, &content)?;
        self.metadata.extend(metadata);
        for mut entry in entries {
            let name = std::mem::take(&mut entry.name);
            insert(&mut self.tensors, name, Stored::new(&file, &content, entry).into())?;
        }
        Ok(())
    }

    /// Those that an index lists.
    fn add_shards(&mut self, location: &Location) -> Result<()> {
        let (index, path) = (locate::Index::read(location)?, location.path());
        for shard in index.shards().into_iter().map(|name| location.beside(name)) {
            if !shard.exists() {
                return Err(Error::weights(shard.path(), format!("missing, but listed in {}; download it again", path.display())));
            }
            self.add(&shard)?;
        }
        for (name, shard) in &index.weight_map {
            let found = self.tensors.get(name).and_then(|tensor| tensor.stored.info.file.file_name());
            if found != Some(shard.as_ref()) {
                let shard = path.with_file_name(shard);
                return Err(Error::tensor(&shard, name, format!("not in this file, where {} has it", path.display())));
            }
        }
        Ok(())
    }
}

/// Which of the models in an all-in-one file a name belongs to, and what it is there: that of the transformer has lost its prefix already.
fn part_of(name: &str) -> (&str, &str) {
    if let Some((encoder, own)) = name.strip_prefix("text_encoders.").and_then(|rest| rest.split_once('.')) {
        return (encoder, own.strip_prefix("transformer.").unwrap_or(own));
    }
    let prefixed = ["vae.", "first_stage_model.", "clip_vision."].into_iter().find_map(|part| Some((part, name.strip_prefix(part)?)));
    prefixed.unwrap_or(("", name))
}

/// Adds a tensor whose name must be new.
fn insert(tensors: &mut BTreeMap<String, Tensor>, name: String, tensor: Tensor) -> Result<()> {
    match tensors.entry(name) {
        btree_map::Entry::Vacant(place) => {
            place.insert(tensor);
            Ok(())
        }
        btree_map::Entry::Occupied(place) => {
            let [first, second] = [place.get(), &tensor].map(|tensor| &tensor.stored.info.file);
            let message = if first == second { "it is in this file twice".into() } else { format!("it is in {} too", first.display()) };
            Err(Error::tensor(second, place.key(), message))
        }
    }
}

/// The first of some names, for errors.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let mut list: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > list.len() {
        list.push("..".into());
    }
    list.join(", ")
}

/// The known name that differs least from an unknown one, if it is near and differs in more than its numbers.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = |name: &str| name.split('.').filter(|part| part.parse::<u64>().is_err()).collect::<Vec<_>>().join(".");
    let known = known.filter(|known| text(known) != text(name));
    let near = known.map(|known| (strsim::normalized_levenshtein(name, known), known)).filter(|(likeness, _)| *likeness >= NEAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// Reads a file's header in whatever format its content is.
fn read_header(path: &Path, content: &Content) -> Result<(Vec<Entry>, Metadata)> {
    let bare = |entries| (entries, Metadata::new());
    let head = content.head(MAGIC).map_err(Error::io(path))?;
    if is_zip(&head) {
        pth::read(path, content).map(bare)
    } else if is_gguf(&head) {
        gguf::read(path, content).map(bare)
    } else if head.starts_with(&pth::LEGACY) {
        Err(Error::Unsupported(format!("{}: written by torch before version 1.6; load and save it again with torch", path.display())))
    } else {
        safetensors::read(path, content)
    }
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GGUF")
}
