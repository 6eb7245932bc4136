//! How strongly products count where no tensor beside them says so: what the file's metadata, or the configuration beside it, says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json::read_json;
use crate::weights::checkpoint::Weights;

/// What diffusers calls PEFT's configuration in a file's metadata.
const ADAPTER: &str = "lora_adapter_metadata";

/// What diffusers may put before each of its fields.
const COMPONENT: &str = "transformer.";

/// PEFT's files, and where it keeps their configuration.
const PEFT_FILE: &str = "adapter_model";
const PEFT_CONFIG: &str = "adapter_config.json";

/// kohya's metadata; what it calls factors, and their strength.
const KOHYA_ALPHA: &str = "ss_network_alpha";
const KOHYA_UP: &str = ".lora_up.weight";
const KOHYA_MODULE_ALPHA: &str = ".alpha";

/// Alpha for all modules of a file, in the fields of PEFT's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Strength {
    /// `None` stands for the rank: a strength of 1.
    lora_alpha: Option<f64>,
    /// Other values by a module's name or the end of it.
    alpha_pattern: BTreeMap<String, f64>,
    /// Whether alpha is over the root of the rank.
    use_rslora: bool,
}

impl Strength {
    /// What is said about `file`.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is damaged; [`Error::Unsupported`] for a pattern that is more than a name.
    pub fn of(file: &Weights) -> Result<Self> {
        let path = file.path();
        let beside = file.location().beside(PEFT_CONFIG);
        let is_peft = path.file_stem().is_some_and(|stem| stem == PEFT_FILE);
        let strength: Self = match (file.metadata(ADAPTER), file.metadata(KOHYA_ALPHA)) {
            (Some(text), _) => Self::adapter(path, text)?,
            (None, Some(text)) => Self::kohya(file, text)?,
            (None, None) if is_peft && beside.exists() => read_json(&beside)?,
            (None, None) => Self::default(),
        };
        match strength.alpha_pattern.keys().find(|pattern| pattern.contains(|c: char| !c.is_alphanumeric() && !"._-".contains(c))) {
            None => Ok(strength),
            Some(pattern) => Err(Error::Unsupported(format!("{}: the alpha pattern `{pattern}`; names are read", path.display()))),
        }
    }

    fn adapter(path: &Path, text: &str) -> Result<Self> {
        let fields: Map<String, Value> = parse(path, ADAPTER, text)?;
        let bare = |(key, value): (String, Value)| (key.strip_prefix(COMPONENT).map_or(key.clone(), String::from), value);
        let fields = Value::Object(fields.into_iter().map(bare).collect());
        Self::deserialize(fields).map_err(|error| Error::weights(path, format!("its metadata `{ADAPTER}` is damaged: {error}")))
    }

    /// What converts kohya's files to other names puts alpha into the factors and leaves the metadata, which then counts no more.
    fn kohya(file: &Weights, text: &str) -> Result<Self> {
        let has = |ending: &str| file.iter().any(|(name, _)| name.ends_with(ending));
        let is_kohya = has(KOHYA_UP) && !has(KOHYA_MODULE_ALPHA);
        // Both stand for the rank.
        if !is_kohya || text == "None" {
            return Ok(Self::default());
        }
        let alpha: f64 = parse(file.path(), KOHYA_ALPHA, text)?;
        Ok(Self { lora_alpha: Some(alpha).filter(|&alpha| alpha != 0.0), ..Self::default() })
    }

    /// The strength of a module with a product of this rank.
    pub fn scale(&self, module: &str, rank: usize) -> f64 {
        let fits = |pattern: &str| module.strip_suffix(pattern).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        let own = self.alpha_pattern.iter().find(|(pattern, _)| fits(pattern)).map(|(_, &alpha)| alpha);
        let over = if self.use_rslora { (rank as f64).sqrt() } else { rank as f64 };
        own.or(self.lora_alpha).map_or(1.0, |alpha| alpha / over)
    }
}

fn parse<T: DeserializeOwned>(path: &Path, key: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::weights(path, format!("its metadata `{key}` is damaged: {error}")))
}
