//! The beginning of a GGUF file that is written.

use super::gguf::{DEFAULT_ALIGNMENT, ORIGINAL_SHAPE, types};
use super::safetensors::Outline;
use crate::error::{Error, Result};

/// ggml reads no more extents than this; what has more has its first ones joined, and a fact tells its shape.
const MAX_RANK: usize = 4;

const U32: u32 = 4;
const I32: u32 = 5;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
/// What ggml calls a file of q8_0.
const MOSTLY_Q8_0: u32 = 7;

/// How far apart tensors begin, at least: each is followed by as many zeros as that takes.
pub(super) const ALIGNMENT: u64 = DEFAULT_ALIGNMENT as u64;

/// All that comes before the first tensor's bytes, up to where they begin.
///
/// # Errors
/// [`Error::Unsupported`] where the format lacks a tensor's encoding.
pub(super) fn header(architecture: &str, tensors: &[Outline]) -> Result<Vec<u8>> {
    let mut facts = vec![
        [&text("general.architecture")[..], &TEXT.to_le_bytes(), &text(architecture)].concat(),
        [&text("general.file_type")[..], &U32.to_le_bytes(), &MOSTLY_Q8_0.to_le_bytes()].concat(),
        [&text("general.quantization_version")[..], &U32.to_le_bytes(), &2u32.to_le_bytes()].concat(),
    ];
    facts.extend(tensors.iter().filter(|tensor| tensor.shape.len() > MAX_RANK).map(original_shape));
    let mut header = [&b"GGUF\x03\0\0\0"[..], &(tensors.len() as u64).to_le_bytes(), &(facts.len() as u64).to_le_bytes()].concat();
    header.extend(facts.concat());
    let mut offset = 0;
    for tensor in tensors {
        let kind = types().find(|(_, encoding)| *encoding == tensor.encoding).map(|(kind, _)| kind);
        let kind = kind.ok_or_else(|| Error::Unsupported(format!("tensor `{}`: GGUF has no {}", tensor.name, tensor.encoding)))?;
        let shape = joined(&tensor.shape);
        header.extend([text(&tensor.name), (shape.len() as u32).to_le_bytes().into()].concat());
        shape.iter().rev().for_each(|&dim| header.extend((dim as u64).to_le_bytes()));
        header.extend([&kind.to_le_bytes()[..], &u64::to_le_bytes(offset)].concat());
        offset += tensor.bytes()?.next_multiple_of(ALIGNMENT);
    }
    header.resize(header.len().next_multiple_of(DEFAULT_ALIGNMENT), 0);
    Ok(header)
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn original_shape(tensor: &Outline) -> Vec<u8> {
    let dims: Vec<u8> = tensor.shape.iter().flat_map(|&dim| (dim as i32).to_le_bytes()).collect();
    let count = tensor.shape.len() as u64;
    let key = text(&format!("{ORIGINAL_SHAPE}{}", tensor.name));
    [&key[..], &ARRAY.to_le_bytes(), &I32.to_le_bytes(), &count.to_le_bytes(), &dims].concat()
}

fn joined(shape: &[usize]) -> Vec<usize> {
    let more = shape.len().saturating_sub(MAX_RANK);
    let first = shape.iter().take(more + 1).product();
    shape.first().map(|_| first).into_iter().chain(shape.iter().skip(more + 1).copied()).collect()
}
