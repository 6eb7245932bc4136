//! From what detectors put out to persons.

use crate::preprocess::PersonBox;

/// Somebody in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Person {
    /// Where, in pixels.
    pub bounds: PersonBox,
    /// How sure that is, 0 to 1.
    pub score: f64,
}

impl Person {
    /// Somebody within these bounds.
    pub fn new(bounds: PersonBox, score: f64) -> Self {
        Self { bounds, score }
    }
}

/// A box of any class in the pixels of a network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) bounds: PersonBox,
    pub(super) score: f64,
    pub(super) class: usize,
}

impl Candidate {
    /// By its middle and its sides.
    fn centred([x, y, width, height]: [f64; 4], score: f64, class: usize) -> Self {
        let bounds = PersonBox { x1: x - width / 2.0, x2: x + width / 2.0, y1: y - height / 2.0, y2: y + height / 2.0 };
        Self { bounds, score, class }
    }
}

/// The class of persons in COCO, and of detectors that know nothing else.
pub(super) const PERSON: usize = 0;

/// Of candidates that overlap by more than `overlap`, of one class or of all, the surest; the surest first.
pub(super) fn suppress(mut candidates: Vec<Candidate>, overlap: f64, by_class: bool) -> Vec<Candidate> {
    candidates.retain(|candidate| candidate.score.is_finite());
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let rival = |other: &&Candidate| (!by_class || other.class == candidate.class) && other.bounds.iou(&candidate.bounds) > overlap;
        if kept.iter().find(rival).is_none() {
            kept.push(candidate);
        }
    }
    kept
}

/// The largest of some numbers, and its place.
fn largest(values: impl Iterator<Item = f64>) -> (usize, f64) {
    values.enumerate().fold((0, f64::NEG_INFINITY), |best, (index, value)| if value > best.1 { (index, value) } else { best })
}

/// Rows of x1, y1, x2, y2, score, class: what networks that choose by themselves put out.
pub(super) fn chosen(rows: &[f32]) -> Vec<Candidate> {
    let row = |row: &[f32; 6]| {
        let [x1, y1, x2, y2, score, class] = row.map(f64::from);
        Candidate { bounds: PersonBox { x1, x2, y1, y2 }, score, class: class.max(0.0) as usize }
    };
    rows.as_chunks().0.iter().map(row).collect()
}

/// Rows of x1, y1, x2, y2, score, and the classes beside them.
pub(super) fn labelled(rows: &[f32], labels: impl Iterator<Item = usize>) -> Vec<Candidate> {
    let row = |(row, class): (&[f32; 5], usize)| {
        let [x1, y1, x2, y2, score] = row.map(f64::from);
        Candidate { bounds: PersonBox { x1, x2, y1, y2 }, score, class }
    };
    rows.as_chunks().0.iter().zip(labels).map(row).collect()
}

/// YOLOv8 and later, [4 + C, N]: middle and sides, then a score for each class.
pub(super) fn yolo_v8(values: &[f32], count: usize) -> Vec<Candidate> {
    let at = |row: usize, index: usize| f64::from(values[row * count + index]);
    let rows = values.len() / count.max(1);
    let one = |index: usize| {
        let (class, score) = largest((4..rows).map(|row| at(row, index)));
        Candidate::centred([0, 1, 2, 3].map(|row| at(row, index)), score, class)
    };
    (0..count).map(one).collect()
}

/// YOLOv5 and v7, [N, 5 + C]: middle and sides, how likely anything is there, then which class.
pub(super) fn yolo_v5(values: &[f32], width: usize) -> Vec<Candidate> {
    let one = |row: &[f32]| {
        let (class, score) = largest(row[5..].iter().map(|&score| f64::from(score)));
        Candidate::centred([0, 1, 2, 3].map(|at| f64::from(row[at])), score * f64::from(row[4]), class)
    };
    values.chunks_exact(width).map(one).collect()
}

/// YOLOX, [N, 5 + C]: as above, but places within cells, and sides as logarithms, of grids that are 8, 16 and 32 pixels wide.
pub(super) fn yolox(values: &[f32], width: usize, input: (usize, usize)) -> Vec<Candidate> {
    let cells = [8, 16, 32].into_iter().flat_map(|stride| grid(input, stride).map(move |cell| (cell, stride as f64)));
    let one = |(row, ((x, y), stride)): (&[f32], ((f64, f64), f64))| {
        let [dx, dy, w, h] = [0, 1, 2, 3].map(|at| f64::from(row[at]));
        let (class, score) = largest(row[5..].iter().map(|&score| f64::from(score)));
        let bounds = [(dx + x) * stride, (dy + y) * stride, w.exp() * stride, h.exp() * stride];
        Candidate::centred(bounds, score * f64::from(row[4]), class)
    };
    values.chunks_exact(width).zip(cells).map(one).collect()
}

/// The cells of a grid over an input, row by row.
fn grid((width, height): (usize, usize), stride: usize) -> impl Iterator<Item = (f64, f64)> {
    let columns = width / stride;
    (0..height / stride).flat_map(move |y| (0..columns).map(move |x| (x as f64, y as f64)))
}

/// Of the 91 numbers that COCO gives its classes, which some networks keep, 0 is nothing.
const NUMBERS: usize = 91;

/// RT-DETR and its like: logits [N, C], and middles and sides [N, 4] as shares of the input.
pub(super) fn detr(logits: &[f32], boxes: &[f32], (width, height): (usize, usize)) -> Vec<Candidate> {
    let classes = logits.len() / (boxes.len() / 4).max(1);
    let one = |(logits, bounds): (&[f32], &[f32; 4])| {
        let own = if classes >= NUMBERS { &logits[1..] } else { logits };
        let (class, logit) = largest(own.iter().map(|&logit| f64::from(logit)));
        let [x, y, w, h] = bounds.map(f64::from);
        let (width, height) = (width as f64, height as f64);
        Candidate::centred([x * width, y * height, w * width, h * height], sigmoid(logit), class)
    };
    logits.chunks_exact(classes.max(1)).zip(boxes.as_chunks().0).map(one).collect()
}

/// NanoDet's level of one stride: scores [N, C] and, for each side, how likely each of some distances is, [N, 4 x bins].
pub(super) fn nanodet(scores: &[f32], distances: &[f32], input: (usize, usize), stride: usize) -> Vec<Candidate> {
    let count = (input.0 / stride) * (input.1 / stride);
    let (classes, width) = (scores.len() / count.max(1), distances.len() / count.max(1));
    let mut found = Vec::with_capacity(count);
    for ((x, y), (scores, bins)) in grid(input, stride).zip(scores.chunks_exact(classes.max(1)).zip(distances.chunks_exact(width.max(4)))) {
        let (class, score) = largest(scores.iter().map(|&score| f64::from(score)));
        let side = |side: usize| expectation(&bins[side * (bins.len() / 4)..][..bins.len() / 4]) * stride as f64;
        let (x, y) = ((x + 0.5) * stride as f64, (y + 0.5) * stride as f64);
        let bounds = PersonBox { x1: x - side(0), y1: y - side(1), x2: x + side(2), y2: y + side(3) };
        found.push(Candidate { bounds, score, class });
    }
    found
}

/// The mean of 0, 1, 2 and so on, by the softmax of these numbers.
fn expectation(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|logit| f64::from(logit - most).exp());
    let (sum, moment) = weights.enumerate().fold((0.0, 0.0), |(sum, moment), (at, weight)| (sum + weight, moment + weight * at as f64));
    moment / sum
}

pub(super) fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(x1: f64, y1: f64, x2: f64, y2: f64) -> PersonBox {
        PersonBox { x1, x2, y1, y2 }
    }

    fn assert_near(found: &PersonBox, expected: &PersonBox) {
        let sides = |of: &PersonBox| [of.x1, of.x2, of.y1, of.y2];
        assert!(sides(found).iter().zip(sides(expected)).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}, not {expected:?}");
    }

    #[test]
    fn the_surest_of_those_that_overlap_is_kept() {
        let candidate = |x: f64, score, class| Candidate { bounds: bounds(x, 0.0, x + 10.0, 10.0), score, class };
        let all = vec![candidate(0.0, 0.5, 0), candidate(1.0, 0.9, 37), candidate(2.0, f64::NAN, 0), candidate(20.0, 0.1, 0)];
        let scores = |by_class| suppress(all.clone(), 0.5, by_class).iter().map(|kept| kept.score).collect::<Vec<_>>();
        assert_eq!(scores(false), [0.9, 0.1], "a surfboard in front of a person");
        assert_eq!(scores(true), [0.9, 0.5, 0.1]);
    }

    #[test]
    fn every_form_of_boxes_is_understood() {
        let wanted = bounds(10.0, 20.0, 30.0, 60.0);
        let only = |found: Vec<Candidate>| {
            let best = found.into_iter().max_by(|a, b| a.score.total_cmp(&b.score)).expect("one");
            assert_near(&best.bounds, &wanted);
            assert_eq!(best.class, 0);
            assert!((best.score - 0.75).abs() < 1e-6, "{}", best.score);
        };
        only(chosen(&[10.0, 20.0, 30.0, 60.0, 0.75, 0.0]));
        only(labelled(&[10.0, 20.0, 30.0, 60.0, 0.75], std::iter::once(0)));
        // Two candidates, two classes: columns.
        only(yolo_v8(&[20.0, 1.0, 40.0, 1.0, 20.0, 1.0, 40.0, 1.0, 0.75, 0.1, 0.2, 0.3], 2));
        only(yolo_v5(&[20.0, 40.0, 20.0, 40.0, 0.75, 1.0, 0.5], 7));
        only(detr(&[3f32.ln(), -9.0], &[20.0 / 64.0, 40.0 / 64.0, 20.0 / 64.0, 40.0 / 64.0], (64, 64)));
        // Of 64 x 64 pixels: 64 cells of 8 pixels, 16 of 16, 4 of 32. The one at row 5, column 2 of the first grid.
        let mut rows = vec![0.0; 84 * 6];
        rows[(5 * 8 + 2) * 6..][..6].copy_from_slice(&[0.5, 0.0, (20f32 / 8.0).ln(), (40f32 / 8.0).ln(), 0.75, 1.0]);
        only(yolox(&rows, 6, (64, 64)));
        // A cell of 32 pixels whose middle is at 16, 48: distances are multiples of the stride there.
        let mut scores = vec![0.0; 4];
        scores[2] = 0.75;
        let mut bins = vec![-50.0; 4 * 4 * 2];
        for (side, distance) in [6.0, 28.0, 14.0, 12.0].into_iter().enumerate() {
            // Of bins at 0 and 1, so that their mean is the distance in strides.
            let share: f32 = distance / 32.0;
            bins[2 * 8 + 2 * side..][..2].copy_from_slice(&[(1.0 - share).ln(), share.ln()]);
        }
        only(nanodet(&scores, &bins, (64, 64), 32));
    }
}
