//! Whole pipelines: against the reference, and by every setting that an application may choose.

#[path = "../common/checkpoint.rs"]
mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/official.rs"]
mod official;
#[path = "../common/published.rs"]
mod published;
#[path = "../common/tiny_sam2.rs"]
mod tiny_sam2;

mod animate2;
mod api;
mod asynchronous;
mod cache;
mod cache_goldens;
mod color_anchor;
mod continuation;
mod demo;
mod driving;
mod errors;
mod family;
mod goldens;
mod limits;
mod masks;
mod networks;
mod official_release;
mod official_video;
mod radial;
mod real_inputs;
mod safety;
mod settings;
mod slices;
mod tiny_decoder;
mod windows;
