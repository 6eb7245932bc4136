//! From the tensors of one module to the changes that they stand for.

use std::collections::BTreeMap;

use super::{keys::Role, strength::Strength};
use crate::error::{Error, Result};
use crate::weights::checkpoint::Weights;
use crate::weights::delta::{DeltaKind, Factor, cols, rows};
use crate::weights::stored::Stored;

/// What a file has for one module: the tensors' names by their role.
pub type Module = BTreeMap<Role, String>;

/// A change of one tensor of the model.
pub struct Change {
    /// A tensor of the file that it comes from.
    pub key: String,
    /// What the tensor that it changes may be called.
    pub names: Vec<String>,
    pub kind: DeltaKind,
    /// Alpha over rank, or 1.
    pub scale: f64,
    /// DoRA's.
    pub magnitude: Option<Stored>,
}

/// All changes of the module `name`; `strength` counts where it has no alpha of its own.
pub fn changes(file: &Weights, name: &str, module: &Module, strength: &Strength) -> Result<Vec<Change>> {
    let mut rest = Rest { file, module: module.clone() };
    let [weight, bias, modulation] = ["weight", "bias", "modulation"].map(|tensor| format!("{name}.{tensor}"));
    // Names of tensors that are parameters of their own come without an ending.
    let (weight, bias, modulation) = (vec![weight, name.into()], vec![bias], vec![modulation, name.into()]);
    let mut changes = Vec::new();
    let mut change = |(key, kind), names: &[String], scale, magnitude| {
        changes.push(Change { key, names: names.to_vec(), kind, scale, magnitude });
    };
    for (role, names) in [(Role::Diff, &weight), (Role::DiffBias, &bias), (Role::DiffModulation, &modulation)] {
        if let Some((key, factor)) = rest.whole(role)? {
            change((key, DeltaKind::Plain(factor)), names, 1.0, None);
        }
    }
    let alpha = rest.module.remove(&Role::Alpha);
    if let Some((key, kind)) = rest.factored()? {
        let scale = match (kind.rank(), alpha) {
            // Of two whole factors of LoKr alpha says nothing, and may be anything.
            (None, _) => 1.0,
            (Some(rank), Some(alpha)) => f64::from(rest.alpha(&alpha)?) / rank as f64,
            (Some(rank), None) => strength.scale(name, rank),
        };
        let magnitude = rest.module.remove(&Role::Magnitude).map(|key| file.own(&key)).transpose()?;
        change((key, kind), &weight, scale, magnitude);
        if let Some((key, factor)) = rest.whole(Role::UpBias)? {
            change((key, DeltaKind::Plain(factor)), &bias, scale, None);
        }
    }
    match rest.module.values().next() {
        None => Ok(changes),
        Some(left) => Err(Error::tensor(file.path(), left, "the other tensors that it goes with are missing")),
    }
}

/// The tensors of a module that no change has been made of yet.
struct Rest<'a> {
    file: &'a Weights,
    module: Module,
}

impl Rest<'_> {
    fn alpha(&self, key: &str) -> Result<f32> {
        let shape = self.file.info(key).map(|info| info.shape.clone()).unwrap_or_default();
        match self.file.to_f32(key, &shape)?[..] {
            [alpha] => Ok(alpha),
            _ => Err(Error::tensor(self.file.path(), key, format!("shape {shape:?}, but alpha is one number"))),
        }
    }

    /// LoRA, LoHa or LoKr.
    fn factored(&mut self) -> Result<Option<(String, DeltaKind)>> {
        if let Some((key, factor)) = self.product(Role::Up, Role::Down)? {
            return Ok(Some((key, DeltaKind::Plain(factor))));
        }
        let (first, second) = (self.product(Role::HadaW1A, Role::HadaW1B)?, self.product(Role::HadaW2A, Role::HadaW2B)?);
        if let (Some((key, first)), Some((other, second))) = (first, second) {
            if first.size() != second.size() {
                let message = format!("{:?}, where `{other}` and its pair make {:?}", first.size(), second.size());
                return Err(Error::tensor(self.file.path(), &key, message));
            }
            return Ok(Some((key, DeltaKind::Hadamard(first, second))));
        }
        let first = self.whole(Role::LokrW1)?.map_or_else(|| self.product(Role::LokrW1A, Role::LokrW1B), |first| Ok(Some(first)))?;
        let second = self.whole(Role::LokrW2)?.map_or_else(|| self.product(Role::LokrW2A, Role::LokrW2B), |second| Ok(Some(second)))?;
        match (first, second) {
            (Some((key, first)), Some((_, second))) => Ok(Some((key, DeltaKind::Kronecker(first, second)))),
            (Some((key, _)), None) | (None, Some((key, _))) => {
                Err(Error::tensor(self.file.path(), &key, "the other factor of this LoKr is missing"))
            }
            (None, None) => Ok(None),
        }
    }

    fn whole(&mut self, role: Role) -> Result<Option<(String, Factor)>> {
        let Some(key) = self.module.remove(&role) else { return Ok(None) };
        let factor = Factor::Whole(self.file.own(&key)?);
        Ok(Some((key, factor)))
    }

    /// The product of two tensors, where both are there.
    fn product(&mut self, left: Role, right: Role) -> Result<Option<(String, Factor)>> {
        if !self.module.contains_key(&right) {
            return Ok(None);
        }
        let Some(key) = self.module.remove(&left) else { return Ok(None) };
        let Some(other) = self.module.remove(&right) else { return Ok(None) };
        let (left, right) = (self.file.own(&key)?, self.file.own(&other)?);
        if cols(&left) != rows(&right) || rows(&right) == 0 {
            let message = format!("shape {:?} does not go with `{other}` of shape {:?}", left.info.shape, right.info.shape);
            return Err(Error::tensor(self.file.path(), &key, message));
        }
        Ok(Some((key, Factor::Product(left, right))))
    }
}
