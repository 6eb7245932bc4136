//! What a generation fills.

use crate::models::vae::{config::Config, tiling::VaeTiling};
use crate::pipelines::run::{crop::Crop, segments::Segments, windows::Windows};

#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// What of it the result shows.
    pub crop: Crop,
    pub segments: Segments,
    /// [C, T, H, W] of the latents of a segment.
    pub latents: [usize; 4],
    pub tiling: VaeTiling,
    /// What a pass of the model looks at beside the reference, where that is not all.
    pub windows: Option<Windows>,
}

impl Canvas {
    /// Latent frames that a pass of the model looks at.
    pub fn latent_frames_of_a_pass(&self) -> usize {
        let all = self.latents[1];
        self.windows.map_or(all, |windows| 1 + windows.latent_frames(all - 1))
    }

    /// Of patches of two by two latents, as all pipelines have them.
    pub fn tokens_of_a_frame(&self) -> usize {
        let [_, _, rows, cols] = self.latents;
        rows / 2 * (cols / 2)
    }

    /// Pixels on a side of the tiles that the VAE may come to after whole frames, the largest first: none where the request says which.
    pub fn smaller_tiles(&self, vae: &Config) -> Vec<u32> {
        let ([_, _, rows, cols], unit) = (self.latents, vae.pixels_per_latent());
        match self.tiling {
            VaeTiling::Auto => self.tiling.attempts([rows, cols], unit).into_iter().flatten().map(|size| (size * unit) as u32).collect(),
            _ => Vec::new(),
        }
    }
}
