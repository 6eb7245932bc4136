//! TAEHV, a tiny decoder for the latents of Wan's autoencoders: a twentieth of their work, for previews and drafts. `taew2_1` is for VAE 2.1,
//! `taew2_2` for VAE 2.2. Its files have an encoder too, which is left out.
//!
//! It is causal, and looks one frame back. So latents pass through one at a time, and what is kept of the past are the inputs of nine blocks.
//! Weights are those of the released files; what stands before the first convolution and after the last is part of theirs.

pub mod block;
pub mod config;
pub mod decoder;
pub mod level;
pub mod spec;

pub use decoder::{Stream, TinyDecoder};
