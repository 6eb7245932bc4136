//! What stays on the GPU while a generation runs, and how much is worked on at a time.
//!
//! It is the generation's own: others on the same pipeline may have another.

use crate::models::dit::session::SessionOptions;
use crate::models::vae::tiling::VaeTiling;
use crate::pipelines::run::event::Stage;

/// Kinds of stages.
pub const STAGES: usize = 5;

/// By default all of it, and as much as is fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrangement {
    pub options: SessionOptions,
    /// Whether the expert that does not work stays too.
    pub both_experts: bool,
    /// Pixels on a side of the VAE's tiles, where the request leaves that open; none for whole frames.
    pub tile: Option<u32>,
    /// Blocks by stage: encoding, conditioning, denoising, decoding, preprocessing.
    pub resident: [usize; STAGES],
}

impl Default for Arrangement {
    fn default() -> Self {
        Self { options: SessionOptions::default(), both_experts: true, tile: None, resident: [usize::MAX; STAGES] }
    }
}

impl Arrangement {
    /// Blocks of the transformer that stay during a stage.
    pub fn resident(&self, stage: Stage) -> usize {
        self.resident[place(stage)]
    }

    /// What was asked for, or the tiles of the arrangement where that is open.
    pub fn tiling(&self, asked: VaeTiling) -> VaeTiling {
        match (asked, self.tile) {
            (VaeTiling::Auto, Some(tile)) => VaeTiling::Pixels(tile),
            _ => asked,
        }
    }
}

/// Where a stage stands among the kinds.
pub(crate) fn place(stage: Stage) -> usize {
    match stage {
        Stage::Encoding => 0,
        Stage::Conditioning { .. } => 1,
        Stage::Denoising { .. } | Stage::Switching { .. } => 2,
        Stage::Decoding { .. } => 3,
        Stage::Preprocessing => 4,
    }
}
