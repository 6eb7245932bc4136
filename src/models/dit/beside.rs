//! Another video that self-attention looks at beside its own tokens: kept block by block from one pass over it, seen in many later ones.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::{positions::Angles, runs::TokenRun};
use crate::ops::{copy::slice, dequantize::Scales, dequantize::dequantize, quantize::quantize};
use crate::weights::encoding::Encoding;

/// How a driving video is kept while a segment is denoised, the fastest first. What is computed is the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrivingCache {
    /// Keys and values of each block, on the GPU.
    #[default]
    Keys,
    /// What they are computed of, on the GPU: half as much.
    Inputs,
    /// The same on the host, so that the GPU has a frame of one block at a time.
    Host,
}

/// One latent frame, as the self-attention of one block sees it.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Keys, rotated to their positions, and values, [F, C] each.
    Keys(Tensor, Tensor),
    /// The modulated tokens, and their positions.
    Input(Tokens, Angles),
    /// The same, the tokens on the host.
    Stored(Arc<Tokens<Stored>>, Angles),
}

#[derive(Clone, Debug)]
pub enum Tokens<T = Tensor> {
    Floats(T),
    /// As signed bytes, and a scale for each token.
    Bytes(T, T),
}

/// A tensor on the host.
#[derive(Debug)]
pub struct Stored {
    /// None on a dry device.
    bytes: Option<Vec<u8>>,
    shape: Vec<usize>,
    dtype: DType,
}

/// What self-attention of a block does besides.
#[derive(Debug)]
pub enum Beside {
    Nothing,
    /// Keeps what its tokens are to others.
    Keep(Keeper),
    /// Looks at what was kept.
    See(Seen),
}

/// Keeps the frames of a pass.
#[derive(Debug)]
pub struct Keeper {
    pub cache: DrivingCache,
    /// Whether in 8 bits, which is not for keys: what they are computed of is kept then.
    pub quantizes: bool,
    /// Positions of each frame, which all blocks share once the first has been there.
    pub angles: Vec<Angles>,
    pub frames: Vec<Kept>,
}

/// The frames of another video, for one block. Tokens of latent frame j see its frame j - 1.
#[derive(Clone, Debug)]
pub struct Seen {
    pub frames: Vec<Kept>,
    /// Tokens of a frame.
    pub frame: usize,
    /// Added to the scores of the own tokens of latent frame 1.
    pub log_scale: f32,
}

impl Keeper {
    /// Of the tokens of a run: modulated, as rotated keys, and as values, [L, C] each.
    pub(super) fn keep(&mut self, rec: &mut Recorder, run: &TokenRun, [normed, k, v]: [&Tensor; 3]) -> Result<()> {
        let tokens = normed.rows() / run.frames.len();
        for (place, number) in run.frames.clone().enumerate() {
            let mut part = |x: &Tensor| slice(rec, x, place * tokens, tokens);
            if (self.cache, self.quantizes) == (DrivingCache::Keys, false) {
                self.frames.push(Kept::Keys(part(k)?, part(v)?));
                continue;
            }
            if self.angles.len() == number {
                self.angles.push(Angles { cos: part(&run.angles.cos)?, sin: part(&run.angles.sin)? });
            }
            let (input, angles) = (part(normed)?, self.angles[number].clone());
            let input = if self.quantizes { Tokens::quantized(rec, &input)? } else { Tokens::Floats(input) };
            self.frames.push(match self.cache {
                DrivingCache::Host => Kept::Stored(Arc::new(input.download(rec)?), angles),
                _ => Kept::Input(input, angles),
            });
        }
        Ok(())
    }
}

impl Kept {
    /// Bytes on the host.
    pub fn host_bytes(&self) -> u64 {
        match self {
            Self::Stored(tokens, _) => tokens.parts().iter().map(|part| part.size()).sum(),
            _ => 0,
        }
    }
}

impl<T> Tokens<T> {
    fn parts(&self) -> Vec<&T> {
        match self {
            Self::Floats(tokens) => vec![tokens],
            Self::Bytes(codes, scales) => vec![codes, scales],
        }
    }

    fn map<U>(&self, mut other: impl FnMut(&T) -> Result<U>) -> Result<Tokens<U>> {
        Ok(match self {
            Self::Floats(tokens) => Tokens::Floats(other(tokens)?),
            Self::Bytes(codes, scales) => Tokens::Bytes(other(codes)?, other(scales)?),
        })
    }
}

impl Tokens {
    fn quantized(rec: &mut Recorder, tokens: &Tensor) -> Result<Self> {
        let (codes, scales) = quantize(rec, tokens)?;
        Ok(Self::Bytes(codes, scales))
    }

    /// As they are, or dequantized to `dtype`.
    pub fn floats(&self, rec: &mut Recorder, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Floats(tokens) => Ok(tokens.clone()),
            Self::Bytes(codes, scales) => {
                let shape = [codes.rows(), 4 * codes.cols()];
                dequantize(rec, codes, Encoding::I8, shape, &Scales::Rows(scales.clone()), dtype)
            }
        }
    }

    fn download(&self, rec: &mut Recorder) -> Result<Tokens<Stored>> {
        self.map(|x| {
            let bytes = if rec.device().rehearsal().is_some() { None } else { Some(rec.download_buffer(x)?) };
            Ok(Stored { bytes, shape: x.shape().to_vec(), dtype: x.dtype() })
        })
    }
}

impl Tokens<Stored> {
    pub(super) fn upload(&self, rec: &mut Recorder) -> Result<Tokens> {
        self.map(|stored| rec.upload_bytes(&stored.shape, stored.dtype, stored.bytes.as_deref()))
    }
}

impl Stored {
    fn size(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 * self.dtype.bytes()
    }
}
