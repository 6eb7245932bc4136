//! LoRAs on the command line.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use wan_animate::{Lora, Result};

/// `FILE` or `FILE:WEIGHT`.
#[derive(Clone, Debug)]
pub struct LoraFile {
    path: PathBuf,
    weight: f32,
}

impl FromStr for LoraFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // What follows a colon may belong to the name, as in `C:\style.safetensors`.
        let weighted = text.rsplit_once(':').and_then(|(path, weight)| Some((path, weight.parse().ok()?)));
        let (path, weight) = weighted.unwrap_or((text, 1.0));
        Ok(Self { path: path.into(), weight })
    }
}

impl LoraFile {
    pub fn open(&self) -> Result<Lora> {
        Ok(Lora::open(&self.path)?.weight(self.weight))
    }
}
