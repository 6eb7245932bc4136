//! Which file of a component's folder is the checkpoint, and which shards an index lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::json::read_json;
use crate::location::Location;

const INDEX: &str = ".safetensors.index.json";
const SINGLE: &str = ".safetensors";
/// Endings of other formats; content decides what they are.
const OTHERS: [&str; 5] = [".gguf", ".bin", ".pth", ".pt", ".ckpt"];

/// The file to open: the one given, or, where that is a folder, the index or the single file in it.
pub(super) fn checkpoint(location: Location) -> Result<Location> {
    if !location.is_folder()? {
        return Ok(location);
    }
    let (names, path) = (location.names()?, location.path());
    let ending = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).map(String::as_str).collect::<Vec<_>>();
    let (indices, singles) = (ending(INDEX), ending(SINGLE));
    let (candidates, suffix) = if indices.is_empty() { (singles, SINGLE) } else { (indices, INDEX) };
    match candidates[..] {
        [] => other_format(&names).map(|name| location.join(name)).ok_or_else(|| none(path)),
        [only] if !is_shard(only) => Ok(location.join(only)),
        _ => plain(&candidates, suffix).map(|name| location.join(name)).ok_or_else(|| ambiguous(path, &candidates)),
    }
}

/// Every checkpoint of a folder whose content says what it is: indices of shards and single files, not the shards.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be read.
pub fn checkpoints(folder: &Location) -> Result<Vec<Location>> {
    let is_whole = |name: &String| {
        name.ends_with(INDEX) || name.ends_with(SINGLE) && !is_shard(name) || OTHERS.iter().any(|ending| name.ends_with(ending))
    };
    Ok(folder.names()?.iter().filter(|name| is_whole(name)).map(|name| folder.join(name)).collect())
}

/// The only file that may be a checkpoint in another format.
fn other_format(names: &[String]) -> Option<&str> {
    let mut others = names.iter().filter(|name| OTHERS.iter().any(|ending| name.ends_with(ending)));
    others.next().filter(|_| others.next().is_none()).map(String::as_str)
}

fn none(path: &Path) -> Error {
    Error::weights(
        path,
        format!("no .safetensors file, no .safetensors.index.json and no single {} file in this folder", OTHERS.join(" or ")),
    )
}

/// The one name without a variant: `model.safetensors` among `model.fp16.safetensors` and the like.
fn plain<'a>(names: &[&'a str], suffix: &str) -> Option<&'a str> {
    let is_plain = |name: &&str| !name.trim_end_matches(suffix).contains('.') && !is_shard(name);
    let mut plain = names.iter().copied().filter(is_plain);
    plain.next().filter(|_| plain.next().is_none())
}

fn ambiguous(path: &Path, names: &[&str]) -> Error {
    let list = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    if names.iter().any(|name| is_shard(name)) {
        return Error::weights(path, format!("shards without the {INDEX} that lists them ({list}): download it too"));
    }
    Error::weights(path, format!("several checkpoints in this folder ({list}): give the file"))
}

/// `model-00001-of-00003.safetensors` is one of several.
fn is_shard(name: &str) -> bool {
    let total = name.trim_end_matches(SINGLE).rsplit_once("-of-").and_then(|(_, total)| total.parse::<u32>().ok());
    total.is_some_and(|total| total > 1)
}

/// The list of shards that accompanies them.
#[derive(Deserialize)]
pub(super) struct Index {
    /// Tensor name to file name.
    pub(super) weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index whose files all lie beside it.
    pub(super) fn read(file: &Location) -> Result<Self> {
        let (index, path): (Self, _) = (read_json(file)?, file.path());
        if let Some((tensor, file)) = index.weight_map.iter().find(|(_, file)| !is_plain_name(file)) {
            return Err(Error::tensor(path, tensor, format!("`{file}` is not the name of a file beside the index")));
        }
        if index.weight_map.is_empty() {
            return Err(Error::weights(path, "its weight_map lists no tensors; download it again"));
        }
        Ok(index)
    }

    /// The distinct files.
    pub(super) fn shards(&self) -> BTreeSet<&String> {
        self.weight_map.values().collect()
    }
}

/// Whether a name that a file gives is one of a file or folder beside it.
pub(crate) fn is_plain_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == file)
}
