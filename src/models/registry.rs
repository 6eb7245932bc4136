//! The models that this crate has, and which of them a checkpoint holds.

use crate::error::{Error, Result};
use crate::location::Location;
use crate::models::{clip, dit, sam2, spec::Spec, taehv, umt5, vae};
use crate::weights::lora::is_lora;
use crate::weights::{checkpoint::Weights, names::Table};

/// The first with a sign of its own in a checkpoint is what that holds.
pub static MODELS: [&Spec; 8] = [
    &dit::spec::ANIMATE,
    &dit::spec::TRANSFORMER,
    &umt5::spec::UMT5,
    &clip::spec::CLIP,
    &vae::spec::VAE_2_2,
    &vae::spec::VAE_2_1,
    &sam2::spec::SAM2,
    &taehv::spec::TAEHV,
];

/// Every layout that is not diffusers' own.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    MODELS.iter().flat_map(|model| model.tables.iter().copied())
}

/// The model in an opened checkpoint, or `None` where it is no model that this crate knows.
pub fn model_of(weights: &Weights) -> Option<&'static Spec> {
    MODELS.into_iter().find(|model| model.is_in(weights))
}

/// What an opened checkpoint is, in words.
pub fn name_of(weights: &Weights) -> &'static str {
    match model_of(weights) {
        Some(model) => model.name,
        None if is_lora(weights) => "a LoRA",
        None => "nothing that this crate knows",
    }
}

/// [`Weights::open`], then by diffusers' names whatever the layout.
///
/// # Errors
/// As [`Weights::open`], and where tensors are not as their layout says, or there are several models in one file.
pub fn open(location: impl Into<Location>) -> Result<Weights> {
    let location = location.into();
    let mut parts = open_all(location.clone())?;
    match (parts.pop(), &parts[..]) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let names: Vec<_> = others.iter().chain(&last).map(name_of).collect();
            Err(Error::weights(location.path(), format!("this is {} in one: give it where one of them is wanted", names.join(", "))))
        }
    }
}

/// The models of a checkpoint, which are several where that is an all-in-one file, by diffusers' names whatever the layout.
///
/// # Errors
/// As [`open`].
pub fn open_all(location: impl Into<Location>) -> Result<Vec<Weights>> {
    Weights::open(location)?.split().into_iter().map(named).collect()
}

fn named(mut weights: Weights) -> Result<Weights> {
    if let Some(table) = tables().find(|table| weights.contains(table.sign)) {
        weights.rename(table)?;
    }
    if let Some(model) = model_of(&weights) {
        model.kin.into_iter().for_each(|kin| weights.set_kin(kin));
        model.unneeded.iter().for_each(|prefix| weights.ignore(prefix));
    }
    Ok(weights)
}
