//! The diffusion transformer of Wan, and the parts that Animate adds to it.
//!
//! [`Dit`] is the [backbone] that every Wan model shares. It has [hooks], at which others act: [`Animate`](animate::Animate) holds a
//! backbone and adds the pose to its patches and the face adapter after some of its blocks.
//!
//! A loaded model does not change. What belongs to one generation, what of it is the same for all steps and which blocks stay on the GPU
//! for it, is its [`Session`]. A pass works on [runs] of tokens, and may reuse what layers did before, from a [cache].

pub mod animate;
pub mod animate2;
pub mod backbone;
pub mod beside;
pub mod block;
pub mod cache;
pub mod config;
pub mod embed;
pub mod face_adapter;
pub mod face_encoder;
pub mod grid;
pub mod hooks;
pub mod modulation;
pub mod motion_encoder;
pub mod names;
pub mod positions;
pub mod prediction;
pub mod projections;
pub mod radial;
pub mod runs;
pub mod self_keys;
pub mod session;
pub mod spec;

pub use backbone::Dit;
pub use embed::Timestep;
pub use session::{Session, SessionOptions};
