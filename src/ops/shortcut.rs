//! Shortcuts without weights past a change of resolution: means of blocks of pixels, and copies to them.

use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor, kernel::SCALAR};

pub static SHORTCUT: Kernel = Kernel {
    slots: &[Slot::read("x", SCALAR), Slot::read("residual", SCALAR), Slot::write("out", SCALAR)],
    variants: &[&[("UP", &[0, 1])]],
    ..Kernel::of("shortcut", include_str!("../../wgsl/shortcut.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, in_w: u32, in_c: u32, out_w: u32, out_c: u32, time: u32, space: u32, share: u32, t: u32 });

/// The pixels of high resolution that answer to one of low resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBlock {
    pub time: usize,
    pub space: usize,
}

impl PixelBlock {
    pub fn pixels(self) -> usize {
        self.time * self.space * self.space
    }

    /// How many entries of a block answer to each of the `low` channels of the low resolution, where the high one has `high`
    /// channels; none where they do not share out evenly.
    pub fn share(self, low: usize, high: usize) -> Option<usize> {
        let entries = high * self.pixels();
        (entries.checked_rem(low) == Some(0)).then(|| entries / low)
    }
}

/// `residual` [1, H / space, W / space, C'], plus what the frame x [1, H, W, C] adds, as frame `t` of its blocks, to means of the
/// entries of a block: its C channels one after another, of each its pixels frame by frame and row by row. As many entries in a row
/// make a mean as leave C' of them. All in f32.
///
/// # Errors
/// [`Error::Input`] where the shapes are others or the entries do not share out evenly.
pub fn avg_down(rec: &mut Recorder, x: &Tensor, residual: &Tensor, block: PixelBlock, t: usize) -> Result<Tensor> {
    let share = share(residual, x, block, t)?;
    part(rec, x, residual, Share { block, t, share, up: false })
}

/// `residual` [1, H * space, W * space, C'], plus frame `t` of the blocks that the pixels of x [1, H, W, C] become: each of the C
/// channels is as many entries of a block in a row as give C' channels, in the order of [`avg_down`]. All in f32.
///
/// # Errors
/// [`Error::Input`] where the shapes are others or the entries do not share out evenly.
pub fn dup_up(rec: &mut Recorder, x: &Tensor, residual: &Tensor, block: PixelBlock, t: usize) -> Result<Tensor> {
    let share = share(x, residual, block, t)?;
    part(rec, x, residual, Share { block, t, share, up: true })
}

fn share(low: &Tensor, high: &Tensor, block: PixelBlock, t: usize) -> Result<usize> {
    let (from, to) = (low.shape(), high.shape());
    let share = match (from, to) {
        (&[1, low_h, low_w, low_c], &[1, high_h, high_w, high_c])
            if [low_h * block.space, low_w * block.space] == [high_h, high_w] && t < block.time =>
        {
            block.share(low_c, high_c)
        }
        _ => None,
    };
    share.ok_or_else(|| Error::Input(format!("a shortcut between {from:?} and {to:?} by frame {t} of {block:?}")))
}

struct Share {
    block: PixelBlock,
    t: usize,
    share: usize,
    up: bool,
}

fn part(rec: &mut Recorder, x: &Tensor, residual: &Tensor, Share { block, t, share, up }: Share) -> Result<Tensor> {
    let out = rec.alloc(residual.shape(), residual.dtype())?;
    let params = Params {
        count: out.len() as u32,
        in_w: x.shape()[2] as u32,
        in_c: x.cols() as u32,
        out_w: out.shape()[2] as u32,
        out_c: out.cols() as u32,
        time: block.time as u32,
        space: block.space as u32,
        share: share as u32,
        t: t as u32,
    };
    let args = [Arg::scalar(x), Arg::scalar(residual), Arg::scalar(&out)];
    rec.dispatch(
        &SHORTCUT,
        &[("UP", u32::from(up))],
        &params,
        &args,
        out.len().div_ceil(64),
        Cost::of((out.len() + x.len()) as f64, &args),
    )?;
    Ok(out)
}
