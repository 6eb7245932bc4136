//! Images cut into windows, with zeros up to whole ones, and put together again.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::permute::permute;
use crate::ops::strided::{View, strided};

/// An image of tokens, and the windows in it.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Rows of tokens.
    pub height: usize,
    /// Columns of tokens.
    pub width: usize,
    /// Height and width of a window; none where the image is one.
    pub window: Option<usize>,
}

impl Grid {
    /// What it becomes where height and width are halved.
    pub fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2, window: self.window.map(|window| window / 2) }
    }

    /// Windows along the height and along the width.
    fn counts(&self) -> [usize; 2] {
        self.window.map_or([1, 1], |window| [self.height.div_ceil(window), self.width.div_ceil(window)])
    }

    /// How many windows there are.
    pub fn windows(&self) -> usize {
        self.counts().iter().product()
    }

    /// Height and width of a window.
    pub fn window_size(&self) -> [usize; 2] {
        self.window.map_or([self.height, self.width], |window| [window; 2])
    }

    /// Height and width of all windows together.
    fn padded(&self) -> [usize; 2] {
        let (counts, size) = (self.counts(), self.window_size());
        [counts[0] * size[0], counts[1] * size[1]]
    }

    fn is_padded(&self) -> bool {
        self.padded() != [self.height, self.width]
    }
}

/// x [H * W, C] in f32 to the rows of all windows one after another as `dtype`, of zeros where there is no token.
pub fn part(rec: &mut Recorder, x: &Tensor, grid: Grid, dtype: DType) -> Result<Tensor> {
    let (channels, [rows, columns], [height, width]) = (x.cols(), grid.counts(), grid.window_size());
    let x = if grid.is_padded() { padded(rec, x, grid)? } else { x.clone() };
    let out = permute(rec, &x.reshape(&[rows, height, columns, width, channels]), &[0, 2, 1, 3, 4], dtype)?;
    Ok(out.reshape(&[out.rows(), channels]))
}

/// The rows of all windows to those of the image, [H * W, C]: the way back from [`part`].
pub fn join(rec: &mut Recorder, x: &Tensor, grid: Grid) -> Result<Tensor> {
    let (channels, [rows, columns], [height, width]) = (x.cols(), grid.counts(), grid.window_size());
    let dtype = if grid.is_padded() { DType::F32 } else { x.dtype() };
    let whole = permute(rec, &x.reshape(&[rows, columns, height, width, channels]), &[0, 2, 1, 3, 4], dtype)?;
    if !grid.is_padded() {
        return Ok(whole.reshape(&[whole.rows(), channels]));
    }
    let out = rec.alloc(&[grid.height * grid.width, channels], DType::F32)?;
    let [_, stride] = grid.padded();
    let (from, to) = (view(0, stride, channels), view(0, grid.width, channels));
    strided(rec, &[grid.height, grid.width, channels], (&whole, &from), (&out, &to))?;
    Ok(out)
}

/// With zeros after the last row and column, up to whole windows.
fn padded(rec: &mut Recorder, x: &Tensor, grid: Grid) -> Result<Tensor> {
    let (channels, [height, width]) = (x.cols(), grid.padded());
    let (right, below) = (width - grid.width, height - grid.height);
    let out = rec.alloc(&[height * width, channels], DType::F32)?;
    let (zero, nothing) = (rec.zeros(&[1])?, View { offset: 0, strides: vec![0; 3] });
    strided(rec, &[grid.height, grid.width, channels], (x, &view(0, grid.width, channels)), (&out, &view(0, width, channels)))?;
    strided(rec, &[grid.height, right, channels], (&zero, &nothing), (&out, &view(grid.width * channels, width, channels)))?;
    strided(rec, &[below, width, channels], (&zero, &nothing), (&out, &view(grid.height * width * channels, width, channels)))?;
    Ok(out)
}

/// Of a part [.., .., C] of an image of so many columns.
fn view(offset: usize, columns: usize, channels: usize) -> View {
    View { offset, strides: vec![(columns * channels) as isize, channels as isize, 1] }
}
