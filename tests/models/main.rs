//! The parts of each model against the reference, and their weights as checkpoints name them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/published.rs"]
mod published;
#[path = "../common/tiny.rs"]
mod tiny;
#[path = "../common/tiny_sam2.rs"]
mod tiny_sam2;

mod accuracy;
mod clip;
mod dit;
mod face;
mod sam2;
mod umt5;
mod vae;
