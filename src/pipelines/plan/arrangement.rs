//! What stays on the GPU while a generation runs, and how much is worked on at a time.

use crate::error::Result;
use crate::gpu::Device;
use crate::models::dit::Footprint;
use crate::pipelines::event::Stage;

/// Found by a [`Search`](super::search::Search).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrangement {
    pub footprint: Footprint,
    /// Whether the expert that does not work stays too.
    pub both_experts: bool,
    /// Pixels on a side of the VAE's tiles, where the request leaves that open; none for whole frames.
    pub tile: Option<u32>,
    /// Blocks by stage: encoding, conditioning, denoising, decoding.
    pub resident: [usize; 4],
}

impl Default for Arrangement {
    fn default() -> Self {
        Self { footprint: Footprint::default(), both_experts: true, tile: None, resident: [usize::MAX; 4] }
    }
}

impl Arrangement {
    /// Blocks of the transformer that stay during a stage.
    pub fn resident(&self, stage: Stage) -> usize {
        self.resident[place(stage)]
    }
}

/// Where a stage stands among the four kinds.
pub(super) fn place(stage: Stage) -> usize {
    match stage {
        Stage::Encoding => 0,
        Stage::Conditioning { .. } => 1,
        Stage::Denoising { .. } | Stage::Switching { .. } => 2,
        Stage::Decoding { .. } => 3,
    }
}

/// What a plan asks of one transformer, or of two.
pub(crate) trait Transformer {
    /// Bytes of each block on the GPU, where it is on a dry device.
    fn layers(&self, dry: &Device) -> Result<Vec<u64>>;

    /// Loads so many blocks to stay, as an earlier generation leaves them, where it is on a dry device.
    fn fill(&self, dry: &Device, count: usize) -> Result<()>;

    /// From now on so many blocks stay, and passes take no more than the footprint.
    fn keep(&self, resident: usize, arrangement: &Arrangement);
}
