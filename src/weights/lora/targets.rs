//! Which tensors of a model a LoRA's module names.

use std::collections::BTreeMap;

use crate::weights::checkpoint::Weights;

/// The tensors of a model by their names in diffusers' layout and in others, with `_` for every `.`: some dialects have that, and no
/// two names become one by it.
pub struct Targets {
    diffusers: BTreeMap<String, String>,
    /// One name that is cut here becomes several, in the order of their parts.
    others: BTreeMap<String, BTreeMap<usize, String>>,
}

impl Targets {
    pub fn of(weights: &Weights) -> Self {
        let mut targets = Self { diffusers: BTreeMap::new(), others: BTreeMap::new() };
        for (name, _) in weights.iter() {
            targets.diffusers.insert(flat(name), name.into());
            for origin in weights.aliases.iter().filter_map(|table| table.to_origin(name)) {
                targets.others.entry(flat(&origin.name)).or_default().insert(origin.part, name.into());
            }
        }
        targets
    }

    /// The tensor of the first of these names that there is, or the parts that it is cut into here.
    pub fn find(&self, names: &[String]) -> Option<Vec<&str>> {
        names.iter().map(|name| flat(name)).find_map(|name| match self.diffusers.get(&name) {
            Some(name) => Some(vec![name.as_str()]),
            None => self.others.get(&name).map(|parts| parts.values().map(String::as_str).collect()),
        })
    }
}

fn flat(name: &str) -> String {
    name.replace('.', "_")
}
