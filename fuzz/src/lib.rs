//! What the targets share: an allocator that holds readers to a limit, and files in memory.

use std::alloc::System;

use cap::Cap;
use wan_animate::Location;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::coverage::Coverage;
use wan_animate::unversioned::models::registry::model_of;
use wan_animate::unversioned::weights::Weights;

/// Ends the process, which is a finding, where more is asked for: libFuzzer's own `-malloc_limit_mb` needs a sanitizer.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 256 << 20);

/// A file of this content.
pub fn file(name: &str, bytes: &[u8]) -> Location {
    Location::file(name, bytes.to_vec())
}

/// Opens a checkpoint, which may be of several models, and reads all that is in it, however it fails.
pub fn read_all(location: impl Into<Location>) {
    models::registry::open_all(location).into_iter().flatten().for_each(read);
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
