use wan_animate::unversioned::ops::shortcut::{PixelBlock, avg_down, dup_up};

use crate::case::{Case, Refusal};
use crate::host::Host;
use crate::oracle::shortcut as oracle;

const FRAME: PixelBlock = PixelBlock { time: 1, space: 2 };
const PAIR: PixelBlock = PixelBlock { time: 2, space: 2 };
const PIXEL: PixelBlock = PixelBlock { time: 1, space: 1 };

/// From `high` channels of 4 x 6 blocks of pixels to `low` channels, or back.
fn hosts(low: usize, high: usize, block: PixelBlock) -> [Host; 2] {
    [Host::random(1, &[1, 4, 6, low], 1.0), Host::random(2, &[1, 4 * block.space, 6 * block.space, high], 1.0)]
}

fn down(low: usize, high: usize, block: PixelBlock, t: usize) -> Case {
    let [residual, x] = hosts(low, high, block);
    Case::new(
        format!("shortcut from {:?} down to {:?}, frame {t} of {block:?}", x.shape, residual.shape),
        [&x.clone(), &residual.clone()],
        move |rec, [x, residual]| avg_down(rec, x, residual, block, t),
        move || oracle::avg_down(&x, &residual, block, t),
    )
}

fn up(low: usize, high: usize, block: PixelBlock, t: usize) -> Case {
    let [x, residual] = hosts(low, high, block);
    Case::new(
        format!("shortcut from {:?} up to {:?}, frame {t} of {block:?}", x.shape, residual.shape),
        [&x.clone(), &residual.clone()],
        move |rec, [x, residual]| dup_up(rec, x, residual, block, t),
        move || oracle::dup_up(&x, &residual, block, t),
    )
}

pub fn cases() -> Vec<Case> {
    let both = |low, high, block, t| [down(low, high, block, t), up(low, high, block, t)];
    [
        both(8, 8, PAIR, 0),
        both(8, 8, PAIR, 1),
        both(8, 4, FRAME, 0),
        both(3, 6, FRAME, 0),
        both(6, 3, PAIR, 1),
        both(24, 3, PAIR, 0),
        both(1, 5, PAIR, 1),
        both(2, 6, PIXEL, 0),
        both(5, 5, PIXEL, 0),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn refusals() -> Vec<Refusal> {
    let wide = Host::random(1, &[1, 4, 7, 4], 1.0);
    let uneven = |says, [low, high]: [Host; 2], block, t| {
        let refusal = Refusal::new(says, [&high, &low], move |rec, [x, residual]| avg_down(rec, x, residual, block, t));
        [refusal, Refusal::new(says, [&low, &high], move |rec, [x, residual]| dup_up(rec, x, residual, block, t))]
    };
    [
        uneven("between [1, 4, 6, 5] and [1, 8, 12, 3] by frame 0", hosts(5, 3, FRAME), FRAME, 0),
        uneven("between [1, 4, 6, 4] and [1, 8, 12, 4] by frame 2", hosts(4, 4, PAIR), PAIR, 2),
        uneven("between [1, 4, 7, 4] and [1, 8, 12, 4] by frame 0", [wide, hosts(4, 4, PAIR)[1].clone()], PAIR, 0),
    ]
    .into_iter()
    .flatten()
    .collect()
}
