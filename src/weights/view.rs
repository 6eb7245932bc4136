//! One tensor's elements: found to be finite, converted to f32.

use std::borrow::Cow;
use std::path::Path;

use super::{decode::decode, encoding::Encoding};
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A tensor of a checkpoint, its elements as they lie in the file wherever models can compute with that form.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    /// Its name in the checkpoint.
    pub name: &'a str,
    /// The file that holds it.
    pub file: &'a Path,
    /// How the elements in `bytes` are stored. What is neither f32, f16 nor bf16 in the file, or is changed by a LoRA, has been converted to f32.
    pub dtype: DType,
    /// Its extents, the last contiguous.
    pub shape: &'a [usize],
    /// The elements, little-endian, at any alignment.
    pub bytes: Cow<'a, [u8]>,
}

impl TensorView<'_> {
    /// Makes sure that no element is NaN or infinite. Loaders call this on what they upload as it is.
    ///
    /// # Errors
    /// [`Error::Weights`] naming the tensor and its first bad element.
    pub fn check_finite(&self) -> Result<()> {
        let bad = match self.dtype {
            DType::F32 => first_bad::<4>(&self.bytes, |word| u32::from_le_bytes(word) & 0x7f80_0000 == 0x7f80_0000),
            DType::F16 => first_bad::<2>(&self.bytes, |word| u16::from_le_bytes(word) & 0x7c00 == 0x7c00),
            DType::Bf16 => first_bad::<2>(&self.bytes, |word| u16::from_le_bytes(word) & 0x7f80 == 0x7f80),
        };
        match bad {
            None => Ok(()),
            Some(index) => {
                let place = position(index, self.shape);
                let message = format!("element {place:?} is NaN or infinite: the checkpoint is damaged or was saved wrongly");
                Err(Error::tensor(self.file, self.name, message))
            }
        }
    }

    /// The elements in f32.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is NaN or infinite.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        self.check_finite()?;
        Ok(decode(Encoding::Float(self.dtype), &self.bytes))
    }
}

/// The index of the first word that `is_bad`. Blocks without a bad word, nearly all, are gone through without branches.
fn first_bad<const N: usize>(bytes: &[u8], is_bad: impl Fn([u8; N]) -> bool) -> Option<usize> {
    const BLOCK: usize = 4096;
    let (words, _) = bytes.as_chunks::<N>();
    let block = words.chunks(BLOCK).position(|block| block.iter().fold(false, |bad, &word| bad | is_bad(word)))?;
    let offset = words[block * BLOCK..].iter().position(|&word| is_bad(word))?;
    Some(block * BLOCK + offset)
}

/// The coordinates of a flat index.
pub(super) fn position(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (coordinate, &dim) in place.iter_mut().zip(shape).rev() {
        *coordinate = index % dim;
        index /= dim;
    }
    place
}
