//! The twenty points of the body and the hands that the model's pose drawings show.

use super::keypoints::{Keypoint, Keypoints, WholeBody};

/// The points of COCO-WholeBody whose middles the body's points are: the neck is between the shoulders, a toe between big and small toe.
const HALVES: [(usize, usize); 20] = [
    (0, 0),
    (6, 5),
    (6, 6),
    (8, 8),
    (10, 10),
    (5, 5),
    (7, 7),
    (9, 9),
    (12, 12),
    (14, 14),
    (16, 16),
    (11, 11),
    (13, 13),
    (15, 15),
    (2, 2),
    (1, 1),
    (4, 4),
    (3, 3),
    (17, 18),
    (20, 21),
];

/// The body's lines, from the one point to the other.
pub(super) const LIMBS: [(usize, usize); 19] = [
    (NECK, R_SHOULDER),
    (NECK, L_SHOULDER),
    (R_SHOULDER, R_ELBOW),
    (R_ELBOW, R_WRIST),
    (L_SHOULDER, L_ELBOW),
    (L_ELBOW, L_WRIST),
    (NECK, R_HIP),
    (R_HIP, R_KNEE),
    (R_KNEE, R_ANKLE),
    (NECK, L_HIP),
    (L_HIP, L_KNEE),
    (L_KNEE, L_ANKLE),
    (NECK, NOSE),
    (NOSE, R_EYE),
    (R_EYE, R_EAR),
    (NOSE, L_EYE),
    (L_EYE, L_EAR),
    (L_ANKLE, L_TOE),
    (R_ANKLE, R_TOE),
];

pub(super) const NOSE: usize = 0;
pub(super) const NECK: usize = 1;
pub(super) const R_SHOULDER: usize = 2;
pub(super) const R_ELBOW: usize = 3;
pub(super) const R_WRIST: usize = 4;
pub(super) const L_SHOULDER: usize = 5;
pub(super) const L_ELBOW: usize = 6;
pub(super) const L_WRIST: usize = 7;
pub(super) const R_HIP: usize = 8;
pub(super) const R_KNEE: usize = 9;
pub(super) const R_ANKLE: usize = 10;
pub(super) const L_HIP: usize = 11;
pub(super) const L_KNEE: usize = 12;
pub(super) const L_ANKLE: usize = 13;
pub(super) const R_EYE: usize = 14;
pub(super) const L_EYE: usize = 15;
pub(super) const R_EAR: usize = 16;
pub(super) const L_EAR: usize = 17;
pub(super) const L_TOE: usize = 18;
pub(super) const R_TOE: usize = 19;

/// One person as drawn, in pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Skeleton {
    /// Nose, neck, right shoulder, elbow and wrist, the left ones, right hip, knee and ankle, the left ones, right eye, left eye, right
    /// ear, left ear, left toe, right toe.
    pub body: [Keypoint; 20],
    /// Two hands of 21 points, in the order in which they are drawn: left and right, and the other way round in a retargeted pose.
    pub hands: [[Keypoint; 21]; 2],
}

impl Skeleton {
    /// The person of a picture of `width` x `height` pixels, places as shares of it. The original goes this way, on which a whole pixel can become a hair less than one,
    /// and is cut to the one before.
    pub(super) fn shares(person: &WholeBody, width: u32, height: u32) -> Self {
        let share = |at: &Keypoint| Keypoint { x: at.x / f64::from(width), y: at.y / f64::from(height), score: at.score };
        let points = person.points();
        let middle = |(a, b): (usize, usize)| {
            let (a, b) = (share(&points[a]), share(&points[b]));
            Keypoint { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0, score: (a.score + b.score) / 2.0 }
        };
        let hand = |hand: &[Keypoint]| std::array::from_fn(|index| share(&hand[index]));
        Self { body: HALVES.map(middle), hands: [hand(person.left_hand()), hand(person.right_hand())] }
    }

    /// All places times these.
    pub(super) fn scaled(&self, x: f64, y: f64) -> Self {
        let scaled = |at: Keypoint| Keypoint { x: at.x * x, y: at.y * y, score: at.score };
        Self { body: self.body.map(scaled), hands: self.hands.map(|hand| hand.map(scaled)) }
    }
}

/// The persons of a video, in shares of the picture. Where every point of the body is beyond the left or upper edge, the body is that of
/// the frame before.
pub(super) fn shares_of(keypoints: &Keypoints) -> Vec<Skeleton> {
    let mut skeletons: Vec<Skeleton> = Vec::with_capacity(keypoints.frames().len());
    for frame in keypoints.frames() {
        let mut skeleton = Skeleton::shares(frame, keypoints.width(), keypoints.height());
        if let Some(last) = skeletons.last().filter(|_| skeleton.body.iter().all(|at| at.x < 0.0 || at.y < 0.0)) {
            skeleton.body = last.body;
        }
        skeletons.push(skeleton);
    }
    skeletons
}

/// The persons of a video as they are drawn in its own pictures, in pixels.
pub fn skeletons(keypoints: &Keypoints) -> Vec<Skeleton> {
    let (width, height) = (f64::from(keypoints.width()), f64::from(keypoints.height()));
    shares_of(keypoints).iter().map(|shares| shares.scaled(width, height)).collect()
}
