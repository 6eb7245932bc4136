//! Giving the driving person's movements to a body of other proportions.

use super::keypoints::{FARTHEST, Keypoint, Keypoints};
use super::person_box::SURE;
use super::skeleton::{
    L_ANKLE, L_EAR, L_EYE, L_HIP, L_SHOULDER, L_TOE, L_WRIST, LIMBS, NECK, NOSE, R_ANKLE, R_EAR, R_EYE, R_HIP, R_SHOULDER, R_TOE, R_WRIST,
    Skeleton, shares_of,
};
use crate::{Error, Result};

/// Points must be above this for a person's height to be measured with them.
const MEASURED: f64 = 0.5;
/// Points below this are not seen.
const SEEN: f64 = 0.4;
/// The longest foot, in calves.
const LONGEST_FOOT: f64 = 0.5;
/// Limbs on the right and left whose ratios become the larger one of both.
const PAIRS: [(usize, usize); 7] = [(0, 1), (2, 4), (3, 5), (6, 9), (7, 10), (8, 11), (17, 18)];
/// Those that become their mean: eyes and ears.
const MEANS: [(usize, usize); 2] = [(13, 15), (14, 16)];
/// A calf and the foot below it.
const FEET: [(usize, usize); 2] = [(8, 18), (11, 17)];
/// Sizes of one person in the other's are within this, or were not measured.
const SCALES: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

/// Limbs whose length can be set by hand; left and right are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limb {
    /// From the neck to the shoulders.
    Shoulders,
    /// From shoulder to elbow.
    UpperArms,
    /// From elbow to wrist.
    Forearms,
    /// From the neck to the hips.
    Torso,
    /// From hip to knee.
    Thighs,
    /// From knee to ankle.
    Calves,
    /// From the neck to the nose, on to eyes and ears.
    Head,
    /// From ankle to toe.
    Feet,
}

impl Limb {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Shoulders, Self::UpperArms, Self::Forearms, Self::Torso, Self::Thighs, Self::Calves, Self::Head, Self::Feet];

    fn lines(self) -> &'static [usize] {
        match self {
            Self::Shoulders => &[0, 1],
            Self::UpperArms => &[2, 4],
            Self::Forearms => &[3, 5],
            Self::Torso => &[6, 9],
            Self::Thighs => &[7, 10],
            Self::Calves => &[8, 11],
            Self::Head => &[12, 13, 14, 15, 16],
            Self::Feet => &[17, 18],
        }
    }
}

/// How poses are given the proportions of the character, as Wan2.2's own preprocessing does: each limb has its length multiplied by the
/// ratio of the reference's to that of the driving person in the first frame, at the same angle; the body stands where the reference does.
#[derive(Clone, Debug)]
#[must_use = "nothing is retargeted before it is given poses"]
pub struct Retarget {
    reference: Option<Keypoints>,
    edited_reference: Option<Keypoints>,
    edited_driving: Option<Keypoints>,
    scales: [Option<f64>; 8],
}

impl Retarget {
    /// To the person of a picture, the character; of several frames the first counts.
    pub fn new(reference: Keypoints) -> Self {
        Self { reference: Some(reference), ..Self::to_found() }
    }

    /// To the person of the character image that networks find there: for a [`DrivingVideo`](crate::driving::DrivingVideo), which looks for it.
    pub fn to_found() -> Self {
        Self { reference: None, edited_reference: None, edited_driving: None, scales: [None; 8] }
    }

    /// Limb lengths come from this picture of the character instead, edited so that it stands straight towards the camera. It can have any
    /// size and scale; the character stays as large, and where, the unedited one is. (The original makes such a picture with
    /// FLUX.1-Kontext: `use_flux`.)
    pub fn edited_reference(mut self, keypoints: Keypoints) -> Self {
        self.edited_reference = Some(keypoints);
        self
    }

    /// As [`edited_reference`](Self::edited_reference), for the driving person.
    pub fn edited_driving(mut self, keypoints: Keypoints) -> Self {
        self.edited_driving = Some(keypoints);
        self
    }

    /// The ratio for a limb, in place of the one that is measured: 0.05 to 20, in bodies of the same height, so that 1 keeps the driving
    /// person's proportion. [`Retargeted::ratio`] tells what was measured.
    pub fn limb_scale(mut self, limb: Limb, ratio: f64) -> Self {
        self.scales[limb as usize] = Some(ratio);
        self
    }

    /// The character's points.
    ///
    /// # Errors
    /// [`Error::Input`] where they are still to be found.
    pub(crate) fn reference(&self) -> Result<&Keypoints> {
        self.reference.as_ref().ok_or_else(|| Error::Input("to retarget poses, the key points of the reference are needed".into()))
    }

    /// To other points of the character.
    pub(crate) fn onto(self, reference: Keypoints) -> Self {
        Self { reference: Some(reference), ..self }
    }

    /// The poses of a video on the reference's picture.
    ///
    /// # Errors
    /// [`Error::Input`] where a limb's ratio is out of range, or the character's points are still to be found.
    pub fn apply(&self, driving: &Keypoints) -> Result<Retargeted> {
        let reference = self.reference()?;
        if let Some(ratio) = self.scales.iter().flatten().find(|ratio| !(0.05..=20.0).contains(*ratio)) {
            return Err(Error::Input(format!("a limb cannot be scaled by {ratio}; give 0.05 to 20")));
        }
        let frames = shares_of(driving);
        // The first frame, unless nobody is there.
        let there = |frame: &&Skeleton| Person::new(driving, (*frame).clone()).length(0) > 0.0;
        let source = Person::new(driving, frames.iter().find(there).unwrap_or(&frames[0]).clone());
        let target = Person::first(reference);
        let scale = height_ratio(&source, &target).unwrap_or_else(|| source.side() / target.side());
        let edited_source = self.edited_driving.as_ref().map_or_else(|| source.clone(), |edited| source.edited(edited));
        let edited_target = self.edited_reference.as_ref().map_or_else(|| target.clone(), |edited| target.edited(edited));
        let unsure = |limb: &Limb| limb.lines().iter().any(|&line| edited_source.score(line).min(edited_target.score(line)) < SURE);
        let unsure = Limb::ALL.into_iter().filter(unsure).collect();
        let mut ratios = measure((&source, &edited_source), (&target, &edited_target));
        for (limb, set) in Limb::ALL.iter().zip(self.scales) {
            limb.lines().iter().for_each(|&line| ratios[line] = set.unwrap_or(ratios[line]));
        }
        let target = target.enlarged(scale);
        let shift = shift(&source, &target, &ratios);
        let skeletons = frames.iter().map(|frame| rebuild(frame, &source, &ratios, shift, scale)).collect();
        Ok(Retargeted { width: reference.width(), height: reference.height(), skeletons, ratios, scale, unsure })
    }
}

/// The ratio for each of the body's lines, of two persons as they are and as their edited pictures show them.
fn measure((source, edited_source): (&Person, &Person), (target, edited_target): (&Person, &Person)) -> [f64; 19] {
    let height_ratio = height_ratio(edited_source, edited_target);
    // An edit may have changed the scale, which shows where no height could be measured.
    let [of_source, of_target] = match height_ratio {
        Some(_) => [1.0, 1.0],
        None => [head_ratio(source, edited_source), head_ratio(target, edited_target)],
    };
    let edited_target = edited_target.clone().enlarged(height_ratio.unwrap_or_else(|| edited_source.side() / edited_target.side()));
    let ratio =
        |line| Some(edited_target.length(line) * of_target / edited_source.length(line) / of_source).filter(|ratio| ratio.is_finite());
    let measured: [Option<f64>; 19] = std::array::from_fn(ratio);
    let shoulders = measured[0].zip(measured[1]).map_or(1.0, |(right, left)| (right + left) / 2.0);
    let mut ratios = measured.map(|ratio| ratio.unwrap_or(shoulders));
    for (a, b) in PAIRS {
        (ratios[a], ratios[b]) = (ratios[a].max(ratios[b]), ratios[a].max(ratios[b]));
    }
    for (a, b) in MEANS {
        (ratios[a], ratios[b]) = ((ratios[a] + ratios[b]) / 2.0, (ratios[a] + ratios[b]) / 2.0);
    }
    ratios
}

/// Poses with the character's proportions, on its picture.
#[derive(Clone, Debug)]
pub struct Retargeted {
    width: u32,
    height: u32,
    skeletons: Vec<Skeleton>,
    ratios: [f64; 19],
    scale: f64,
    unsure: Vec<Limb>,
}

impl Retargeted {
    /// Width in pixels of the picture.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels of the picture.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pose of each frame, in pixels.
    pub fn skeletons(&self) -> &[Skeleton] {
        &self.skeletons
    }

    /// By how much a limb is longer than the driving person's, in bodies of the same height. Of the head it is the neck's.
    pub fn ratio(&self, limb: Limb) -> f64 {
        self.ratios[limb.lines()[0]]
    }

    /// Limbs that were measured with points whose scores are below 0.3, such as legs out of the picture. Where the driving video shows
    /// them, an edited reference or [`Retarget::limb_scale`] is better.
    pub fn unsure(&self) -> &[Limb] {
        &self.unsure
    }

    /// The driving person's height in heights of the character.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

/// A person, in shares of a picture of this size.
#[derive(Clone)]
struct Person {
    width: f64,
    height: f64,
    skeleton: Skeleton,
}

impl Person {
    fn new(keypoints: &Keypoints, skeleton: Skeleton) -> Self {
        Self { width: keypoints.width().into(), height: keypoints.height().into(), skeleton }
    }

    fn first(keypoints: &Keypoints) -> Self {
        Self::new(keypoints, Skeleton::shares(&keypoints.frames()[0], keypoints.width(), keypoints.height()))
    }

    /// The person of an edited picture, fitted into the unedited one's size.
    fn edited(&self, keypoints: &Keypoints) -> Self {
        Self::first(&keypoints.fitted(self.width as u32, self.height as u32))
    }

    /// The lower score of a line's ends.
    fn score(&self, line: usize) -> f64 {
        self.skeleton.body[LIMBS[line].0].score.min(self.skeleton.body[LIMBS[line].1].score)
    }

    /// In a picture so many times as large, of whole pixels.
    fn enlarged(mut self, scale: f64) -> Self {
        (self.width, self.height) = ((self.width * scale).trunc(), (self.height * scale).trunc());
        self
    }

    /// The side of a square picture of as many pixels.
    fn side(&self) -> f64 {
        (self.height * self.width).sqrt()
    }

    fn pixel(&self, point: usize) -> (f64, f64) {
        let at = self.skeleton.body[point];
        (at.x * self.width, at.y * self.height)
    }

    fn length(&self, line: usize) -> f64 {
        let ((ax, ay), (bx, by)) = (self.pixel(LIMBS[line].0), self.pixel(LIMBS[line].1));
        ((ax - bx) * (ax - bx) + (ay - by) * (ay - by)).sqrt()
    }

    /// From the nose down to the middle of two points, in pixels, where all are found.
    fn drop_to(&self, (right, left): (usize, usize)) -> Option<f64> {
        let [nose, right, left] = [NOSE, right, left].map(|point| self.skeleton.body[point]);
        let found = [nose, right, left].iter().all(|at| at.score > MEASURED);
        found.then(|| self.height * ((right.y + left.y) / 2.0 - nose.y).abs())
    }

    /// Whether hips and ankles are seen above the picture's lower edge.
    fn is_whole(&self) -> bool {
        [R_ANKLE, L_ANKLE, R_HIP, L_HIP].map(|point| self.skeleton.body[point]).iter().all(|at| at.y <= 1.0 && at.score >= SEEN)
    }

    /// The extent of nose, eyes and ears, in shares.
    fn head(&self) -> f64 {
        let xs = || [NOSE, R_EYE, L_EYE, R_EAR, L_EAR].into_iter().map(|point| self.skeleton.body[point].x);
        xs().fold(f64::NEG_INFINITY, f64::max) - xs().fold(f64::INFINITY, f64::min)
    }
}

/// The first one's height in the second one's, where both have ankles, or else hips.
fn height_ratio(source: &Person, target: &Person) -> Option<f64> {
    let ratio = |points| Some(source.drop_to(points)? / target.drop_to(points)?);
    let measured = |points| ratio(points).filter(|ratio| SCALES.contains(ratio));
    // Ankles that are found are used, whatever comes of it, unless that is no scale at all.
    measured((R_ANKLE, L_ANKLE)).or_else(|| measured((R_HIP, L_HIP)))
}

/// By how much a person's head or shoulders are wider than in an edited picture.
fn head_ratio(own: &Person, edited: &Person) -> f64 {
    let shoulders = |person: &Person| {
        let ((ax, ay), (bx, by)) = (person.pixel(L_SHOULDER), person.pixel(R_SHOULDER));
        ((ax - bx) * (ax - bx) + (ay - by) * (ay - by)).sqrt()
    };
    let ratio = (own.head() / edited.head()).max(shoulders(own) / shoulders(edited));
    if ratio.is_finite() && ratio > 0.0 { ratio } else { 1.0 }
}

/// The body with each line as long as `ratios` make it, from the neck outwards, at the angles that it has. In pixels.
fn lengthen(body: &[Keypoint; 20], ratios: &[f64; 19], limit_feet: bool) -> [Keypoint; 20] {
    let line = |index: usize| {
        let (a, b) = (body[LIMBS[index].0], body[LIMBS[index].1]);
        let (dx, dy) = (a.x - b.x, a.y - b.y);
        ((dy * dy + dx * dx).sqrt() * ratios[index], dy.atan2(dx))
    };
    let mut lines: [(f64, f64); 19] = std::array::from_fn(line);
    if limit_feet {
        FEET.iter().for_each(|&(calf, foot)| lines[foot].0 = lines[foot].0.min(lines[calf].0 * LONGEST_FOOT));
    }
    let mut out = *body;
    for ((from, to), (length, angle)) in LIMBS.into_iter().zip(lines) {
        (out[to].x, out[to].y) = (out[from].x - length * angle.cos(), out[from].y - length * angle.sin());
    }
    out
}

/// From where the lengthened body is to where the target stands: by ankles and hips where both are whole, else by the neck.
fn shift(source: &Person, target: &Person, ratios: &[f64; 19]) -> (f64, f64) {
    let body = lengthen(&source.skeleton.scaled(source.width, source.height).body, ratios, false);
    let goal = &target.skeleton.body;
    if !(source.is_whole() && target.is_whole()) {
        return (body[NECK].x - goal[NECK].x * target.width, body[NECK].y - goal[NECK].y * target.height);
    }
    // The ground is between ankle and toe in the reference, at the ankle in the video.
    let foot = |ankle: usize, toe: usize| (goal[ankle].y + goal[toe].y) / 2.0;
    let ground = foot(L_ANKLE, L_TOE).max(foot(R_ANKLE, R_TOE)) * target.height;
    let hips = (goal[R_HIP].x + goal[L_HIP].x) * target.width / 2.0;
    ((body[R_HIP].x + body[L_HIP].x) / 2.0 - hips, body[R_ANKLE].y.max(body[L_ANKLE].y) - ground)
}

/// A frame's pose, in pixels of the reference's picture.
fn rebuild(frame: &Skeleton, source: &Person, ratios: &[f64; 19], (dx, dy): (f64, f64), scale: f64) -> Skeleton {
    let own = frame.scaled(source.width, source.height).body;
    let moved = |at: Keypoint| Keypoint { x: (at.x - dx) / scale, y: (at.y - dy) / scale, score: at.score };
    let body = lengthen(&own, ratios, true).map(moved);
    let ratio = ratios[0].max(ratios[1]) / scale;
    let [left, right] = frame.hands.map(|hand| Hand::new(hand, ratio));
    // Each belongs to the nearer wrist; the right hand decides for both.
    let pixels = |hand: &Hand| hand.root().map_or((-source.width, -source.height), |root| (root.x * source.width, root.y * source.height));
    let far = |wrist: usize| (own[wrist].x - pixels(&right).0).hypot(own[wrist].y - pixels(&right).1);
    let swapped = far(R_WRIST) > far(L_WRIST);
    // Its own root is what is put on the wrist, so that a swapped hand keeps the distance that it had.
    let offset = |hand: &Hand, wrist: usize| {
        let root = hand.root().map_or((0.0, 0.0), |_| (own[wrist].x - pixels(hand).0, own[wrist].y - pixels(hand).1));
        (body[wrist].x - own[wrist].x + root.0, body[wrist].y - own[wrist].y + root.1)
    };
    let (to_right, to_left) = (offset(&right, R_WRIST), offset(&left, L_WRIST));
    let (at_right, at_left) = if swapped { (left, right) } else { (right, left) };
    let hands = [at_right.placed(source, to_right), at_left.placed(source, to_left)];
    Skeleton { body: body.map(sound), hands }
}

/// A hand in shares of the picture, scaled about its root, its points none where they are not seen.
struct Hand([Option<Keypoint>; 21]);

impl Hand {
    fn new(points: [Keypoint; 21], ratio: f64) -> Self {
        let (x, y) = (points[0].x * (ratio - 1.0), points[0].y * (ratio - 1.0));
        let scaled = |at: Keypoint| Keypoint { x: at.x * ratio - x, y: at.y * ratio - y, score: at.score };
        Self(points.map(|at| (at.score >= SEEN).then(|| scaled(at))))
    }

    fn root(&self) -> Option<Keypoint> {
        self.0[0]
    }

    /// In whole pixels, moved.
    fn placed(&self, source: &Person, (dx, dy): (f64, f64)) -> [Keypoint; 21] {
        let place =
            |at: Keypoint| Keypoint { x: (at.x * source.width + dx).trunc(), y: (at.y * source.height + dy).trunc(), score: at.score };
        self.0.map(|at| at.map_or(Keypoint::default(), |at| sound(place(at))))
    }
}

/// A point that is nowhere is not there.
fn sound(at: Keypoint) -> Keypoint {
    if at.x.abs() <= FARTHEST && at.y.abs() <= FARTHEST { at } else { Keypoint::default() }
}
