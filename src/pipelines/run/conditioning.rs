//! What the model is shown beside the noise, [4 + C, T + 1, H, W]: a mask of four channels over latents.
//!
//! Latent frame 0 is the reference, mask 1. The others encode a video of S frames: the carried frames, then mid grey
//! (animate) or the background (replace). Their mask is 1 where a pixel is to be kept: in carried frames, and outside the
//! character in replace. The first of the S masks counts four times, so that S + 3 frames fold into four channels.

/// Keep-masks of S frames, each [H, W] in latent pixels, folded to [4, T, H, W].
pub fn fold(masks: &[Vec<f32>]) -> Vec<f32> {
    let frames = masks.len().div_ceil(4);
    let mut folded = Vec::with_capacity(4 * frames * masks.first().map_or(0, Vec::len));
    for channel in 0..4 {
        for frame in 0..frames {
            folded.extend_from_slice(&masks[(4 * frame + channel).saturating_sub(3)]);
        }
    }
    folded
}

/// A character mask [H, W] in pixels to the keep-mask in latent pixels: the pixel at the corner of each square of `scale`.
pub fn keep(mask: &[f32], width: usize, scale: usize) -> Vec<f32> {
    let rows = mask.chunks(width).step_by(scale);
    rows.flat_map(|row| row.iter().step_by(scale).map(|character| 1.0 - character)).collect()
}

/// The whole conditioning from the reference's latents [C, 1, H, W], those of the segment's video [C, T, H, W] and the folded
/// mask [4, T, H, W]; `pixels` is H * W.
pub fn assemble(reference: &[f32], video: &[f32], mask: &[f32], pixels: usize) -> Vec<f32> {
    let frames = mask.len() / (4 * pixels);
    let mut all = Vec::with_capacity(reference.len() + video.len() + mask.len() + 4 * pixels);
    for channel in mask.chunks(frames * pixels) {
        all.extend(std::iter::repeat_n(1.0, pixels));
        all.extend_from_slice(channel);
    }
    for (first, rest) in reference.chunks(pixels).zip(video.chunks(frames * pixels)) {
        all.extend_from_slice(first);
        all.extend_from_slice(rest);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mask_counts_four_times() {
        let masks: Vec<_> = (0..5).map(|frame| vec![frame as f32]).collect();
        // Frames 0 0 0 0 1 2 3 4, four to a latent frame: channel by channel, then time.
        assert_eq!(fold(&masks), [0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
    }

    #[test]
    fn masks_shrink_by_their_corners() {
        let mask = [0.0, 9.0, 0.25, 9.0, 9.0, 9.0, 9.0, 9.0];
        assert_eq!(keep(&mask, 4, 2), [1.0, 0.75]);
    }

    #[test]
    fn the_reference_stands_in_front() {
        let all = assemble(&[7.0, 8.0], &[1.0, 2.0, 3.0, 4.0], &[0.5; 8], 1);
        assert_eq!(all, [1.0, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0, 0.5, 0.5, 7.0, 1.0, 2.0, 8.0, 3.0, 4.0]);
    }
}
