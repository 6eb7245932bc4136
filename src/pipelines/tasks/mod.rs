//! What can be asked for: [`animate`], and [`video`]s from text and images. Inputs may be given or [`shared`].

pub(crate) mod animate;
pub(crate) mod shared;
pub(crate) mod video;
