//! Checkpoints, LoRAs and conversion: every format and layout, and what is wrong with a file.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/published.rs"]
mod published;
#[path = "../common/tiny.rs"]
mod tiny;

mod convert;
mod field;
mod formats;
mod from_memory;
mod inspect;
mod layouts;
mod lora;
mod names;
mod quantized;
mod strengths;
mod weights;
