//! Latents as a grid of patches.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::config::Config;
use crate::ops::permute::permute;
use crate::shape::Dims;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(super) frames: usize,
    rows: usize,
    cols: usize,
    patch: [usize; 2],
}

impl Grid {
    pub(crate) fn of(latents: &Tensor, config: &Config) -> Result<Self> {
        let dims = Dims::new().check("latents", latents, &["C", "T", "H", "W"])?;
        let [_, p, q] = config.patch_size;
        let (h, w) = (dims.get("H"), dims.get("W"));
        if h % p != 0 || w % q != 0 {
            return Err(Error::Input(format!("latents of {h}x{w} cannot be cut into patches of {p}x{q}")));
        }
        Ok(Self { frames: dims.get("T"), rows: h / p, cols: w / q, patch: [p, q] })
    }

    /// Tokens along time, height and width.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        [self.frames, self.rows, self.cols]
    }

    /// [C, T, H, W] to tokens [L, C * p * q].
    pub(crate) fn patches(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Tensor> {
        let channels = latents.shape()[0];
        let [p, q] = self.patch;
        let split = latents.reshape(&[channels, self.frames, self.rows, p, self.cols, q]);
        let cols = channels * p * q;
        let tokens = permute(rec, &split, &[1, 2, 4, 0, 3, 5], DType::F32)?;
        Ok(tokens.reshape(&[self.frames * self.rows * self.cols, cols]))
    }

    /// Tokens [L, p * q * C] to [C, T, H, W].
    pub(crate) fn unpatch(&self, rec: &mut Recorder, tokens: &Tensor) -> Result<Tensor> {
        let [p, q] = self.patch;
        let channels = tokens.cols() / (p * q);
        let split = tokens.reshape(&[self.frames, self.rows, self.cols, p, q, channels]);
        let latents = permute(rec, &split, &[5, 0, 1, 3, 2, 4], DType::F32)?;
        Ok(latents.reshape(&[channels, self.frames, self.rows * p, self.cols * q]))
    }
}
