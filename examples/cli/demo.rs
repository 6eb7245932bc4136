//! What stands in where nothing is named: the small checkpoint of the repository, and its drawn inputs.

use std::path::{Path, PathBuf};

/// Frames at once that the checkpoint was trained with.
pub const SEGMENT_FRAMES: usize = 17;

/// The crate's package has no demo.
pub fn is_here() -> bool {
    path("model").exists()
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name)
}
