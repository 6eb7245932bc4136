//! What the targets share: an allocator that holds readers to a limit, and files for those that map what they read.

use std::alloc::System;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cap::Cap;
use tempfile::TempDir;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::coverage::Coverage;
use wan_animate::unversioned::models::registry::model_of;
use wan_animate::unversioned::weights::Weights;

/// Ends the process, which is a finding, where more is asked for: libFuzzer's own `-malloc_limit_mb` needs a sanitizer.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 256 << 20);

/// A folder in memory, where there is such a thing, that lasts as long as the process.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let memory = Path::new("/dev/shm");
    FOLDER.get_or_init(|| if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder")).path()
}

/// A file of this content.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("writable");
    path
}

/// Opens a checkpoint, which may be of several models, and reads all that is in it, however it fails.
pub fn read_all(path: &Path) {
    models::registry::open_all(path).into_iter().flatten().for_each(read);
}

fn read(weights: Weights) {
    for (name, info) in weights.iter() {
        let _ = weights.to_f32(name, &info.shape);
        let stored = weights.claim(name, &info.shape).ok().filter(|claim| claim.form().is_some());
        let _ = stored.map(|claim| claim.read_quantized().map(|stored| stored.may_be_infinite()));
    }
    let _ = models::umt5::spec::tokenizer(&weights).map(|tokenizer| tokenizer.map(|tokenizer| tokenizer.encode("A dancer", 64)));
    let _ = weights.finish();
    let _ = model_of(&weights).map(|model| Coverage::of(model, &weights));
}
