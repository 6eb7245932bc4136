//! Where the checkpoint is.

use std::path::{Path, PathBuf};

use clap::Args;
use wan_animate::{Builder, Pipeline};

#[derive(Args, Debug)]
pub struct Checkpoint {
    /// A checkpoint folder, in the layout of diffusers or of the official release. `animate` and `replace` use the demo's where neither
    /// this nor a transformer is named.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The transformer, or the high-noise expert, by itself: safetensors, GGUF or a torch file, such as ComfyUI's. Like the other parts
    /// below it comes before that of --model, which may be left out where all are given.
    #[arg(long, value_name = "FILE")]
    transformer: Option<PathBuf>,
    /// The text encoder by itself.
    #[arg(long, value_name = "FILE")]
    text_encoder: Option<PathBuf>,
    /// The folder of the text encoder's tokenizer; not needed where the text encoder's file has a vocabulary.
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<PathBuf>,
    /// The VAE by itself.
    #[arg(long, value_name = "FILE")]
    vae: Option<PathBuf>,
    /// CLIP by itself.
    #[arg(long, value_name = "FILE")]
    image_encoder: Option<PathBuf>,
    /// A tiny decoder for --preview, such as taew2_1.safetensors: previews are then of the full size.
    #[arg(long, value_name = "FILE")]
    preview_decoder: Option<PathBuf>,
    /// A tiny decoder in place of the VAE's: a draft of the video, in much less time, with faults in faces and fine detail.
    #[arg(long, value_name = "FILE")]
    draft_decoder: Option<PathBuf>,
}

/// A method of the builder that takes a part.
type Setter<'a, P> = fn(Builder<'a, P>, PathBuf) -> Builder<'a, P>;

impl Checkpoint {
    /// The folder, where one is named.
    pub fn folder(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    pub fn is_named(&self) -> bool {
        self.model.is_some() || self.transformer.is_some()
    }

    /// Itself, or `folder` where none is named.
    pub fn or(self, folder: PathBuf) -> Self {
        if self.is_named() { self } else { Self { model: Some(folder), ..self } }
    }

    pub fn apply<'a, P: Pipeline>(&self, builder: Builder<'a, P>) -> Builder<'a, P> {
        let parts: [(&Option<PathBuf>, Setter<'a, P>); 8] = [
            (&self.model, Builder::checkpoint),
            (&self.transformer, Builder::transformer),
            (&self.text_encoder, Builder::text_encoder),
            (&self.tokenizer, Builder::tokenizer),
            (&self.vae, Builder::vae),
            (&self.image_encoder, Builder::image_encoder),
            (&self.preview_decoder, Builder::preview_decoder),
            (&self.draft_decoder, Builder::draft_decoder),
        ];
        parts.into_iter().fold(builder, |builder, (path, set)| match path {
            Some(path) => set(builder, path.clone()),
            None => builder,
        })
    }
}
