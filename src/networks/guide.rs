//! From where a person is to what a network of masks is told, and whether its mask agrees with that.

use crate::models::sam2::prompt::Prompt;
use crate::networks::mask_prompts::MaskPrompt;
use crate::preprocess::{Keypoint, PersonBox, WholeBody};

/// Points above this are said; of others only the box around the person.
const CONFIDENT: f64 = 0.6;

/// How much larger than the box around the points a person is: hair and clothes.
const ROOM: f64 = 0.1;

/// Where mask and points agree by less, the person is told again.
pub(super) const AGREED: f64 = 0.5;

/// The points that Wan2.2's own preprocessing takes: nose, neck, shoulders, hips and ankles, some of them in the middle of two.
const OFFICIAL: [(usize, usize); 8] = [(0, 0), (5, 6), (6, 6), (5, 5), (12, 12), (11, 11), (16, 16), (15, 15)];

fn official_points(person: &WholeBody) -> [Keypoint; 8] {
    let points = person.points();
    OFFICIAL.map(|(a, b)| {
        let (a, b) = (points[a], points[b]);
        Keypoint { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0, score: a.score.min(b.score) }
    })
}

/// Eight points, cut to whole pixels; nothing of somebody who is not there.
pub(super) fn official(person: &WholeBody) -> Option<MaskPrompt> {
    let points = official_points(person);
    let whole = |at: &Keypoint| (at.x.trunc(), at.y.trunc(), true);
    let is_there = points.iter().any(|at| at.score > 0.0);
    is_there.then(|| MaskPrompt { points: points.iter().map(whole).collect(), bounds: None })
}

/// The sure ones of these points, where there are two, and the box around the person; nothing of somebody who is not there.
pub(super) fn confident(person: &WholeBody, (width, height): (u32, u32)) -> Option<MaskPrompt> {
    let bounds = PersonBox::of(person)?.grown(ROOM).within(width, height);
    let within = |at: &Keypoint| (0.0..f64::from(width)).contains(&at.x) && (0.0..f64::from(height)).contains(&at.y);
    let sure = official_points(person).into_iter().filter(|at| at.score > CONFIDENT && within(at));
    let points: Vec<_> = sure.map(|at| (at.x, at.y, true)).collect();
    let points = if points.len() < 2 { Vec::new() } else { points };
    (bounds.area() > 0.0).then_some(MaskPrompt { points, bounds: Some(bounds) })
}

/// In pixels of what a model of images of `side` x `side` is shown of a picture.
pub(super) fn stretched(prompt: &MaskPrompt, (width, height): (u32, u32), side: usize) -> Prompt {
    let (across, down) = (side as f64 / f64::from(width), side as f64 / f64::from(height));
    Prompt {
        points: prompt.points.iter().map(|&(x, y, within)| (x * across, y * down, within)).collect(),
        bounds: prompt.bounds.map(|found| [found.x1 * across, found.y1 * down, found.x2 * across, found.y2 * down]),
    }
}

/// How far a mask, above 0 in `side` x `side` cells of an image of `size`, is where the points that were said are: the share of it in the box, or
/// the share of the points in it, whichever is less.
pub(super) fn agreement(logits: &[f32], side: usize, prompt: &Prompt, size: usize) -> f64 {
    let cell = size as f64 / side as f64;
    let [x1, y1, x2, y2] = prompt.bounds.unwrap_or([0.0, 0.0, size as f64, size as f64]);
    let (mut all, mut inside) = (0usize, 0usize);
    for (at, _) in logits.iter().enumerate().filter(|(_, logit)| **logit > 0.0) {
        let (x, y) = (((at % side) as f64 + 0.5) * cell, ((at / side) as f64 + 0.5) * cell);
        all += 1;
        inside += usize::from((x1..=x2).contains(&x) && (y1..=y2).contains(&y));
    }
    let at = |place: f64| ((place / cell) as usize).min(side - 1);
    let is_in = |&&(x, y, _): &&(f64, f64, bool)| logits[at(y) * side + at(x)] > 0.0;
    let share = |part: usize, of: usize| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    let found = share(prompt.points.iter().filter(is_in).count(), prompt.points.len());
    if all == 0 { 0.0 } else { share(inside, all).min(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::NUM_KEYPOINTS;

    fn person(scores: impl Fn(usize) -> f64) -> WholeBody {
        let point = |i: usize| Keypoint { x: 10.0 + i as f64, y: 20.0 + 2.0 * i as f64, score: scores(i) };
        WholeBody::new(&(0..NUM_KEYPOINTS).map(point).collect::<Vec<_>>()).expect("a person")
    }

    #[test]
    fn official_points_are_those_of_the_body_whatever_their_scores() {
        let prompt = official(&person(|i| if i == 0 { 0.01 } else { 0.0 })).expect("somebody");
        assert_eq!(prompt.points[..3], [(10.0, 20.0, true), (15.0, 31.0, true), (16.0, 32.0, true)]);
        assert_eq!((prompt.points.len(), prompt.bounds), (8, None));
        assert_eq!(official(&person(|_| 0.0)), None);
    }

    #[test]
    fn unsure_points_are_not_said_but_the_box_is() {
        let prompt = confident(&person(|i| if i == 5 || i == 6 { 0.9 } else { 0.4 }), (200, 400)).expect("somebody");
        assert_eq!(prompt.points, [(15.5, 31.0, true), (16.0, 32.0, true), (15.0, 30.0, true)]);
        assert!(prompt.bounds.is_some_and(|bounds| bounds.x1 < 10.0 && bounds.x2 > 142.0));
        assert!(confident(&person(|i| if i == 5 { 0.9 } else { 0.4 }), (200, 400)).expect("somebody").points.is_empty());
        assert_eq!(confident(&person(|_| 0.1), (200, 400)), None);
        assert_eq!(confident(&person(|_| 0.9), (5, 5)), None, "all of it is outside");
    }

    #[test]
    fn a_mask_agrees_where_points_are_in_it_and_it_is_in_the_box() {
        let prompt = Prompt { points: vec![(1.0, 1.0, true), (1.0, 7.0, true)], bounds: Some([0.0, 0.0, 4.0, 8.0]) };
        assert_eq!(agreement(&[1.0, -1.0, 1.0, -1.0], 2, &prompt, 8), 1.0);
        assert_eq!(agreement(&[1.0, -1.0, -1.0, -1.0], 2, &prompt, 8), 0.5, "one of the points");
        assert_eq!(agreement(&[1.0; 4], 2, &prompt, 8), 0.5, "half of the mask");
        assert_eq!(agreement(&[-1.0; 4], 2, &prompt, 8), 0.0, "nothing");
    }
}
