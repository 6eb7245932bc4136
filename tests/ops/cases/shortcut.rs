use std::iter;

use wan_animate::unversioned::ops::shortcut::{PixelBlock, avg_down, dup_up};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

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

/// None: next to no time goes to it.
pub fn timed(_: Sizes) -> impl Iterator<Item = Case> {
    iter::empty()
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

pub mod oracle {
    use wan_animate::unversioned::ops::shortcut::PixelBlock;

    use crate::approx::{Approx, sum};
    use crate::host::Host;

    /// Channel, frame, row and column of each entry of a block, in order.
    fn entries(channels: usize, block: PixelBlock) -> Vec<[usize; 4]> {
        let space = 0..block.space;
        let place = |c, t| space.clone().flat_map(move |y| (0..block.space).map(move |x| [c, t, y, x]));
        (0..channels).flat_map(|c| (0..block.time).flat_map(move |t| place(c, t))).collect()
    }

    /// Row, column and channel of an element.
    fn place(host: &Host, i: usize) -> [usize; 3] {
        let [_, _, width, channels] = host.shape[..] else { panic!("four axes") };
        [i / channels / width, i / channels % width, i % channels]
    }

    fn at(host: &Host, [row, column, channel]: [usize; 3]) -> Approx {
        host.at((row * host.shape[2] + column) * host.shape[3] + channel)
    }

    pub fn avg_down(x: &Host, residual: &Host, block: PixelBlock, t: usize) -> Vec<Approx> {
        let entries = entries(x.cols(), block);
        let share = entries.len() / residual.cols();
        let element = |i: usize| {
            let [row, column, channel] = place(residual, i);
            let mine = entries.chunks(share).nth(channel).expect("a channel").iter().filter(|entry| entry[1] == t);
            let values = mine.map(|&[c, _, y, x_]| at(x, [row * block.space + y, column * block.space + x_, c]));
            residual.at(i) + sum(values) / Approx::exact(share as f64)
        };
        (0..residual.values.len()).map(element).collect()
    }

    pub fn dup_up(x: &Host, residual: &Host, block: PixelBlock, t: usize) -> Vec<Approx> {
        let entries = entries(residual.cols(), block);
        let share = entries.len() / x.cols();
        let element = |i: usize| {
            let [row, column, channel] = place(residual, i);
            let entry = [channel, t, row % block.space, column % block.space];
            let number = entries.iter().position(|&other| other == entry).expect("an entry");
            residual.at(i) + at(x, [row / block.space, column / block.space, number / share])
        };
        (0..residual.values.len()).map(element).collect()
    }
}
