//! The parts of each model against the reference, and their weights as checkpoints name them.

#[path = "../common/mod.rs"]
mod common;

mod clip;
mod dit;
mod face;
mod umt5;
mod vae;
