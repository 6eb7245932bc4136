//! Key points over time: gaps filled, jitter calmed, both within a take.

use std::ops::Range;

use super::cuts::takes;
use super::keypoints::{Keypoint, NUM_KEYPOINTS, WholeBody};
use super::one_euro;
use super::person_box::{PersonBox, SURE};

/// Points that are lost (score below 0.3) for at most `longest` frames, and found before and after, are put on the line between. Returns
/// which frames were changed.
pub(super) fn fill_gaps(frames: &mut [WholeBody], longest: usize, cuts: &[usize]) -> Vec<bool> {
    let mut filled = vec![false; frames.len()];
    for take in takes(cuts, frames.len()) {
        for point in 0..NUM_KEYPOINTS {
            for gap in gaps(frames, point, take.clone()).into_iter().filter(|gap| gap.len() <= longest) {
                fill(frames, point, gap.clone());
                filled[gap].fill(true);
            }
        }
    }
    filled
}

/// Where a point is lost between frames in which it is found.
fn gaps(frames: &[WholeBody], point: usize, take: Range<usize>) -> Vec<Range<usize>> {
    let found: Vec<usize> = take.filter(|&index| frames[index].points()[point].score >= SURE).collect();
    found.windows(2).filter(|pair| pair[1] > pair[0] + 1).map(|pair| pair[0] + 1..pair[1]).collect()
}

fn fill(frames: &mut [WholeBody], point: usize, gap: Range<usize>) {
    let (before, after) = (frames[gap.start - 1].points()[point], frames[gap.end].points()[point]);
    let span = (gap.len() + 1) as f64;
    for (step, index) in gap.enumerate() {
        let t = (step + 1) as f64 / span;
        let between = |a: f64, b: f64| a + (b - a) * t;
        frames[index].points_mut()[point] =
            Keypoint { x: between(before.x, after.x), y: between(before.y, after.y), score: before.score.min(after.score) };
    }
}

/// Calms the jitter of every point by the one-euro filter, with speeds in the person's torso a second. Each run of frames in which a point
/// is found (score of at least 0.3) is smoothed alone, and none reaches over a cut.
pub(super) fn smooth(frames: &mut [WholeBody], fps: f64, cuts: &[usize]) {
    for take in takes(cuts, frames.len()) {
        let unit = torso(&frames[take.clone()]);
        for point in 0..NUM_KEYPOINTS {
            for run in runs(frames, point, take.clone()) {
                let xs: Vec<f64> = frames[run.clone()].iter().map(|frame| frame.points()[point].x).collect();
                let ys: Vec<f64> = frames[run.clone()].iter().map(|frame| frame.points()[point].y).collect();
                let smoothed = one_euro::smooth(&xs, unit, fps).into_iter().zip(one_euro::smooth(&ys, unit, fps));
                for (frame, (x, y)) in frames[run].iter_mut().zip(smoothed) {
                    let at = &mut frame.points_mut()[point];
                    (at.x, at.y) = (x, y);
                }
            }
        }
    }
}

/// Frames after one another in which a point is found.
fn runs(frames: &[WholeBody], point: usize, take: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in take.filter(|&index| frames[index].points()[point].score >= SURE) {
        match runs.last_mut().filter(|run| run.end == index) {
            Some(run) => run.end = index + 1,
            None => runs.push(index..index + 1),
        }
    }
    runs
}

/// The median length in pixels between the middles of shoulders and hips; a third of the person's box where these are not seen.
fn torso(frames: &[WholeBody]) -> f64 {
    let length = |frame: &WholeBody| {
        let [a, b, c, d] = [5, 6, 11, 12].map(|index| frame.points()[index]);
        let seen = [a, b, c, d].iter().all(|at| at.score >= SURE);
        let by_box = || PersonBox::of(frame).map(|found| found.diagonal() / 3.0);
        if seen { Some(((a.x + b.x - c.x - d.x) / 2.0).hypot((a.y + b.y - c.y - d.y) / 2.0)) } else { by_box() }
    };
    let mut lengths: Vec<f64> = frames.iter().filter_map(length).collect();
    lengths.sort_by(f64::total_cmp);
    lengths.get(lengths.len() / 2).copied().unwrap_or(1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nose of a person whose torso is 150 pixels long.
    fn at(x: f64, score: f64) -> WholeBody {
        let mut person = WholeBody::missing();
        for (index, y) in [(5, 100.0), (6, 100.0), (11, 250.0), (12, 250.0)] {
            person.points_mut()[index] = Keypoint { x: 80.0, y, score: 1.0 };
        }
        person.points_mut()[0] = Keypoint { x, y: 2.0 * x, score };
        person
    }

    fn xs(frames: &[WholeBody]) -> Vec<f64> {
        frames.iter().map(|frame| frame.points()[0].x).collect()
    }

    #[test]
    fn short_gaps_are_filled_within_a_take() {
        let mut frames = vec![at(0.0, 0.9), at(50.0, 0.1), at(50.0, 0.1), at(30.0, 0.8), at(0.0, 0.0), at(50.0, 0.9), at(0.0, 0.0)];
        let filled = fill_gaps(&mut frames, 2, &[5]);
        assert_eq!(xs(&frames), [0.0, 10.0, 20.0, 30.0, 0.0, 50.0, 0.0]);
        assert_eq!(filled, [false, true, true, false, false, false, false], "neither over the cut nor at the end");
        assert_eq!(frames[1].points()[0].score, 0.8);
        let mut frames = vec![at(0.0, 0.9), at(0.0, 0.1), at(0.0, 0.1), at(30.0, 0.8)];
        assert_eq!(fill_gaps(&mut frames, 1, &[]), [false; 4], "too long");
    }

    #[test]
    fn a_step_at_a_cut_stays_a_step() {
        let step: Vec<_> = (0..20).map(|index| at(if index < 10 { 100.0 } else { 300.0 }, 1.0)).collect();
        let (mut cut, mut uncut) = (step.clone(), step.clone());
        smooth(&mut cut, 30.0, &[10]);
        assert_eq!(xs(&cut), xs(&step));
        smooth(&mut uncut, 30.0, &[]);
        assert!(xs(&uncut)[9] > 105.0, "without the cut it is smeared");
    }
}
