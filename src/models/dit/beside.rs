//! Another video that self-attention looks at beside its own tokens: kept block by block from one pass over it, seen in many later ones.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::{positions::Angles, runs::Run};
use crate::ops::copy::slice;

/// How the other video is kept; what is computed is the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Keys and values, on the GPU.
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
    /// The modulated tokens [F, C], and their positions.
    Input(Tensor, Angles),
    /// The same, the tokens on the host.
    Stored(Arc<Stored>, Angles),
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
    /// Nothing.
    Nothing,
    /// Keeps what its tokens are to others.
    Keep(Keeper),
    /// Looks at what was kept.
    See(Seen),
}

/// Keeps the frames of a pass.
#[derive(Debug)]
pub struct Keeper {
    /// How.
    pub keeping: Keeping,
    /// Positions of each frame, which all blocks share once the first has been there.
    pub angles: Vec<Angles>,
    /// One block's.
    pub frames: Vec<Kept>,
}

/// The frames of another video, for one block. Tokens of latent frame j see its frame j - 1.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In order.
    pub frames: Vec<Kept>,
    /// Tokens of a frame.
    pub frame: usize,
    /// Added to the scores of the own tokens of latent frame 1.
    pub log_scale: f32,
}

impl Keeper {
    /// Of the tokens of a run: modulated, as rotated keys, and as values, [L, C] each.
    pub(super) fn keep(&mut self, rec: &mut Recorder, run: &Run, [normed, k, v]: [&Tensor; 3]) -> Result<()> {
        let tokens = normed.rows() / run.frames.len();
        for (place, number) in run.frames.clone().enumerate() {
            let mut part = |x: &Tensor| slice(rec, x, place * tokens, tokens);
            let kept = match self.keeping {
                Keeping::Keys => Kept::Keys(part(k)?, part(v)?),
                Keeping::Inputs | Keeping::Host => {
                    if self.angles.len() == number {
                        self.angles.push(Angles { cos: part(&run.angles.cos)?, sin: part(&run.angles.sin)? });
                    }
                    let (input, angles) = (part(normed)?, self.angles[number].clone());
                    match self.keeping {
                        Keeping::Host => Kept::Stored(Arc::new(Stored::download(rec, &input)?), angles),
                        _ => Kept::Input(input, angles),
                    }
                }
            };
            self.frames.push(kept);
        }
        Ok(())
    }
}

impl Stored {
    fn download(rec: &mut Recorder, x: &Tensor) -> Result<Self> {
        let bytes = if rec.device().rehearsal().is_some() { None } else { Some(rec.download_buffer(x)?) };
        Ok(Self { bytes, shape: x.shape().to_vec(), dtype: x.dtype() })
    }

    pub(super) fn upload(&self, rec: &mut Recorder) -> Result<Tensor> {
        rec.upload_bytes(&self.shape, self.dtype, self.bytes.as_deref())
    }
}
