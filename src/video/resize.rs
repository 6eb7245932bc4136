//! Image resampling that agrees with Pillow bit for bit, because the model's reference pipeline prepares its inputs with it.
//!
//! Two passes, each rounded to 8 bits, so that their order shows. Weights are 22-bit fixed point. When shrinking, the filter is
//! widened by the scale, so that every source pixel counts (antialiasing).

use image::{ImageBuffer, Pixel};

use super::still::MAX_BYTES;
use crate::{Error, Result};

/// Fractional bits of a weight: what a 32-bit sum of 8-bit samples leaves, with two bits of headroom.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// Which filter weighs the source pixels around an output pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The one pixel under the output pixel's centre.
    Nearest,
    /// A triangle, one pixel to each side.
    Bilinear,
    /// Keys' cubic with a = -1/2, two pixels to each side.
    Bicubic,
    /// A sinc windowed by a sinc, three pixels to each side.
    Lanczos,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let d = x.abs();
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => (1.0 - d).max(0.0),
            Self::Bicubic if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
            Self::Bicubic if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * -0.5,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// `image` stretched to `width` x `height` pixels.
///
/// Fails when a side of the source or of the result is 0, or either is so large that the way to it takes over a gigabyte.
pub fn resize<P>(image: &ImageBuffer<P, Vec<u8>>, width: u32, height: u32, filter: Filter) -> Result<ImageBuffer<P, Vec<u8>>>
where
    P: Pixel<Subpixel = u8>,
{
    let (source_width, source_height) = image.dimensions();
    if [source_width, source_height, width, height].contains(&0) {
        return Err(Error::Input(format!(
            "cannot resize an image of {source_width}x{source_height} pixels to {width}x{height}: every side needs at least one pixel"
        )));
    }
    let pixels = u64::from(source_width.max(width)) * u64::from(source_height.max(height));
    if pixels.saturating_mul(P::CHANNEL_COUNT.into()) > MAX_BYTES {
        return Err(Error::Input(format!(
            "cannot resize an image of {source_width}x{source_height} pixels to {width}x{height}: that is too large; make it smaller"
        )));
    }
    if filter == Filter::Nearest {
        let (columns, rows) = (nearest(source_width, width), nearest(source_height, height));
        return Ok(ImageBuffer::from_fn(width, height, |x, y| *image.get_pixel(columns[x as usize], rows[y as usize])));
    }
    let channels = P::CHANNEL_COUNT as usize;
    let along_rows = |samples: Vec<u8>| match width == source_width {
        true => samples,
        false => resize_rows(&samples, source_width, channels, &windows(source_width, width, filter)),
    };
    let along_columns = |samples: Vec<u8>, row: u32| match height == source_height {
        true => samples,
        false => resize_columns(&samples, row as usize * channels, &windows(source_height, height, filter)),
    };
    let samples = image.as_raw().clone();
    let samples = if columns_first(image.dimensions(), (width, height)) {
        along_rows(along_columns(samples, source_width))
    } else {
        along_columns(along_rows(samples), width)
    };
    Ok(ImageBuffer::from_raw(width, height, samples).expect("the passes made width * height pixels"))
}

/// Whether the columns' pass comes first: since version 13 Pillow begins with it where it removes more than twice as many rows
/// as the other pass removes columns.
fn columns_first((source_width, source_height): (u32, u32), (width, height): (u32, u32)) -> bool {
    let removed = |source: u32, target: u32| i64::from(source) - i64::from(target);
    height < source_height && removed(source_height, height) > 2 * removed(source_width, width)
}

/// The source index under the centre of each output pixel. The position is summed up step by step, as Pillow does.
fn nearest(source: u32, target: u32) -> Vec<u32> {
    let step = source as f64 / target as f64;
    let mut position = step * 0.5;
    (0..target)
        .map(|_| {
            let index = (position as u32).min(source - 1);
            position += step;
            index
        })
        .collect()
}

/// The source samples that make one output sample: the first one's index, and a weight for each.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

fn windows(source: u32, target: u32, filter: Filter) -> Vec<Window> {
    let scale = source as f64 / target as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let window = |index: u32| {
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = (centre + support + 0.5).min(source as f64) as usize;
        let raw: Vec<f64> = (first..end).map(|i| filter.weight((i as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let sum: f64 = raw.iter().sum();
        let fixed = |w: &f64| (w / sum * f64::from(1 << WEIGHT_BITS)).round() as i32;
        Window { first, weights: raw.iter().map(fixed).collect() }
    };
    (0..target).map(window).collect()
}

fn resize_rows(samples: &[u8], width: u32, channels: usize, windows: &[Window]) -> Vec<u8> {
    let mut out = Vec::with_capacity(samples.len() / width as usize * windows.len());
    for row in samples.chunks_exact(width as usize * channels) {
        for window in windows {
            for channel in 0..channels {
                let taps = row[window.first * channels + channel..].iter().step_by(channels);
                let sum: i32 = window.weights.iter().zip(taps).map(|(&w, &sample)| w * i32::from(sample)).sum();
                out.push(to_u8(sum));
            }
        }
    }
    out
}

fn resize_columns(samples: &[u8], row_len: usize, windows: &[Window]) -> Vec<u8> {
    let mut out = Vec::with_capacity(row_len * windows.len());
    let mut sums = vec![0i32; row_len];
    for window in windows {
        sums.fill(0);
        let rows = samples.chunks_exact(row_len).skip(window.first);
        for (&weight, row) in window.weights.iter().zip(rows) {
            sums.iter_mut().zip(row).for_each(|(sum, &sample)| *sum += weight * i32::from(sample));
        }
        out.extend(sums.iter().map(|&sum| to_u8(sum)));
    }
    out
}

fn to_u8(sum: i32) -> u8 {
    ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS).clamp(0, 255) as u8
}
