//! A picture of a run: the reference, then a row of each input that is shown and a row of results.

use std::path::{Path, PathBuf};

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use wan_animate::video::{Frame, Frames};
use wan_animate::{Error, Result};

const COLUMNS: usize = 8;
const HEIGHT: u32 = 160;
const GAP: u32 = 6;

/// Keeps some frames of a generation, evenly spread.
pub struct ContactSheet {
    path: PathBuf,
    wanted: Vec<usize>,
    frames: Vec<RgbImage>,
}

impl ContactSheet {
    pub fn new(path: &Path, num_frames: usize) -> Self {
        let columns = COLUMNS.min(num_frames);
        let wanted = (0..columns).map(|i| i * (num_frames - 1) / (columns - 1).max(1)).collect();
        Self { path: path.into(), wanted, frames: Vec::new() }
    }

    pub fn offer(&mut self, index: usize, frame: &Frame) {
        if self.wanted.contains(&index) {
            self.frames.push(thumbnail(&frame.to_rgb8()));
        }
    }

    /// `offset` is the input frame that the first result belongs to.
    pub fn write(self, reference: &RgbImage, inputs: &[Frames], offset: usize) -> Result<()> {
        let mut rows = Vec::new();
        for video in inputs {
            let last = video.num_frames() - 1;
            let shown = self.wanted.iter().map(|index| Ok(thumbnail(&video.read((offset + index).min(last))?)));
            rows.push(shown.collect::<Result<Vec<_>>>()?);
        }
        rows.push(self.frames);
        let reference = thumbnail(reference);
        let row_width = |row: &Vec<RgbImage>| row.iter().map(|image| image.width() + GAP).sum::<u32>();
        let width = reference.width() + 2 * GAP + rows.iter().map(row_width).max().unwrap_or(0);
        let height = GAP + rows.len() as u32 * (HEIGHT + GAP);
        let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
        overlay(&mut sheet, &reference, i64::from(GAP), i64::from((height - HEIGHT) / 2));
        for (row, y) in rows.iter().zip((GAP..).step_by((HEIGHT + GAP) as usize)) {
            let mut x = reference.width() + 2 * GAP;
            for image in row {
                overlay(&mut sheet, image, i64::from(x), i64::from(y));
                x += image.width() + GAP;
            }
        }
        sheet.save(&self.path).map_err(|error| Error::Input(format!("{}: {error}", self.path.display())))
    }
}

fn thumbnail(image: &RgbImage) -> RgbImage {
    let width = (u64::from(image.width()) * u64::from(HEIGHT) / u64::from(image.height())).max(1) as u32;
    resize(image, width, HEIGHT, FilterType::Triangle)
}
