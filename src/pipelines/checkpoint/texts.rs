//! Prompts that were encoded before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};

/// A prompt takes 8 MiB of the host's memory; most users have few.
const MOST: usize = 16;

/// Embeddings by prompt, on the host, so that the text encoder need not be read again.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<HashMap<String, Embedding>>);

#[derive(Debug)]
struct Embedding {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Texts {
    /// The embeddings of all prompts; `encode` makes those that are not known.
    pub fn get(
        &self,
        rec: &mut Recorder,
        prompts: &[String],
        encode: impl FnOnce(&mut Recorder, &[&String]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        if rec.device().rehearsal().is_some() {
            // A plan is for the first run, and what a dry device makes is worth nothing.
            return encode(rec, &prompts.iter().collect::<Vec<_>>());
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<_> = prompts.iter().filter(|prompt| !known.contains_key(*prompt)).collect();
        if known.len() + missing.len() > MOST {
            known.retain(|prompt, _| prompts.contains(prompt));
        }
        if !missing.is_empty() {
            for (prompt, tensor) in missing.iter().zip(encode(rec, &missing)?) {
                let embedding = Embedding { shape: tensor.shape().to_vec(), values: rec.download(&tensor)? };
                known.insert((*prompt).clone(), embedding);
            }
        }
        prompts.iter().map(|prompt| known[prompt].upload(rec)).collect()
    }
}

impl Embedding {
    fn upload(&self, rec: &mut Recorder) -> Result<Tensor> {
        rec.upload(&self.shape, &self.values)
    }
}
