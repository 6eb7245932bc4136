//! Which tensors of a model a LoRA's module names.

use std::collections::{BTreeMap, BTreeSet};

use crate::weights::checkpoint::Weights;
use crate::weights::kin::Kin;
use crate::weights::names::Origin;

/// The tensors of a model by their names in diffusers' layout and in others, with `_` for every `.`: some dialects have that, and no
/// two names become one by it.
pub struct Targets {
    diffusers: BTreeMap<String, String>,
    /// One name that is cut here becomes several, in the order of their parts.
    others: BTreeMap<String, BTreeMap<usize, String>>,
    /// Names, without their numbers, of what relatives of the model have and it has not.
    absent: BTreeSet<String>,
}

impl Targets {
    pub fn of(weights: &Weights) -> Self {
        let mut targets = Self { diffusers: BTreeMap::new(), others: BTreeMap::new(), absent: BTreeSet::new() };
        for (name, _) in weights.iter() {
            targets.diffusers.insert(flat(name), name.into());
            for origin in origins(weights.kin, name) {
                targets.others.entry(flat(&origin.name)).or_default().insert(origin.part, name.into());
            }
        }
        let own: BTreeSet<String> = targets.diffusers.keys().chain(targets.others.keys()).map(|name| unnumbered(name)).collect();
        for name in weights.kin.map(|kin| (kin.names)()).unwrap_or_default() {
            let all = origins(weights.kin, &name).map(|origin| origin.name).chain([name.clone()]);
            targets.absent.extend(all.map(|name| unnumbered(&flat(&name))).filter(|name| !own.contains(name)));
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

    /// Whether one of these names is that of a part which relatives of the model have and it has not, such as the image branch.
    pub fn are_absent(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.absent.contains(&unnumbered(&flat(name))))
    }
}

fn origins(kin: Option<&Kin>, name: &str) -> impl Iterator<Item = Origin> {
    kin.into_iter().flat_map(|kin| kin.tables).filter_map(move |table| table.to_origin(name))
}

fn flat(name: &str) -> String {
    name.replace('.', "_")
}

/// A flat name with one sign for every number.
fn unnumbered(name: &str) -> String {
    let part = |part: &str| if part.bytes().all(|byte| byte.is_ascii_digit()) { "#".into() } else { part.to_owned() };
    name.split('_').map(part).collect::<Vec<_>>().join("_")
}
