//! Where the parts of a checkpoint are.

use std::collections::BTreeMap;
use std::path::Path;

use crate::location::Location;

/// A part of a checkpoint that a file of its own may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The only transformer, or the high-noise expert.
    Transformer,
    Transformer2,
    TextEncoder,
    Tokenizer,
    Vae,
    ImageEncoder,
    /// A tiny decoder for previews.
    PreviewDecoder,
    /// One in place of the VAE's decoder.
    DraftDecoder,
}

impl Part {
    /// What diffusers calls its folder, and the builder the method that takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Transformer2 => "transformer_2",
            Self::TextEncoder => "text_encoder",
            Self::Tokenizer => "tokenizer",
            Self::Vae => "vae",
            Self::ImageEncoder => "image_encoder",
            Self::PreviewDecoder => "preview_decoder",
            Self::DraftDecoder => "draft_decoder",
        }
    }
}

/// A folder, parts given one by one, which come before those of the folder, or both.
#[derive(Clone, Debug, Default)]
pub struct Source {
    folder: Option<Location>,
    parts: BTreeMap<Part, Location>,
}

impl Source {
    pub(crate) fn set_folder(&mut self, folder: Location) {
        self.folder = Some(folder);
    }

    pub(crate) fn set(&mut self, part: Part, location: Location) {
        self.parts.insert(part, location);
    }

    pub(crate) fn folder(&self) -> Option<&Location> {
        self.folder.as_ref()
    }

    pub(crate) fn get(&self, part: Part) -> Option<&Location> {
        self.parts.get(&part)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.folder.is_none() && self.parts.is_empty()
    }

    /// What errors about the whole are said of: the folder, or the first part.
    pub(crate) fn path(&self) -> &Path {
        self.folder().or_else(|| self.parts.values().next()).map_or(Path::new("."), Location::path)
    }
}
