//! What can be asked for: [`animate`], [`animate2`], and [`video`]s from text and images. Inputs may be given or [`shared`].

pub(crate) mod animate;
pub(crate) mod animate2;
pub(crate) mod shared;
pub(crate) mod video;
