//! From where a person is to what is generated anew.

use std::ops::Range;

use image::{GrayImage, Luma, RgbImage, imageops};

use crate::{Error, Result};

const WHITE: u8 = 255;

/// How a person's mask grows into the mask of what is generated. The defaults are those of Wan2.2's own preprocessing: the box around the
/// person, grown by 9 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct MaskGrowth {
    /// How often the mask is dilated; 3 by default. With 0 the mask is used as it is, without a grid.
    pub iterations: u32,
    /// Width and height in pixels of the square that it is dilated by; 7 by default.
    pub kernel_size: u32,
    /// Into how many columns the box around the mask is divided; a cell that the mask touches is filled. 1 by default: the whole box.
    pub w_subdivisions: u32,
    /// Into how many rows it is divided; 1 by default.
    pub h_subdivisions: u32,
}

impl Default for MaskGrowth {
    fn default() -> Self {
        Self { iterations: 3, kernel_size: 7, w_subdivisions: 1, h_subdivisions: 1 }
    }
}

impl MaskGrowth {
    pub(super) fn check(&self) -> Result<()> {
        let Self { kernel_size, w_subdivisions, h_subdivisions, .. } = *self;
        let settings = [("kernel_size", kernel_size), ("w_subdivisions", w_subdivisions), ("h_subdivisions", h_subdivisions)];
        match settings.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(Error::Input(format!("a mask's {name} cannot be 0; give 1 or more"))),
            None => Ok(()),
        }
    }

    /// The mask of what is generated.
    ///
    /// # Errors
    /// [`Error::Input`] where the kernel's size or a number of subdivisions is 0.
    pub fn apply(&self, mask: &GrayImage) -> Result<GrayImage> {
        self.check()?;
        if self.iterations == 0 {
            return Ok(mask.clone());
        }
        let dilated = dilate(mask, self.kernel_size, self.iterations);
        Ok(fill_grid(dilated, self.w_subdivisions, self.h_subdivisions))
    }
}

/// The mask of a picture: 255 where its red is above 127, else 0.
pub fn binary_mask(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| Luma([if image.get_pixel(x, y).0[0] > 127 { WHITE } else { 0 }]))
}

/// A mask (0 or 255) grown by a square of `kernel_size` pixels, `iterations` times, as `cv2.dilate` does.
pub fn dilate(mask: &GrayImage, kernel_size: u32, iterations: u32) -> GrayImage {
    // No picture is larger than the bounds.
    let (kernel, iterations) = (kernel_size.clamp(1, 1 << 20) as usize, iterations.min(1 << 20) as usize);
    // The anchor of a square of even size is right of its middle.
    let (before, after) = (kernel / 2 * iterations, (kernel - 1 - kernel / 2) * iterations);
    let (width, height) = mask.dimensions();
    let rows = spread_along(mask.as_raw(), width as usize, before, after);
    let all = spread_across(&rows, width as usize, before, after);
    GrayImage::from_raw(width, height, all).expect("as many pixels as before")
}

/// Each row's pixels are white where one of the `before` pixels to their left or the `after` to their right is.
fn spread_along(pixels: &[u8], width: usize, before: usize, after: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for row in pixels.chunks(width.max(1)) {
        let is_white = |x: usize| u32::from(row.get(x).is_some_and(|&pixel| pixel != 0));
        let mut count: u32 = (0..after.min(row.len())).map(is_white).sum();
        for x in 0..row.len() {
            count += is_white(x + after);
            out.push(if count > 0 { WHITE } else { 0 });
            count -= x.checked_sub(before).map_or(0, is_white);
        }
    }
    out
}

/// The same for columns: of the `before` pixels above and the `after` below.
fn spread_across(pixels: &[u8], width: usize, before: usize, after: usize) -> Vec<u8> {
    let mut counts = vec![0u32; width];
    let mut out = Vec::with_capacity(pixels.len());
    let rows: Vec<&[u8]> = pixels.chunks(width.max(1)).collect();
    rows.iter().take(after).for_each(|row| counts.iter_mut().zip(*row).for_each(|(count, &pixel)| *count += u32::from(pixel != 0)));
    for y in 0..rows.len() {
        if let Some(row) = rows.get(y + after) {
            counts.iter_mut().zip(*row).for_each(|(count, &pixel)| *count += u32::from(pixel != 0));
        }
        out.extend(counts.iter().map(|&count| if count > 0 { WHITE } else { 0 }));
        if let Some(y) = y.checked_sub(before) {
            counts.iter_mut().zip(rows[y]).for_each(|(count, &pixel)| *count -= u32::from(pixel != 0));
        }
    }
    out
}

/// Divides the box around the mask into cells of whole pixels and fills those that it touches. The last column and row of the box are not
/// part of any cell.
fn fill_grid(mut mask: GrayImage, w_subdivisions: u32, h_subdivisions: u32) -> GrayImage {
    let Some((columns, rows)) = extent(&mask) else { return mask };
    let cells = |range: &Range<u32>, subdivisions: u32| {
        let (start, last) = (range.start, range.end - 1);
        let step = ((last - start) / subdivisions).max(1);
        (start..last).step_by(step as usize).map(move |cell| cell..(cell + step).min(last))
    };
    for columns in cells(&columns, w_subdivisions) {
        for rows in cells(&rows, h_subdivisions) {
            let places = || rows.clone().flat_map(|y| columns.clone().map(move |x| (x, y)));
            if places().any(|(x, y)| mask.get_pixel(x, y).0[0] != 0) {
                places().for_each(|(x, y)| mask.put_pixel(x, y, Luma([WHITE])));
            }
        }
    }
    mask
}

/// The columns and rows from the first to the last with a white pixel.
pub(super) fn extent(mask: &GrayImage) -> Option<(Range<u32>, Range<u32>)> {
    let mut found: Option<(Range<u32>, Range<u32>)> = None;
    for (x, y, _) in mask.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] != 0) {
        let (columns, rows) = found.get_or_insert((x..x + 1, y..y + 1));
        *columns = columns.start.min(x)..columns.end.max(x + 1);
        *rows = rows.start.min(y)..rows.end.max(y + 1);
    }
    found
}

/// How many pixels are white.
pub(super) fn area(mask: &GrayImage) -> usize {
    mask.as_raw().iter().filter(|&&pixel| pixel != 0).count()
}

/// The frame with all that is generated made black.
pub fn cut_out(frame: &RgbImage, mask: &GrayImage) -> RgbImage {
    let mut out = frame.clone();
    for (pixel, of) in out.pixels_mut().zip(mask.pixels()) {
        if of.0[0] != 0 {
            pixel.0 = [0; 3];
        }
    }
    out
}

/// The parts of a mask that do not touch, not even by corners: their pixels, the largest first.
pub(super) fn islands(mask: &GrayImage) -> Vec<Vec<(u32, u32)>> {
    parts(mask, |pixel| pixel != 0, &NEIGHBOURS)
}

/// The parts of a picture that the mask is all around of, likewise, but that those that touch by corners are several.
pub(super) fn holes(mask: &GrayImage) -> Vec<Vec<(u32, u32)>> {
    // What reaches the edge of the box around the mask is open to all that is beyond.
    let Some((columns, rows)) = extent(mask) else { return Vec::new() };
    let inside = imageops::crop_imm(mask, columns.start, rows.start, columns.len() as u32, rows.len() as u32).to_image();
    let (right, bottom) = (inside.width() - 1, inside.height() - 1);
    let is_edge = |&(x, y): &(u32, u32)| x == 0 || y == 0 || x == right || y == bottom;
    let mut holes = parts(&inside, |pixel| pixel == 0, &NEIGHBOURS[..4]);
    holes.retain(|hole| !hole.iter().any(is_edge));
    holes.iter_mut().flatten().for_each(|(x, y)| (*x, *y) = (*x + columns.start, *y + rows.start));
    holes
}

/// Of a pixel: those at its sides, then those at its corners.
const NEIGHBOURS: [(i32, i32); 8] = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)];

/// The parts of what `is_in` that are connected by such neighbours, the largest first.
fn parts(mask: &GrayImage, is_in: impl Fn(u8) -> bool, neighbours: &[(i32, i32)]) -> Vec<Vec<(u32, u32)>> {
    let (width, height) = mask.dimensions();
    let pixels = mask.as_raw();
    let mut seen = vec![false; pixels.len()];
    let mut found = Vec::new();
    for (x, y, _) in mask.enumerate_pixels().filter(|(_, _, pixel)| is_in(pixel.0[0])) {
        if std::mem::replace(&mut seen[(y * width + x) as usize], true) {
            continue;
        }
        let mut part = vec![(x, y)];
        let mut next = 0;
        while let Some(&(x, y)) = part.get(next) {
            next += 1;
            for &(right, down) in neighbours {
                // Beyond the left or upper edge this is larger than any side.
                let (x, y) = (x.wrapping_add_signed(right), y.wrapping_add_signed(down));
                let at = (y.wrapping_mul(width).wrapping_add(x)) as usize;
                if x < width && y < height && is_in(pixels[at]) && !std::mem::replace(&mut seen[at], true) {
                    part.push((x, y));
                }
            }
        }
        found.push(part);
    }
    found.sort_by_key(|part| std::cmp::Reverse(part.len()));
    found
}

/// The mask without islands of less than `share` of it.
pub(super) fn without_islands(mask: &GrayImage, share: f64) -> GrayImage {
    let least = share * area(mask) as f64;
    painted(mask, islands(mask).into_iter().filter(|island| (island.len() as f64) < least), 0)
}

/// The mask with holes of at most `share` of it filled.
pub(super) fn without_holes(mask: &GrayImage, share: f64) -> GrayImage {
    let most = share * area(mask) as f64;
    painted(mask, holes(mask).into_iter().filter(|hole| hole.len() as f64 <= most), WHITE)
}

fn painted(mask: &GrayImage, parts: impl Iterator<Item = Vec<(u32, u32)>>, value: u8) -> GrayImage {
    let mut out = mask.clone();
    parts.flatten().for_each(|(x, y)| out.put_pixel(x, y, Luma([value])));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring with a hole in it, a notch at the edge, and a dot.
    fn mask() -> GrayImage {
        let rows = ["........", ".####.#.", ".#..#...", ".####...", "#.......", ".#......"];
        GrayImage::from_fn(8, 6, |x, y| Luma([if rows[y as usize].as_bytes()[x as usize] == b'#' { WHITE } else { 0 }]))
    }

    #[test]
    fn holes_are_what_the_mask_is_all_around_of() {
        assert_eq!(holes(&mask()), [vec![(2, 2), (3, 2)]]);
        assert_eq!(islands(&mask()).iter().map(Vec::len).collect::<Vec<_>>(), [12, 1]);
    }

    #[test]
    fn small_holes_are_filled_and_large_ones_stay() {
        let (whole, holed) = (without_holes(&mask(), 0.2), without_holes(&mask(), 0.1));
        assert_eq!(area(&whole), area(&mask()) + 2);
        assert_eq!(holed, mask());
        assert_eq!(area(&without_islands(&mask(), 0.1)), area(&mask()) - 1);
    }
}
