//! Frames in tiles, where the GPU has no room for whole ones: the same pixels, for more time.
//!
//! Most memory is taken where the resolution is high, and there all layers are convolutions: a pixel sees others only as far as
//! `reach` says. So a tile is computed with that much of its surroundings and cut to its core, and cores lie side by side as if the
//! frame had been whole; there is no seam to blend. Attention, which sees the whole frame, works at the lowest resolution, as
//! do the layers around it: they take whole frames, and what lies between them and the tiles waits on the host.
//!
//! A tile passes all its video before the next one begins, because what convolutions remember of the past is most of the memory.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Device, Recorder, Tensor};
use crate::models::vae::{PLANNED_LATENTS, Samples, Vae, decoder::pixels, encoder::Encoder, encoder::fold, stream::Stream, stream::reach};
use crate::ops::{copy::slice, permute::permute};

/// Whether a VAE works on whole frames or on tiles of them. Pixels are the same bits either way; tiles take more time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaeTiling {
    /// Whole frames; where the GPU's memory or the budget is too small for them, tiles, and smaller ones until they fit.
    #[default]
    Auto,
    Off,
    /// Tiles of at most so many pixels on a side, 64 at least, without the surroundings that are computed with them: 64 pixels or so on
    /// each side. Where the GPU's memory is too small for them, smaller ones.
    Pixels(u32),
}

/// The smallest tile in latent pixels: below it nearly all work is for its surroundings.
const SMALLEST: usize = 4;

impl VaeTiling {
    /// What to try, in order, for latents of this size: tiles of so many latent pixels, or none.
    pub(crate) fn attempts(self, [rows, cols]: [usize; 2], unit: usize) -> VecDeque<Option<usize>> {
        let halves = |first| std::iter::successors(Some(first), |size| Some(size / 2)).take_while(|&size| size >= SMALLEST).map(Some);
        let (first, second) = match self {
            Self::Off => return [None].into(),
            Self::Pixels(pixels) => (Some((pixels as usize / unit).max(1)), pixels as usize / unit / 2),
            Self::Auto => (None, rows.max(cols).div_ceil(2)),
        };
        std::iter::once(first).chain(halves(second)).collect()
    }
}

impl fmt::Display for VaeTiling {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Off => write!(f, "off"),
            Self::Pixels(pixels) => write!(f, "{pixels}"),
        }
    }
}

crate::as_text::as_text!(VaeTiling);

impl FromStr for VaeTiling {
    type Err = Error;

    /// `auto`, `off` or a number of pixels.
    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            ("off", _) => Ok(Self::Off),
            (_, Ok(pixels)) => Ok(Self::Pixels(pixels)),
            _ => Err(Error::Input(format!("VAE tiling `{text}`; it must be auto, off or a number of pixels"))),
        }
    }
}

/// A stretch of one axis, in latent pixels: what a tile is to give, and what it takes for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    core: Range<usize>,
    padded: Range<usize>,
}

/// A rectangle of a frame.
#[derive(Clone, Debug)]
struct Tile {
    rows: Span,
    cols: Span,
}

impl Span {
    /// Cores of at most `size` that cover `length`, each with `halo` on either side where there is that much.
    fn all(length: usize, size: usize, halo: usize) -> impl Iterator<Item = Self> + Clone {
        (0..length).step_by(size.max(1)).map(move |begin| {
            let end = length.min(begin + size.max(1));
            Self { core: begin..end, padded: begin.saturating_sub(halo)..length.min(end + halo) }
        })
    }

    /// Where the core lies in the tile, in units of which a latent pixel has `unit`.
    fn inner(&self, unit: usize) -> Range<usize> {
        (self.core.start - self.padded.start) * unit..(self.core.end - self.padded.start) * unit
    }
}

impl Tile {
    /// Those of a frame; on a dry device one of each size, which take what all take.
    fn all(device: &Device, [rows, cols]: [usize; 2], size: usize, halo: usize) -> Vec<Self> {
        let cols = Span::all(cols, size, halo);
        let tiles = Span::all(rows, size, halo).flat_map(|rows| cols.clone().map(move |cols| Self { rows: rows.clone(), cols }));
        let mut sizes = HashSet::new();
        tiles.filter(|tile| device.rehearsal().is_none() || sizes.insert((tile.rows.padded.len(), tile.cols.padded.len()))).collect()
    }
}

/// A frame of pixels [H, W, C] on the host.
struct Canvas {
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Canvas {
    fn new(shape: [usize; 3]) -> Self {
        Self { shape, values: vec![0.0; shape.iter().product()] }
    }

    /// Takes over the core of a tile, whose pixels are given; a latent pixel has `unit` of them on a side.
    fn paste(&mut self, tile: &Tile, pixels: &[f32], unit: usize) {
        let [_, width, channels] = self.shape;
        let (rows, cols) = (tile.rows.inner(unit), tile.cols.inner(unit));
        let tile_width = tile.cols.padded.len() * unit;
        for (from, to) in rows.zip(tile.rows.core.start * unit..) {
            let source = (from * tile_width + cols.start) * channels;
            let target = (to * width + tile.cols.core.start * unit) * channels;
            let count = cols.len() * channels;
            self.values[target..target + count].copy_from_slice(&pixels[source..source + count]);
        }
    }

    /// What a tile takes.
    fn cut(&self, tile: &Tile) -> Vec<f32> {
        let [_, width, channels] = self.shape;
        let cols = tile.cols.padded.start * channels..tile.cols.padded.end * channels;
        let rows = self.values.chunks(width * channels).skip(tile.rows.padded.start).take(tile.rows.padded.len());
        rows.flat_map(|row| &row[cols.clone()]).copied().collect()
    }

    fn bytes(&self) -> u64 {
        size_of_val(&self.values[..]) as u64
    }
}

impl Vae {
    /// [`decode`](Self::decode) in tiles of `size` latent pixels on a side: latent frames [H/u, W/u, z] to the frames that each stands for;
    /// none on a dry device.
    pub fn decode_tiled(&self, rec: &mut Recorder, latents: &[Tensor], size: usize) -> Result<Vec<Vec<Samples>>> {
        let split = self.decoder.iter().position(|layer| layer.scale() > 1.0).unwrap_or(self.decoder.len());
        let unit = self.config.pixels_per_latent();
        let halo = reach(&self.decoder[split..]).ceil() as usize;
        let Some(&[rows, cols, _]) = latents.first().map(Tensor::shape) else { return Ok(Vec::new()) };
        let device = rec.device().clone();
        let is_dry = device.rehearsal().is_some();
        let looked_at = if is_dry { &latents[..latents.len().min(PLANNED_LATENTS)] } else { latents };
        let features = features(rec, Stream::new(&self.decoder, 0..split), looked_at)?;
        let mut videos: Vec<Vec<Canvas>> = features.iter().map(|_| Vec::new()).collect();
        device.rehearsal().inspect(|rehearsal| rehearsal.note_tile((size * unit) as u32));
        for tile in Tile::all(&device, [rows, cols], size, halo) {
            let mut stream = Stream::new(&self.decoder, split..self.decoder.len());
            for (feature, frames) in features.iter().zip(&mut videos) {
                let shape = [1, tile.rows.padded.len(), tile.cols.padded.len(), feature.shape[2]];
                let input = rec.upload_with(&shape, || Ok(feature.cut(&tile)))?;
                let output = stream.next(rec, input)?;
                let output = pixels(rec, &output, self.config.patch())?;
                frames.resize_with(output.shape()[0], || Canvas::new([rows * unit, cols * unit, output.cols()]));
                if !is_dry {
                    let parts = rec.download_each(&output)?;
                    frames.iter_mut().zip(parts).for_each(|(frame, part)| frame.paste(&tile, &part, unit));
                }
            }
        }
        if is_dry {
            note_host(&device, features.iter().zip(&videos).map(|(feature, frames)| feature.bytes() + bytes(frames)), latents.len());
            return Ok(Vec::new());
        }
        Ok(videos.into_iter().map(|frames| frames.into_iter().map(|frame| frame.values).collect()).collect())
    }

    /// Begins to encode `count` frames [H, W, 3].
    pub fn encoding(&self, tiling: VaeTiling, [height, width]: [usize; 2], count: usize) -> Encoding {
        let unit = self.config.pixels_per_latent();
        let attempts = tiling.attempts([height / unit, width / unit], unit);
        Encoding { vae: self.clone(), size: [height, width], count, attempts, encoder: self.encoder(), taken: 0, latents: Vec::new() }
    }

    /// Latent frames [H/u, W/u, z] of `count` frames [H, W, 3] that `frame` gives, in order; where there are tiles, several times over.
    ///
    /// # Errors
    /// Those of [`Encoding::next`].
    pub fn encode_frames(
        &self,
        rec: &mut Recorder,
        tiling: VaeTiling,
        size: [usize; 2],
        count: usize,
        mut frame: impl FnMut(&mut Recorder, usize) -> Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let mut encoding = self.encoding(tiling, size, count);
        while encoding.next(rec, &mut frame)? {}
        Ok(encoding.into_latents())
    }

    /// Latent frames [H/u, W/u, z] of `count` frames [H, W, 3] that `frame` gives, encoded in tiles of `size` latent pixels on a side.
    /// Each frame is asked for once a tile, in order.
    pub fn encode_tiled(
        &self,
        rec: &mut Recorder,
        [height, width]: [usize; 2],
        count: usize,
        size: usize,
        mut frame: impl FnMut(&mut Recorder, usize) -> Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let split = self.encoder.iter().rposition(|layer| layer.scale() < 1.0).map_or(0, |last| last + 1);
        let unit = self.config.pixels_per_latent();
        let (rows, cols) = (height / unit, width / unit);
        let halo = (reach(&self.encoder[..split]) * self.config.patch() as f64 / unit as f64).ceil() as usize;
        let mut features: Vec<Canvas> = Vec::new();
        let device = rec.device().clone();
        device.rehearsal().inspect(|rehearsal| rehearsal.note_tile((size * unit) as u32));
        for tile in Tile::all(&device, [rows, cols], size, halo) {
            let mut stream = Stream::new(&self.encoder, 0..split);
            let mut done = 0;
            for index in 0..count {
                let input = frame(rec, index)?;
                let input = crop(rec, &input, &tile, unit)?;
                let input = fold(rec, &input, self.config.patch())?;
                for output in stream.next(rec, input)? {
                    if features.len() == done {
                        features.push(Canvas::new([rows, cols, output.cols()]));
                    }
                    if device.rehearsal().is_none() {
                        features[done].paste(&tile, &rec.download(&output)?, 1);
                    }
                    done += 1;
                }
            }
        }
        note_host(&device, features.iter().map(Canvas::bytes), features.len());
        let mut stream = Stream::new(&self.encoder, split..self.encoder.len());
        let mut latents = Vec::new();
        for feature in features {
            let input = rec.upload_with(&[&[1][..], &feature.shape].concat(), || Ok(feature.values))?;
            latents.extend(stream.next(rec, input)?.iter().map(|latent| latent.reshape(&latent.shape()[1..])));
        }
        Ok(latents)
    }
}

/// Frames on their way to latents, a latent frame at a time. Made by [`Vae::encoding`].
#[derive(Debug)]
pub struct Encoding {
    vae: Vae,
    size: [usize; 2],
    count: usize,
    /// Ways to encode: the one in use, then those for less memory.
    attempts: VecDeque<Option<usize>>,
    encoder: Encoder,
    /// How many frames were encoded.
    taken: usize,
    latents: Vec<Tensor>,
}

impl Encoding {
    /// Makes the next latent frame of the frames [H, W, 3] that `frame` gives, or with tiles all of them; whether there are more. Where memory
    /// runs out and there may be tiles, it begins again with these: they give the same bits.
    ///
    /// # Errors
    /// [`Error::Limits`] where the GPU's memory is too small, for the smallest tiles too if there may be any.
    pub fn next(&mut self, rec: &mut Recorder, frame: &mut dyn FnMut(&mut Recorder, usize) -> Result<Tensor>) -> Result<bool> {
        loop {
            let encoded = match self.attempts.front().copied().flatten() {
                None => self.whole(rec, frame),
                Some(size) => self.tiled(rec, size, frame),
            };
            match encoded {
                Err(Error::Limits { .. }) if self.attempts.len() > 1 => {
                    self.attempts.pop_front();
                    (self.encoder, self.taken) = (self.vae.encoder(), 0);
                    self.latents.clear();
                    rec.finish()?;
                    rec.trim();
                }
                done => return done.map(|()| self.taken < self.count),
            }
        }
    }

    /// Latent frames [H/u, W/u, z], once there are no more.
    pub fn into_latents(self) -> Vec<Tensor> {
        self.latents
    }

    fn whole(&mut self, rec: &mut Recorder, frame: &mut dyn FnMut(&mut Recorder, usize) -> Result<Tensor>) -> Result<()> {
        while self.taken < self.count {
            let frame = frame(rec, self.taken)?;
            let latent = self.encoder.next(rec, &frame)?;
            self.taken += 1;
            if let Some(latent) = latent {
                self.latents.push(latent);
                break;
            }
        }
        Ok(())
    }

    fn tiled(&mut self, rec: &mut Recorder, size: usize, frame: &mut dyn FnMut(&mut Recorder, usize) -> Result<Tensor>) -> Result<()> {
        self.latents = self.vae.encode_tiled(rec, self.size, self.count, size, frame)?;
        self.taken = self.count;
        Ok(())
    }
}

fn bytes(frames: &[Canvas]) -> u64 {
    frames.iter().map(Canvas::bytes).sum()
}

/// Tells a plan what waits on the host for latent frames, of which `count` there are; those after the given ones are like the last of them.
fn note_host(device: &Device, each: impl Iterator<Item = u64>, count: usize) {
    let Some(rehearsal) = device.rehearsal() else { return };
    let each: Vec<_> = each.collect();
    let others = (count - each.len()) as u64 * each.last().copied().unwrap_or(0);
    rehearsal.note_host(each.iter().sum::<u64>() + others);
}

/// What the layers at the lowest resolution make of whole latent frames.
fn features(rec: &mut Recorder, mut stream: Stream, latents: &[Tensor]) -> Result<Vec<Canvas>> {
    let mut features = Vec::new();
    for latent in latents {
        let shape = [&[1], latent.shape()].concat();
        for output in stream.next(rec, latent.reshape(&shape))? {
            let shape = [output.shape()[1], output.shape()[2], output.cols()];
            features.push(Canvas { shape, values: rec.download(&output)? });
        }
    }
    Ok(features)
}

/// The pixels of a frame [H, W, C] that a tile takes.
fn crop(rec: &mut Recorder, frame: &Tensor, tile: &Tile, unit: usize) -> Result<Tensor> {
    let rows = slice(rec, frame, tile.rows.padded.start * unit, tile.rows.padded.len() * unit)?;
    let transposed = permute(rec, &rows, &[1, 0, 2], DType::F32)?;
    let cols = slice(rec, &transposed, tile.cols.padded.start * unit, tile.cols.padded.len() * unit)?;
    permute(rec, &cols, &[1, 0, 2], DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_cover_an_axis_once() {
        for (length, size, halo) in [(1, 4, 7), (9, 4, 0), (9, 4, 2), (16, 8, 7), (5, 0, 1)] {
            let spans: Vec<_> = Span::all(length, size, halo).collect();
            let covered: Vec<_> = spans.iter().flat_map(|span| span.core.clone()).collect();
            assert_eq!(covered, (0..length).collect::<Vec<_>>());
            for Span { core, padded } in &spans {
                assert_eq!(padded.start, core.start.saturating_sub(halo));
                assert_eq!(padded.end, length.min(core.end + halo));
            }
        }
    }
}
