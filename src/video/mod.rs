//! Frames in and out, and what the models' inputs are made of.

pub mod clip_image;
pub mod interpolate;
pub mod preprocess;
pub mod resize;
mod still;

pub use still::open_image;
