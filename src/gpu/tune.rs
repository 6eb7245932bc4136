//! Which tiles of a kernel are fastest on this adapter: found by timing them on first use, and remembered in a file.
//!
//! A choice is made once for an op, a family and a class of shapes, on an adapter with a driver. Products of matrices sum in one order whatever
//! the tile, so tuning changes no bit of theirs but what a driver's compiler may; between families, and with cooperative matrices, the last
//! bits differ. Where that matters more than speed, fix the family and leave tuning off: then everything depends on shapes alone.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Whether tiles are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tune {
    /// Never: built-in choices.
    Off,
    /// Where nothing is remembered.
    On,
    /// Anew in every process.
    Force,
}

impl fmt::Display for Tune {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Force => "force",
        })
    }
}

crate::as_text::as_text!(Tune);

impl FromStr for Tune {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "force" => Ok(Self::Force),
            _ => Err(Error::Input(format!("unknown tuning `{name}`: choose off, on or force"))),
        }
    }
}

impl Tune {
    /// What `WAN_ANIMATE_TUNE` says, where it says something.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        match env::var("WAN_ANIMATE_TUNE") {
            Ok(name) if !name.is_empty() => name.parse().map(Some),
            _ => Ok(None),
        }
    }
}

/// The choices of one device.
#[derive(Debug)]
pub(crate) struct Tuning {
    mode: Tune,
    /// Adapter, driver and version of this crate, which choices hold for.
    adapter: String,
    file: Option<PathBuf>,
    chosen: Mutex<BTreeMap<String, usize>>,
}

impl Tuning {
    /// With what is remembered in the user's cache folder, unless that is to be left alone.
    pub(crate) fn new(mode: Tune, adapter: String, is_remembered: bool) -> Self {
        let folder = if is_remembered { cache_folder() } else { None };
        Self::remembering(mode, adapter, folder.map(|folder| folder.join("wan-animate").join("tuning.json")))
    }

    fn remembering(mode: Tune, adapter: String, file: Option<PathBuf>) -> Self {
        let chosen = match mode {
            Tune::On => file.as_ref().map(read).unwrap_or_default(),
            Tune::Off | Tune::Force => BTreeMap::new(),
        };
        Self { mode, adapter: format!("{adapter}, {}", env!("CARGO_PKG_VERSION")), file, chosen: Mutex::new(chosen) }
    }

    /// Which of `count` candidates is fastest for `class`, an op with what its speed depends on; none where that is to be left alone.
    /// `time` gives the seconds of one. A candidate that is too large for the adapter is passed over; any other error, cancelling among them,
    /// leaves the choice for another time.
    pub(crate) fn choose(&self, class: &str, count: usize, time: impl FnMut(usize) -> Result<f64>) -> Option<usize> {
        if self.mode == Tune::Off || count < 2 {
            return None;
        }
        let key = format!("{}: {class}", self.adapter);
        let known = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known.filter(|&known| known < count) {
            return Some(known);
        }
        // Unlocked meanwhile, since this takes a while.
        let timed = (0..count).map(time).map(|seconds| match seconds {
            Ok(seconds) => Some(seconds),
            Err(Error::Limits { .. } | Error::Unsupported(_)) => Some(f64::INFINITY),
            Err(_) => None,
        });
        let seconds = timed.collect::<Option<Vec<_>>>()?;
        let best = (0..count).min_by(|&a, &b| seconds[a].total_cmp(&seconds[b]))?;
        log::info!("tuned {key}: candidate {best} of {seconds:?} seconds");
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        chosen.insert(key, best);
        self.remember(&chosen);
        Some(best)
    }

    /// Together with what other processes have written meanwhile. A file that cannot be written is no reason to fail.
    fn remember(&self, chosen: &BTreeMap<String, usize>) {
        let Some(file) = &self.file else { return };
        let mut all = read(file);
        all.extend(chosen.iter().map(|(key, &best)| (key.clone(), best)));
        let write = || {
            fs::create_dir_all(file.parent().unwrap_or(file))?;
            let unfinished = file.with_extension(format!("{}.tmp", std::process::id()));
            fs::write(&unfinished, serde_json::to_string_pretty(&all).unwrap_or_default())?;
            fs::rename(unfinished, file)
        };
        if let Err(error) = write() {
            log::warn!("tuning cannot be remembered in {}: {error}", file.display());
        }
    }
}

/// Nothing where there is no such file, or it is none of ours.
fn read(file: &PathBuf) -> BTreeMap<String, usize> {
    fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn cache_folder() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return folder("LOCALAPPDATA");
    }
    let home = folder("HOME");
    if cfg!(target_os = "macos") {
        return home.map(|home| home.join("Library/Caches"));
    }
    folder("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(number: usize) -> Result<f64> {
        [Ok(3.0), Ok(1.0), Err(Error::limits("too large")), Ok(2.0)].into_iter().nth(number).expect("four candidates")
    }

    fn never(_: usize) -> Result<f64> {
        panic!("there is nothing to time")
    }

    #[test]
    fn the_fastest_is_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("new").join("tuning.json");
        let tuning = |mode, adapter: &str| Tuning::remembering(mode, adapter.into(), Some(file.clone()));
        assert_eq!(tuning(Tune::Off, "card").choose("op", 4, never), None);
        let first = tuning(Tune::On, "card");
        assert_eq!(first.choose("op", 4, time), Some(1));
        assert_eq!(first.choose("op", 4, never), Some(1));
        assert_eq!(tuning(Tune::On, "card").choose("op", 4, never), Some(1), "by the next process");
        assert_eq!(tuning(Tune::On, "card").choose("op", 1, never), None, "nothing to choose from");
        assert_eq!(tuning(Tune::On, "another card").choose("op", 4, |number| Ok(number as f64)), Some(0));
        assert_eq!(tuning(Tune::Force, "card").choose("op", 4, |number| Ok(number as f64)), Some(0), "anew");
        let forgetful = Tuning::remembering(Tune::On, "card".into(), None);
        assert_eq!((forgetful.choose("op", 4, time), forgetful.choose("op", 4, never)), (Some(1), Some(1)), "by itself");
        fs::write(&file, "no JSON").expect("written");
        assert_eq!(tuning(Tune::On, "card").choose("op", 4, time), Some(1));
    }
}
