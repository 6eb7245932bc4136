//! Shrinking a picture so that each pixel becomes the mean of what it covers, as `cv2.resize` does with `INTER_AREA` on bytes.

use image::{Rgb, RgbImage};

use crate::Result;
use crate::video::official::check_sides;

/// Parts of source pixels smaller than this are left out.
const LEAST_PART: f64 = 1e-3;

/// `image` at `width` x `height` pixels, neither of which is more than its own. Fails when a side is 0.
pub(super) fn shrink(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    check_sides(image, width, height)?;
    let (own_width, own_height) = image.dimensions();
    let whole = |source: u32, target: u32| {
        source.is_multiple_of(target) && (scale(source, target) - f64::from(source / target)).abs() < f64::EPSILON
    };
    if whole(own_width, width) && whole(own_height, height) {
        return Ok(whole_blocks(image, own_width / width, own_height / height));
    }
    let (columns, rows) = (parts(own_width, width), parts(own_height, height));
    let mut out = RgbImage::new(width, height);
    for (y, row) in rows.iter().enumerate() {
        let mut sums = vec![0.0f32; 3 * width as usize];
        for &(source, weight) in row {
            for (sums, column) in sums.chunks_exact_mut(3).zip(&columns) {
                let across = mean(image, source, column);
                sums.iter_mut().zip(across).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        for (x, sums) in sums.chunks_exact(3).enumerate() {
            out.put_pixel(x as u32, y as u32, Rgb(std::array::from_fn(|channel| sums[channel].round_ties_even() as u8)));
        }
    }
    Ok(out)
}

/// What an output pixel takes of one source row.
fn mean(image: &RgbImage, row: u32, column: &[(u32, f32)]) -> [f32; 3] {
    let mut sum = [0.0; 3];
    for &(x, weight) in column {
        let pixel = image.get_pixel(x, row).0;
        sum.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += f32::from(sample) * weight);
    }
    sum
}

/// The case that every output pixel covers `across` x `down` whole pixels: sums of integers, rounded once.
fn whole_blocks(image: &RgbImage, across: u32, down: u32) -> RgbImage {
    let scale = 1.0 / (f64::from(across) * f64::from(down));
    RgbImage::from_fn(image.width() / across, image.height() / down, |x, y| {
        let mut sums = [0u64; 3];
        for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
            let pixel = image.get_pixel(x * across + column, y * down + row).0;
            sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u64::from(sample));
        }
        Rgb(sums.map(|sum| match (across, down) {
            (2, 2) => ((sum + 2) >> 2) as u8, // ties go up here, and to the even level otherwise
            _ => (sum as f32 * scale as f32).round_ties_even() as u8,
        }))
    })
}

/// Source samples for an output sample, with the original's rounding: a whole number can come out a hair off.
fn scale(source: u32, target: u32) -> f64 {
    1.0 / (f64::from(target) / f64::from(source))
}

/// For each output sample the source samples that it covers, with their shares.
fn parts(source: u32, target: u32) -> Vec<Vec<(u32, f32)>> {
    let scale = scale(source, target);
    let part = |index: u32| {
        let start = f64::from(index) * scale;
        let end = start + scale;
        let cell = scale.min(f64::from(source) - start);
        let last = (end.floor() as u32).min(source - 1);
        let first = (start.ceil() as u32).min(last);
        let mut parts = Vec::with_capacity(scale as usize + 2);
        if f64::from(first) - start > LEAST_PART {
            parts.push((first - 1, ((f64::from(first) - start) / cell) as f32));
        }
        parts.extend((first..last).map(|whole| (whole, (1.0 / cell) as f32)));
        if end - f64::from(last) > LEAST_PART {
            parts.push((last, ((end - f64::from(last)).min(1.0).min(cell) / cell) as f32));
        }
        parts
    };
    (0..target).map(part).collect()
}
