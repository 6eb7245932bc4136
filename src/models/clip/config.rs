//! `image_encoder/config.json`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ops::Activation;

/// The sizes of a vision tower, under transformers' names and with its defaults.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// C, the width of a token.
    pub hidden_size: usize,
    /// Width inside the MLPs.
    pub intermediate_size: usize,
    /// Layers, the last one included.
    pub num_hidden_layers: usize,
    /// N; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Channels of an image; 3.
    pub num_channels: usize,
    /// S, height and width of an image.
    pub image_size: usize,
    /// Height and width of a patch.
    pub patch_size: usize,
    pub hidden_act: String,
    pub layer_norm_eps: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl Config {
    /// Refuses what this crate cannot run, naming the field.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that transformers allows and this crate does not; [`Error::Input`] for one that fits no
    /// model.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|&(_, size)| size == 0 || size > 1 << 16) {
            return Err(Error::Input(format!("image encoder config: `{field}` is {size}")));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps >= 0.0) {
            return Err(Error::Input(format!("image encoder config: `layer_norm_eps` is {}; it must be 0 or more", self.layer_norm_eps)));
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if width % heads != 0 {
            return Err(Error::Input(format!(
                "image encoder config: `hidden_size` {width} is no multiple of `num_attention_heads` {heads}"
            )));
        }
        let (image, patch) = (self.image_size, self.patch_size);
        if image < patch {
            return Err(Error::Input(format!("image encoder config: `image_size` {image} is less than `patch_size` {patch}")));
        }
        if self.num_channels != 3 {
            return Err(Error::Unsupported(format!("image encoder config: `num_channels` is {}; images have 3", self.num_channels)));
        }
        self.activation().map(|_| ())
    }

    pub fn activation(&self) -> Result<Activation> {
        let unknown = || Error::Unsupported(format!("image encoder config: `hidden_act` is `{}`", self.hidden_act));
        Activation::named(&self.hidden_act).ok_or_else(unknown)
    }

    /// Patches along the height, and as many along the width. What an image has beyond whole patches is left unseen.
    pub fn patches(&self) -> usize {
        self.image_size / self.patch_size
    }
}
