//! How much larger a mask is made than what was found.

use clap::Args;
use wan_animate::preprocess::Preprocess;

#[derive(Args, Clone, Copy, Debug)]
pub struct MaskGrowth {
    /// How often the mask is dilated.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "video")]
    iterations: u32,
    /// By a square of so many pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 7, requires = "video")]
    kernel_size: u32,
    /// Columns of the grid whose cells are filled where the mask is in them.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "video")]
    w_subdivisions: u32,
    /// Rows of it.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "video")]
    h_subdivisions: u32,
    /// Islands of less than this share of the mask are dropped.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "video")]
    least_island: f64,
    /// Holes of at most this share of the mask are filled.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "video")]
    largest_hole: f64,
}

impl MaskGrowth {
    pub fn apply(self, preprocess: Preprocess) -> Preprocess {
        let Self { iterations, kernel_size, w_subdivisions, h_subdivisions, least_island, largest_hole } = self;
        preprocess
            .least_island(least_island)
            .largest_hole(largest_hole)
            .iterations(iterations)
            .kernel_size(kernel_size)
            .w_subdivisions(w_subdivisions)
            .h_subdivisions(h_subdivisions)
    }
}
