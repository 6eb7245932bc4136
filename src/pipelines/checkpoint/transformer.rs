//! What pipelines and plans ask of one transformer, or of two.

use crate::error::Result;
use crate::gpu::{Device, Sink};
use crate::models::dit::config::Config;
use crate::pipelines::checkpoint::expert::Expert;

/// See the module.
pub trait Transformer {
    /// The configuration, which two share.
    fn config(&self) -> &Config;

    /// Bytes of each block on the GPU, where it is on a dry device.
    fn layers(&self, dry: &Device) -> Result<Vec<u64>>;

    /// What the timesteps become of one of two transformers, `[C]` each, by the host.
    fn time_embeddings(&self, expert: Expert, timesteps: &[f64]) -> Result<Vec<Vec<f32>>>;

    /// Loads so many blocks to stay until a generation says otherwise; with `both`, of two transformers. Others leave.
    fn fill(&self, sink: &dyn Sink, count: usize, both: bool) -> Result<()>;
}
