//! LoRA files, and kin: small changes of a checkpoint's tensors, in the dialects of the programs that write them.

mod change;
mod keys;
mod strength;
mod targets;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use change::{Change, Module, changes};
use keys::Role;
use strength::Strength;
use targets::Targets;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::weights::{checkpoint::Weights, checkpoint::list, delta::Delta, delta::Magnitude, stored::Stored};

/// Whether any of these tensors can only be part of a LoRA.
pub(crate) fn is_lora(weights: &Weights) -> bool {
    weights.iter().any(|(name, _)| keys::parse(name).is_some())
}

impl Weights {
    /// Merges a LoRA: its tensors' elements are from now on those with the LoRA's changes, in f32. Several add up.
    ///
    /// # Errors
    /// [`Error::Input`] for a weight of the LoRA out of range; [`Error::Weights`] naming the LoRA's tensors that are damaged, do not fit or match
    /// nothing here. Nothing is merged then.
    pub fn add_lora(&mut self, lora: &Lora) -> Result<()> {
        for (name, delta) in lora.deltas(self)? {
            if let Some(tensor) = self.tensors.get_mut(&name) {
                tensor.deltas.push(delta);
            }
        }
        Ok(())
    }
}

/// How strongly a LoRA may be applied, to either side.
const MOST: f32 = 4.0;

/// A LoRA: what a file adds to a transformer's weights, and how strongly. Cheap to clone.
///
/// The file may be of any format that checkpoints have. It may hold low-rank products (LoRA, with or without `alpha`), LoHa, LoKr, any of them
/// with DoRA's magnitudes, and whole changes of weights, biases and modulations (`.diff`, `.diff_b`, `.diff_m`), under the names of diffusers, PEFT, the official release,
/// ComfyUI, kohya, musubi or LyCORIS.
///
/// `alpha` is that of the file's `.alpha` tensors, otherwise of its metadata (diffusers' `lora_adapter_metadata`, kohya's `ss_network_alpha`)
/// or of the `adapter_config.json` beside PEFT's `adapter_model` files; a module without any has the strength 1. Changes of norms are applied, which diffusers leaves out.
///
/// Changes of floats are merged while weights are loaded, in f32: `W + sum(weight * alpha / rank * up * down)`. A changed tensor is f32 on the GPU in
/// [`Precision::F32`](crate::Precision::F32) and f16 in [`Precision::F16`](crate::Precision::F16), as after diffusers' `fuse_lora` in that
/// precision but rounded once, also where the checkpoint stores bf16; others stay as they are.
///
/// DoRA's magnitudes (`dora_scale`, PEFT's `lora_magnitude_vector`) are the lengths that rows, or columns, of the changed matrix are brought to. A weight
/// other than 1 is the part of the way from the matrix as it was to that.
///
/// Quantised matrices stay quantised: low-rank products are kept as their factors, in f32, and added whenever the matrix is expanded to floats,
/// before it is rounded to f16. The result is that of merging but for the order of sums. They take `4 * rank * (rows + columns)` bytes a
/// matrix. What is no product of that kind (LoHa, LoKr, DoRA, `.diff`), or takes as much as the matrix, is merged while loading; that tensor then
/// is a float on the GPU.
///
/// ```no_run
/// # fn main() -> wan_animate::Result<()> {
/// # let device = wan_animate::Device::builder().build()?;
/// use wan_animate::{AnimatePipeline, Lora};
///
/// let pipeline = AnimatePipeline::builder(&device)
///     .checkpoint("models/Wan2.2-Animate-14B-Diffusers")
///     .lora(Lora::open("relighting_lora.ckpt")?)
///     .lora(Lora::open("style.safetensors")?.weight(0.8))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a LoRA does nothing before a builder has it"]
pub struct Lora {
    file: Arc<Weights>,
    modules: Arc<BTreeMap<String, Module>>,
    strength: Arc<Strength>,
    weight: f32,
    strict: bool,
    warned: Arc<Once>,
}

impl Lora {
    /// The name of its file.
    pub(crate) fn name(&self) -> String {
        self.file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Opens a file. Its tensors are read when a pipeline that it was given to is built.
    ///
    /// # Errors
    /// [`Error::Weights`] and [`Error::Io`] as for any checkpoint, and where names are no LoRA's; [`Error::Unsupported`] for core tensors.
    pub fn open(file: impl Into<Location>) -> Result<Self> {
        let file = Weights::open(file)?;
        let mut modules: BTreeMap<String, Module> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, _) in file.iter() {
            match keys::parse(name) {
                None => unknown.push(name),
                Some((_, Role::Unsupported(method))) => {
                    let message =
                        format!("{}: `{name}` belongs to {method}, which is not supported: merge it elsewhere", file.path().display());
                    return Err(Error::Unsupported(message));
                }
                Some((module, role)) => {
                    if let Some(other) = modules.entry(module.into()).or_default().insert(role, name.into()) {
                        return Err(Error::tensor(file.path(), name, format!("`{other}` is the same part of the same module")));
                    }
                }
            }
        }
        if !unknown.is_empty() {
            let message = format!("{} of {} tensors are no part of a LoRA: {}", unknown.len(), file.iter().count(), list(&unknown));
            return Err(Error::weights(file.path(), message));
        }
        let strength = Strength::of(&file)?;
        Ok(Self {
            file: Arc::new(file),
            modules: Arc::new(modules),
            strength: Arc::new(strength),
            weight: 1.0,
            strict: false,
            warned: Arc::new(Once::new()),
        })
    }

    /// How strongly it is applied, -4 to 4. Default: 1.
    pub fn weight(mut self, weight: f32) -> Self {
        self.weight = weight;
        self
    }

    /// Whether changes of parts that the model lacks and its relatives have, such as the image branch of Wan2.1's I2V, are refused. Default: they
    /// are left out, as other programs do, with a warning in the log.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Of the file's tensors and the weight.
    pub(crate) fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(format!("{} {}", self.file.digest()?, self.weight).as_bytes()))
    }

    /// What it adds to the tensors of `base`, by their names there.
    ///
    /// # Errors
    /// [`Error::Input`] for a weight out of range; [`Error::Weights`] naming the tensors that do not fit or match nothing.
    fn deltas(&self, base: &Weights) -> Result<Vec<(String, Delta)>> {
        let path = self.file.path();
        if !(-MOST..=MOST).contains(&self.weight) {
            return Err(Error::Input(format!("{}: a LoRA weight of {}; it must be from -{MOST} to {MOST}", path.display(), self.weight)));
        }
        let targets = Targets::of(base);
        let (mut deltas, mut unmatched, mut absent) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (name, module) in self.modules.iter() {
            for change in changes(&self.file, name, module, &self.strength)? {
                match targets.find(&change.names) {
                    Some(found) => deltas.extend(self.fit(change, &found, base)?),
                    None if !self.strict && targets.are_absent(&change.names) => drop(absent.insert(name, change.key)),
                    None => drop(unmatched.insert(name, change.key)),
                }
            }
        }
        if deltas.is_empty() {
            // Then it is no LoRA for this model at all.
            unmatched.append(&mut absent);
        }
        let (base, count) = (base.path().display(), self.modules.len());
        let say = |keys: BTreeMap<&String, String>, what: &str| {
            let keys: Vec<_> = keys.into_values().collect();
            format!("{} of its {count} modules match nothing in {base}{what}: {}", keys.len(), list(&keys))
        };
        if !unmatched.is_empty() {
            return Err(Error::weights(path, say(unmatched, ", so it was made for another model")));
        }
        if !absent.is_empty() {
            let message = say(absent, ", which lacks a part that its relatives have, and are left out");
            self.warned.call_once(|| log::warn!("{}: {message}", path.display()));
        }
        Ok(deltas)
    }

    /// A change as those of the tensors that its target is cut into.
    fn fit(&self, change: Change, found: &[&str], base: &Weights) -> Result<Vec<(String, Delta)>> {
        let Change { key, kind, scale, magnitude, .. } = change;
        let mut shape = base.info(found[0]).map(|info| info.shape.clone()).unwrap_or_default();
        if let Some(rows) = shape.first_mut() {
            *rows *= found.len();
        }
        let refuse = |what: String| {
            let names = found.join("` and `");
            Error::tensor(self.file.path(), &key, format!("{what} not fit `{names}`, which has shape {shape:?}"))
        };
        let fit = |(part, name): (usize, &&str)| {
            let own = kind.part(part, found.len()).filter(|_| kind.fits(&shape));
            let own = own.ok_or_else(|| {
                let (rows, cols) = kind.size();
                refuse(format!("a change of {rows} x {cols}{} does", made_for(base, &shape, [rows, cols])))
            })?;
            let magnitude = match &magnitude {
                None => None,
                Some(lengths) => {
                    let found = self.magnitude(lengths, &shape, part, found.len());
                    Some(found.ok_or_else(|| refuse("the magnitudes of this DoRA do".into()))?)
                }
            };
            let scale = if magnitude.is_some() { scale } else { f64::from(self.weight) * scale } as f32;
            Ok((name.to_string(), Delta { kind: own, scale, magnitude }))
        };
        found.iter().enumerate().map(fit).collect()
    }

    /// DoRA's lengths for a part of the tensor of a shape, or `None` where they are not for its rows, or for the columns of all of it.
    fn magnitude(&self, lengths: &Stored, shape: &[usize], part: usize, parts: usize) -> Option<Magnitude> {
        let (count, &rows, cols) = (lengths.count(), shape.first()?, shape.get(1));
        // PEFT has those of a convolution's rows along the second axis.
        let of_rows = count == rows && (lengths.info.shape.first() == Some(&rows) || cols != Some(&count));
        let first_row = of_rows.then_some(part * (rows / parts));
        let fits = of_rows || parts == 1 && cols == Some(&count);
        fits.then(|| Magnitude { lengths: lengths.clone(), first_row, weight: self.weight })
    }
}

/// Which models a change of another width is for, where they are published ones.
fn made_for(base: &Weights, shape: &[usize], [rows, cols]: [usize; 2]) -> String {
    let needed = [shape.first().copied().unwrap_or(1), shape.iter().skip(1).product()];
    let other = [rows, cols].into_iter().zip(needed).find(|(found, needed)| found != needed);
    let models = other.and_then(|(width, _)| Some((width, base.kin?.of_width(width)?)));
    models.map_or_else(String::new, |(width, models)| format!(" (for {models}, {width} wide)"))
}
