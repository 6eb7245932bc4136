//! A folder as officially released: its parts are found by what the files hold.

use crate::error::{Error, Result};
use crate::location::Location;
use crate::models::registry::{model_of, name_of, open, open_all};
use crate::models::{dit, spec::Spec, vae};
use crate::weights::{checkpoint::Weights, locate::checkpoints};

/// The folders of two experts.
const EXPERTS: [&str; 2] = ["high_noise_model", "low_noise_model"];
/// Where the text encoder's tokenizer may be.
const TOKENIZERS: [&str; 4] = ["google/umt5-xxl", "umt5-xxl", "tokenizer", "."];
const VOCABULARIES: [&str; 2] = ["tokenizer.json", "spiece.model"];

/// The checkpoints of a folder, opened.
#[derive(Debug)]
pub(crate) struct Release {
    folder: Location,
    found: Vec<Weights>,
    experts: [Option<Weights>; 2],
    /// Of files that could not be opened, the first: it may be the one that is missing.
    failure: Option<Error>,
}

impl Release {
    /// Opens every checkpoint in the folder itself, and those of two experts.
    ///
    /// # Errors
    /// What is wrong with an expert; where nothing can be opened, what is wrong with the first file.
    pub fn open(folder: &Location) -> Result<Self> {
        let (mut found, mut failure) = (Vec::new(), None);
        for file in checkpoints(folder)? {
            match open_all(file) {
                Ok(parts) => found.extend(parts),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let expert = |name: &str| Some(folder.join(name)).filter(Location::is_dir).map(open).transpose();
        let experts = [expert(EXPERTS[0])?, expert(EXPERTS[1])?];
        if let Some(error) = failure.take_if(|_| found.is_empty() && experts.iter().all(Option::is_none)) {
            return Err(error);
        }
        Ok(Self { folder: folder.clone(), found, experts, failure })
    }

    /// Whether there is more than one part: experts, or checkpoints of several kinds.
    pub fn is_whole(&self) -> bool {
        self.experts.iter().any(Option::is_some) || self.found.windows(2).any(|pair| model_of(&pair[0]) != model_of(&pair[1]))
    }

    /// The transformer, or the high-noise expert.
    pub fn transformer(&mut self, models: &[&'static Spec]) -> Result<Option<Weights>> {
        match self.experts[0].take() {
            Some(expert) => Ok(Some(expert)),
            None => self.take(models),
        }
    }

    /// The low-noise expert.
    pub fn transformer_2(&mut self) -> Option<Weights> {
        self.experts[1].take()
    }

    /// The only checkpoint of one of these models.
    pub fn take(&mut self, models: &[&'static Spec]) -> Result<Option<Weights>> {
        let mut places = (0..self.found.len()).filter(|&i| model_of(&self.found[i]).is_some_and(|found| models.contains(&found)));
        let (first, second) = (places.next(), places.next());
        match (first, second, self.failure.take()) {
            (Some(first), Some(second), _) => {
                let [a, b] = [first, second].map(|i| self.found[i].path().display().to_string());
                Err(Error::weights(
                    self.folder.path(),
                    format!("both {a} and {b} are {}: give the one to use by itself", name_of(&self.found[first])),
                ))
            }
            (Some(first), None, failure) => {
                self.failure = failure;
                Ok(Some(self.found.swap_remove(first)))
            }
            (None, _, Some(failure)) => Err(failure),
            (None, _, None) => Ok(None),
        }
    }

    /// What is there, for errors.
    pub fn names(&self) -> Vec<&'static str> {
        self.found.iter().chain(self.experts.iter().flatten()).map(name_of).collect()
    }

    /// The folder of the text encoder's tokenizer.
    pub fn tokenizer(&self) -> Option<Location> {
        let folders = TOKENIZERS.iter().map(|name| self.folder.join(name));
        folders.into_iter().find(|folder| VOCABULARIES.iter().any(|name| folder.join(name).exists()))
    }
}

/// The noise level at which the official configurations of T2V and I2V change from one expert to the other.
pub(crate) fn boundary(high: &dit::config::Config, vae: &vae::config::Config) -> Result<f64> {
    Ok(if high.in_channels()? == vae.z_dim { 0.875 } else { 0.9 })
}

/// The shift of the official configurations.
pub(crate) fn shift(transformer: &dit::config::Config, two_experts: bool) -> Result<f64> {
    let from_text = transformer.in_channels()? == transformer.out_channels()?;
    Ok(match (two_experts, from_text) {
        (true, true) => 12.0,
        // First and last image.
        _ if transformer.pos_embed_seq_len.is_some() => 16.0,
        _ => 5.0,
    })
}
