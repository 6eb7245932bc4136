//! Latents as small pictures, without decoding them: each colour is nearly a weighted sum of the channels of a latent pixel.
//!
//! The weights are those of the least squares over pictures of soft colours, which are encoded for this: so they are right for whatever
//! autoencoder is loaded.

use image::{Rgb, RgbImage};

use crate::error::Result;
use crate::gpu::Recorder;
use crate::linalg::least_squares;
use crate::models::vae::{Vae, tiling::VaeTiling};
use crate::rng::Generator;

/// How many pictures are encoded, and how many latent pixels they have on a side.
const PICTURES: usize = 12;
const SIDE: usize = 8;
/// Waves in a picture, each of its own colour.
const WAVES: usize = 4;
/// What keeps channels out that say nothing of colour, in parts of the sum of squares that a channel of variance 1 has.
const RIDGE: f64 = 1e-3;

/// What the channels of latents are worth in each colour.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbFactors {
    /// By channel; in the end what is added.
    factors: Vec<[f32; 3]>,
}

impl Vae {
    /// The factors for latents of this autoencoder. Encodes a few small pictures.
    ///
    /// # Errors
    /// Those of [`Encoding::next`](crate::models::vae::tiling::Encoding::next).
    pub fn rgb_factors(&self, rec: &mut Recorder) -> Result<RgbFactors> {
        let (unit, channels) = (self.config().pixels_per_latent(), self.config().z_dim);
        let side = SIDE * unit;
        let (mut rows, mut colours) = (Vec::new(), Vec::new());
        for number in 0..PICTURES {
            let picture = picture(number as u64, side);
            colours.extend(means(&picture, side, unit));
            let frame = rec.upload(&[side, side, 3], &picture)?;
            let latents = self.encode_frames(rec, VaeTiling::Off, [side, side], 1, |_, _| Ok(frame.clone()))?;
            for pixel in rec.download(&latents[0])?.chunks(channels) {
                rows.extend(pixel.iter().map(|&value| f64::from(value)).chain([1.0]));
            }
        }
        let solution = least_squares(&rows, channels + 1, &colours, RIDGE * (PICTURES * SIDE * SIDE) as f64);
        Ok(RgbFactors { factors: solution.into_iter().map(|colour| colour.map(|value| value as f32)).collect() })
    }
}

impl RgbFactors {
    /// Latents [C, T, H, W] as T pictures of W x H pixels.
    ///
    /// # Panics
    /// Where there are other than the autoencoder's channels, which is a mistake in the calling code.
    pub fn pictures(&self, [channels, frames, height, width]: [usize; 4], values: &[f32]) -> Vec<RgbImage> {
        assert_eq!(channels + 1, self.factors.len(), "channels of latents");
        let pixel = |at: usize| {
            let channel = |c: usize| values.get(c * frames * height * width + at).copied().unwrap_or(1.0);
            let colour = |i: usize| self.factors.iter().enumerate().map(|(c, factors)| channel(c) * factors[i]).sum::<f32>();
            Rgb([0, 1, 2].map(|i| ((colour(i) / 2.0 + 0.5) * 255.0).round().clamp(0.0, 255.0) as u8))
        };
        let picture =
            |t: usize| RgbImage::from_fn(width as u32, height as u32, |x, y| pixel((t * height + y as usize) * width + x as usize));
        (0..frames).map(picture).collect()
    }
}

/// A picture [side, side, 3] in -1..1 of soft waves, the same each time.
fn picture(number: u64, side: usize) -> Vec<f32> {
    let mut generator = Generator::new(number);
    let base = generator.normal(3);
    let waves: Vec<Vec<f32>> = (0..WAVES).map(|_| generator.normal(6)).collect();
    let sample = |y: usize, x: usize, colour: usize| {
        let wave = |wave: &Vec<f32>| {
            let phase = (wave[0] * x as f32 + wave[1] * y as f32) * 4.0 / side as f32;
            (phase + wave[2]).sin() * wave[3 + colour] * 0.4
        };
        (0.5 * base[colour] + waves.iter().map(wave).sum::<f32>()).clamp(-1.0, 1.0)
    };
    (0..side * side * 3).map(|i| sample(i / 3 / side, i / 3 % side, i % 3)).collect()
}

/// The mean colour of each square of `unit` pixels.
fn means(picture: &[f32], side: usize, unit: usize) -> Vec<[f64; 3]> {
    let mean = |row: usize, col: usize| {
        let squares = (0..unit * unit).map(|i| ((row * unit + i / unit) * side + col * unit + i % unit) * 3);
        let sum = |colour: usize| squares.clone().map(|at| f64::from(picture[at + colour])).sum::<f64>();
        [0, 1, 2].map(|colour| sum(colour) / (unit * unit) as f64)
    };
    (0..SIDE * SIDE).map(|i| mean(i / SIDE, i % SIDE)).collect()
}
