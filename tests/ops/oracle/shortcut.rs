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
