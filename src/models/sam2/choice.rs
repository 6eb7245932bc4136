//! Which of several masks is meant.

use crate::models::sam2::decoder::MASKS;

/// How far logits are moved to see whether a mask stays what it is, and how much of it must.
const STABILITY: (f32, f64) = (0.05, 0.98);

/// The logits where nothing is.
const NOTHING: f32 = -1024.0;

/// The mask of an object in an image, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Above 0 where the object is; a quarter as high and wide as the image.
    pub logits: Vec<f32>,
    /// How much of it is thought to be right, from 0 to 1.
    pub iou: f32,
    /// Above 0 where the object is in the image at all.
    pub score: f32,
    /// The token that stands for the object.
    pub token: usize,
}

/// The mask that is meant, of four: the one for clear prompts where it is stable, else the one of the others that is thought to be best.
pub fn choose(masks: &[f32], ious: &[f32], score: f32, is_ambiguous: bool) -> Mask {
    let length = masks.len() / MASKS;
    let of = |mask: usize| &masks[mask * length..][..length];
    let best = (1..MASKS).fold(1, |best, mask| if ious[mask] > ious[best] { mask } else { best });
    let mask = if is_ambiguous || !is_stable(of(0)) { best } else { 0 };
    let logits = if score > 0.0 { of(mask).to_vec() } else { vec![NOTHING; length] };
    Mask { logits, iou: ious[mask], score, token: if is_ambiguous { best } else { 0 } }
}

fn is_stable(logits: &[f32]) -> bool {
    let (delta, least) = STABILITY;
    let above = |bound: f32| logits.iter().filter(|&&logit| logit > bound).count() as f64;
    let (inner, outer) = (above(delta), above(-delta));
    outer == 0.0 || inner / outer >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pixel of the first mask is neither in nor out.
    const UNSTABLE: [f32; 8] = [1.0, 0.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0];

    #[test]
    fn an_unstable_mask_gives_way_to_the_best_of_the_others() {
        let mask = choose(&UNSTABLE, &[0.9, 0.1, 0.8, 0.3], 1.0, false);
        assert_eq!(mask, Mask { logits: vec![3.0, 3.0], iou: 0.8, score: 1.0, token: 0 });
        let stable = [&[1.0, -1.0][..], &UNSTABLE[2..]].concat();
        assert_eq!(choose(&stable, &[0.2, 0.1, 0.8, 0.3], 1.0, false).logits, [1.0, -1.0]);
        assert_eq!(choose(&stable, &[0.2, 0.1, 0.8, 0.3], 1.0, true).logits, [3.0, 3.0]);
    }

    #[test]
    fn where_no_object_is_there_is_no_mask() {
        assert_eq!(choose(&UNSTABLE, &[0.9, 0.1, 0.8, 0.3], -0.5, false).logits, [NOTHING; 2]);
    }
}
