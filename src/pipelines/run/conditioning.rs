//! What the model is shown beside the noise, [4 + C, T + 1, H, W]: a mask of four channels over latents.
//!
//! Latent frame 0 is the reference, mask 1. The others encode a video of S frames: the carried frames, then mid grey
//! (animate) or the background (replace). Their mask is 1 where a pixel is to be kept: in carried frames, and outside the
//! character in replace. The first of the S masks counts four times, so that S + 3 frames fold into four channels.

/// Keep-masks of S frames, each [H, W] in latent pixels, folded to [4, T, H, W].
pub fn fold(masks: &[Vec<f32>]) -> Vec<f32> {
    let frames = masks.len().div_ceil(4);
    let mask = |(channel, frame): (usize, usize)| &masks[(4 * frame + channel).saturating_sub(3)];
    (0..4).flat_map(|channel| (0..frames).map(move |frame| (channel, frame))).flat_map(mask).copied().collect()
}

/// The same [4, T + 1, H, W] with the reference's frame in front, which is kept.
pub fn fold_after_reference(masks: &[Vec<f32>]) -> Vec<f32> {
    let Some(first) = masks.first() else { return Vec::new() };
    let reference = vec![1.0; first.len()];
    // All that is after the first mask of all counts once, so the video's own first mask is given four times.
    fold(&[&[reference, first.clone(), first.clone(), first.clone()], masks].concat())
}

/// A character mask [H, W] in pixels to the keep-mask in latent pixels: the pixel at the corner of each square of `scale`.
pub fn keep(mask: &[f32], width: usize, scale: usize) -> Vec<f32> {
    let rows = mask.chunks(width).step_by(scale);
    rows.flat_map(|row| row.iter().step_by(scale).map(|character| 1.0 - character)).collect()
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
        let masks: Vec<_> = (0..5).map(|frame| vec![frame as f32]).collect();
        assert_eq!(fold_after_reference(&masks), [1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0, 3.0, 1.0, 0.0, 4.0]);
    }
}
