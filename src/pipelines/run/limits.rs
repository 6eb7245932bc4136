//! What a request needs at least, looked at before any work is done.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::largest_buffer;
use crate::models::dit::config::Config;
use crate::models::vae::tiling::VaeTiling;
use crate::pipelines::checkpoint::parts::Parts;
use crate::pipelines::run::canvas::Canvas;

/// Refuses what no amount of time could make: more positions than the model has, or a tensor larger than one buffer may be.
///
/// Looks at the largest tensors alone; what is refused by a hair is found when it is allocated.
pub fn check<T>(parts: &Parts<T>, transformer: &Config, canvas: &Canvas) -> Result<()> {
    let Canvas { size: (width, height), segments, latents: [_, _, rows, cols], tiling, .. } = *canvas;
    let frames = canvas.latent_frames_of_a_pass();
    let [_, p, q] = transformer.patch_size;
    let (rows, cols) = (rows / p, cols / q);
    let (pieces, length) = match canvas.windows {
        Some(windows) => ("windows", windows.frames.min(segments.segment_frames())),
        None => ("segments", segments.segment_frames()),
    };
    let what = format!("{width}x{height} pixels in {pieces} of {length} frames");
    let longest = transformer.rope_max_seq_len;
    if frames.max(rows).max(cols) > longest {
        let grid = format!("{frames}x{rows}x{cols} tokens");
        return Err(Error::limits(format!("{what} are {grid}; the model has positions for {longest} along an axis")));
    }
    let vae = parts.vae.config();
    let largest = u128::from(largest_buffer(&parts.device));
    // In u128 no product of sizes that come from files and from users can overflow.
    let bytes = |extents: &[usize], each: u64| extents.iter().map(|&extent| extent as u128).product::<u128>() * u128::from(each);
    let (operand, f32) = (parts.precision.operand().bytes(), DType::F32.bytes());
    let folded = vae.patch();
    // In tiles frames may be as large as they like.
    let whole = u64::from(tiling == VaeTiling::Off);
    let needs = [
        ("a smaller size, or VAE tiling", bytes(&[width / folded, height / folded, vae.base_dim.max(vae.decoder_dim())], whole * f32)),
        // Images go to the GPU whole.
        ("a smaller size", bytes(&[width, height, 3], f32)),
        // Keys and values of a head are as long as the video; all else in the transformer is as long as a frame at least.
        ("a smaller size or shorter segments", bytes(&[frames, rows, cols, transformer.attention_head_dim], operand)),
        ("a smaller size", bytes(&[rows, cols, transformer.width()], f32)),
        ("a smaller size", bytes(&[rows, cols, transformer.ffn_dim], operand)),
    ];
    match needs.into_iter().find(|&(_, bytes)| bytes > largest) {
        None => Ok(()),
        Some((remedy, bytes)) => {
            let adapter = &parts.device.adapter().name;
            let message = format!("{what} need {bytes} bytes in one buffer, `{adapter}` allows {largest}: choose {remedy}");
            Err(Error::memory(bytes.try_into().unwrap_or(u64::MAX), largest.try_into().unwrap_or(u64::MAX), message))
        }
    }
}
