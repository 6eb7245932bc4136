//! What checkpoints on disk are, in words and numbers; only headers are read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::count::count;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::models::coverage::Coverage;
use crate::models::registry::{model_of, name_of, open_all};
use crate::weights::{checkpoint::Weights, locate::checkpoints};

/// How many names are shown of each list.
const SHOWN: usize = 20;

/// What one checkpoint is: a file, or an index with its shards.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WeightsReport {
    /// The file, or the index.
    pub path: PathBuf,
    /// safetensors, torch archive or GGUF.
    pub format: &'static str,
    /// Whose names the tensors have.
    pub layout: &'static str,
    /// What it is, such as "a UMT5 text encoder".
    pub kind: String,
    /// Tensors in diffusers' layout.
    pub tensors: usize,
    /// Numbers in all of them.
    pub parameters: u64,
    /// Bytes that they take on disk.
    pub bytes: u64,
    /// By what numbers are stored as: tensors and bytes.
    pub encodings: BTreeMap<String, (usize, u64)>,
    /// Tensors that the model does not know, each with the known name that may be meant.
    pub unknown: Vec<(String, Option<String>)>,
    /// Tensors that the model needs and the file has not.
    pub missing: Vec<String>,
    /// Tensors whose shape is not the one that the model needs, each with the shape there is and the one needed.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Why no such model can be made of the file at all.
    pub failure: Option<String>,
}

/// Looks at a file of weights, or at every one in a folder and the folders in it.
///
/// # Errors
/// [`Error::Weights`] and [`Error::Io`] as for opening, where a file is damaged or none is there.
pub fn inspect_weights(location: impl Into<Location>) -> Result<Vec<WeightsReport>> {
    let location = location.into();
    if !location.is_dir() {
        return WeightsReport::all(&location);
    }
    let mut files = checkpoints(&location)?;
    for folder in location.names()?.iter().map(|name| location.join(name)).filter(Location::is_dir) {
        files.extend(checkpoints(&folder)?);
    }
    if files.is_empty() {
        return Err(Error::weights(location.path(), "no file of weights is in this folder, nor in those in it"));
    }
    Ok(files.iter().map(WeightsReport::all).collect::<Result<Vec<_>>>()?.concat())
}

impl WeightsReport {
    /// Of all models in a file.
    fn all(location: &Location) -> Result<Vec<Self>> {
        Ok(open_all(location.clone())?.iter().map(Self::of).collect())
    }

    fn of(weights: &Weights) -> Self {
        let (mut parameters, mut bytes, mut encodings) = (0, 0, BTreeMap::new());
        for (_, info) in weights.iter() {
            let elements: u64 = info.shape.iter().map(|&dim| dim as u64).product();
            let size = info.encoding.bytes(elements).unwrap_or(0);
            let entry = encodings.entry(info.encoding.to_string()).or_insert((0, 0));
            (entry.0, entry.1) = (entry.0 + 1, entry.1 + size);
            (parameters, bytes) = (parameters + elements, bytes + size);
        }
        let model = model_of(weights);
        let Coverage { unknown, missing, misshapen, failure, .. } = model.map(|model| Coverage::of(model, weights)).unwrap_or_default();
        Self {
            path: weights.path().into(),
            format: weights.format(),
            layout: weights.layout().unwrap_or("names as in diffusers or transformers"),
            kind: name_of(weights).into(),
            tensors: weights.iter().count(),
            parameters,
            bytes,
            encodings,
            unknown,
            missing,
            misshapen,
            failure: failure.map(|error| error.to_string()),
        }
    }
}

impl fmt::Display for WeightsReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "  {}: {}, {}", self.kind, self.format, self.layout)?;
        writeln!(f, "  {}, {}, {}", count(self.tensors, "tensor"), count(self.parameters, "parameter"), size(self.bytes))?;
        for (encoding, (tensors, bytes)) in &self.encodings {
            writeln!(f, "    {encoding}: {}, {}", count(*tensors, "tensor"), size(*bytes))?;
        }
        let unknown = self.unknown.iter().map(|(name, near)| match near {
            Some(near) => format!("{name} (near {near})"),
            None => name.clone(),
        });
        list(f, "unknown", unknown)?;
        list(f, "missing", self.missing.iter().cloned())?;
        let misshapen = self.misshapen.iter().map(|(name, there, needed)| format!("{name}: {there:?}, needed {needed:?}"));
        if !self.misshapen.is_empty() {
            list(f, "of another shape", misshapen)?;
        }
        self.failure.iter().try_for_each(|failure| writeln!(f, "  cannot be loaded: {failure}"))
    }
}

fn list(f: &mut fmt::Formatter, what: &str, names: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let count = names.len();
    writeln!(f, "  {what}: {}", if count == 0 { "none".into() } else { count.to_string() })?;
    for name in names.take(SHOWN) {
        writeln!(f, "    {name}")?;
    }
    if count > SHOWN { writeln!(f, "    and {} more", count - SHOWN) } else { Ok(()) }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
