//! What was found in each frame, and what to look at before hours are spent on it.

use image::GrayImage;
use serde_json::{Map, Value, json};

use super::face::{FaceBox, FaceFrom};
use super::keypoints::{Keypoint, Keypoints, WholeBody};
use super::mask::{area, dilate, holes, islands};
use super::person_box::{PersonBox, SURE};
use super::retarget::{Limb, Retargeted};

/// Something about a frame that may spoil the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flag {
    /// The first frame of another take.
    Cut,
    /// More persons than one were surely seen; the box is that of who was taken.
    SeveralPersons,
    /// Not two points are sure.
    NoPerson,
    /// The body's mean score is below 0.3.
    LowConfidence,
    /// The middle of shoulders and hips moves by more than a quarter of the person's diagonal, while the person is where it was.
    TorsoJump,
    /// The person's box has little to do with that of the frame before: perhaps somebody else.
    SubjectSwitch,
    /// The left hand's mean score is below 0.3.
    LeftHandLost,
    /// The right hand's mean score is below 0.3.
    RightHandLost,
    /// The face's mean score is below 0.3, but its points make a box.
    FaceLost,
    /// The face's box is that of a frame before.
    FaceHeld,
    /// The face's box is the middle of the picture.
    FaceCentred,
    /// Lost points were put between those before and after.
    GapFilled,
    /// There is nothing in the mask.
    MaskEmpty,
    /// The mask is less than 0.15 of the person's box, grown by a quarter for hair and clothes.
    MaskSmall,
    /// It is more than 1.1 of that box.
    MaskLarge,
    /// More than a twentieth of it is outside that box, grown by another tenth.
    MaskOutside,
    /// A twentieth of it or more is not connected with the largest part.
    MaskFragments,
    /// Holes in it are a twentieth of it or more.
    MaskHoles,
    /// More than a fifth of the sure points are not in it.
    PointsOutsideMask,
    /// It differs from that of the frame before, while the person is where it was.
    MaskJump,
}

impl Flag {
    /// Whether the frame is likely to be spoilt. Cuts, other persons, filled gaps, hands out of sight, a face lost for a moment and holes in a mask,
    /// as a hand on a hip makes one, are not such.
    pub fn spoils(self) -> bool {
        !matches!(
            self,
            Self::Cut
                | Self::SeveralPersons
                | Self::GapFilled
                | Self::LeftHandLost
                | Self::RightHandLost
                | Self::FaceHeld
                | Self::MaskHoles
        )
    }

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::SeveralPersons => "several_persons",
            Self::NoPerson => "no_person",
            Self::LowConfidence => "low_confidence",
            Self::TorsoJump => "torso_jump",
            Self::SubjectSwitch => "subject_switch",
            Self::LeftHandLost => "left_hand_lost",
            Self::RightHandLost => "right_hand_lost",
            Self::FaceLost => "face_lost",
            Self::FaceHeld => "face_held",
            Self::FaceCentred => "face_centred",
            Self::GapFilled => "gap_filled",
            Self::MaskEmpty => "mask_empty",
            Self::MaskSmall => "mask_small",
            Self::MaskLarge => "mask_large",
            Self::MaskOutside => "mask_outside",
            Self::MaskFragments => "mask_fragments",
            Self::MaskHoles => "mask_holes",
            Self::PointsOutsideMask => "points_outside_mask",
            Self::MaskJump => "mask_jump",
        }
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FrameReport {
    /// Around all sure points, where there are two.
    pub person: Option<PersonBox>,
    /// Where the face is cut out.
    pub face: FaceBox,
    /// Mean score of the 17 points of the body.
    pub body_score: f64,
    /// Mean scores of the left and the right hand's points.
    pub hand_scores: [f64; 2],
    /// Mean score of the face's points.
    pub face_score: f64,
    /// Pixels of the person's mask, where there is one.
    pub mask_pixels: Option<usize>,
    /// What to look at.
    pub flags: Vec<Flag>,
}

/// All frames, and what was measured for retargeting.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) frames: Vec<FrameReport>,
    pub(super) retarget: Option<Value>,
}

impl Report {
    /// The frames.
    pub fn frames(&self) -> &[FrameReport] {
        &self.frames
    }

    /// In how many frames each flag was raised, in the order of the first ones.
    pub fn summary(&self) -> Vec<(Flag, usize)> {
        let mut counts: Vec<(Flag, usize)> = Vec::new();
        for flag in self.frames.iter().flat_map(|frame| &frame.flags) {
            match counts.iter_mut().find(|(known, _)| known == flag) {
                Some((_, count)) => *count += 1,
                None => counts.push((*flag, 1)),
            }
        }
        counts
    }

    /// As JSON: `summary` (frames by flag), `retarget` (`scale`, `ratios` by limb, `unsure` limbs) where asked for, `frames`.
    pub fn to_json(&self) -> String {
        let summary: Map<String, Value> = self.summary().into_iter().map(|(flag, count)| (flag.name().into(), json!(count))).collect();
        let mut report = json!({ "summary": summary, "frames": self.frames.iter().map(frame_json).collect::<Vec<_>>() });
        if let Some(retarget) = &self.retarget {
            report["retarget"] = retarget.clone();
        }
        report.to_string()
    }
}

fn frame_json(frame: &FrameReport) -> Value {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let person = frame.person.map(|found| [found.x1, found.x2, found.y1, found.y2].map(round));
    let [left_hand, right_hand] = frame.hand_scores.map(round);
    let flags: Vec<&str> = frame.flags.iter().map(|flag| flag.name()).collect();
    let scores =
        json!({ "body": round(frame.body_score), "face": round(frame.face_score), "left_hand": left_hand, "right_hand": right_hand });
    let face = [frame.face.x1, frame.face.x2, frame.face.y1, frame.face.y2];
    json!({ "box": person, "face_box": face, "scores": scores, "mask_pixels": frame.mask_pixels, "flags": flags })
}

/// What a report says of retargeting.
pub(super) fn retarget_json(retargeted: &Retargeted) -> Value {
    let name = |limb: Limb| format!("{limb:?}").to_lowercase();
    let ratios: Map<String, Value> = Limb::ALL.into_iter().map(|limb| (name(limb), json!(retargeted.ratio(limb)))).collect();
    let unsure: Vec<String> = retargeted.unsure().iter().map(|limb| name(*limb)).collect();
    json!({ "scale": retargeted.scale(), "ratios": ratios, "unsure": unsure })
}

/// What the points tell of each frame.
pub(super) fn report_points(keypoints: &Keypoints, cuts: &[usize], filled: &[bool], faces: &[(FaceBox, FaceFrom)]) -> Vec<FrameReport> {
    let frames = keypoints.frames();
    let one = |index: usize| {
        let cut = cuts.contains(&index);
        let (switched, jumped) = if index == 0 || cut { (false, false) } else { moves(&frames[index - 1], &frames[index]) };
        let (face, from) = faces[index];
        let mut report = scores(&frames[index], face);
        let lost = |score: f64| score < SURE;
        let raised = [
            (cut, Flag::Cut),
            (report.person.is_none(), Flag::NoPerson),
            (lost(report.body_score), Flag::LowConfidence),
            (jumped, Flag::TorsoJump),
            (switched, Flag::SubjectSwitch),
            (lost(report.hand_scores[0]), Flag::LeftHandLost),
            (lost(report.hand_scores[1]), Flag::RightHandLost),
            (from == FaceFrom::Points && lost(report.face_score), Flag::FaceLost),
            (from == FaceFrom::Before, Flag::FaceHeld),
            (from == FaceFrom::Centre, Flag::FaceCentred),
            (filled[index], Flag::GapFilled),
        ];
        report.flags.extend(raised.into_iter().filter(|(raised, _)| *raised).map(|(_, flag)| flag));
        report
    };
    (0..frames.len()).map(one).collect()
}

/// A report without flags.
fn scores(person: &WholeBody, face: FaceBox) -> FrameReport {
    FrameReport {
        person: PersonBox::of(person),
        face,
        body_score: mean(person.body()),
        hand_scores: [mean(person.left_hand()), mean(person.right_hand())],
        face_score: mean(person.face()),
        mask_pixels: None,
        flags: Vec::new(),
    }
}

fn mean(points: &[Keypoint]) -> f64 {
    points.iter().map(|at| at.score).sum::<f64>() / points.len() as f64
}

/// Whether from one frame to the next the person is another one, and whether the torso jumps.
fn moves(last: &WholeBody, own: &WholeBody) -> (bool, bool) {
    let (Some(before), Some(after)) = (PersonBox::of(last), PersonBox::of(own)) else { return (false, false) };
    let overlap = before.iou(&after);
    let jump = torso(last).zip(torso(own)).is_some_and(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1) > 0.25 * after.diagonal());
    (overlap < 0.3, overlap > 0.5 && jump)
}

/// The middle of the shoulders and hips that are sure, where two are.
fn torso(person: &WholeBody) -> Option<(f64, f64)> {
    let sure: Vec<Keypoint> = [5, 6, 11, 12].map(|index| person.points()[index]).into_iter().filter(|at| at.score >= SURE).collect();
    let count = sure.len() as f64;
    (sure.len() >= 2).then(|| (sure.iter().map(|at| at.x).sum::<f64>() / count, sure.iter().map(|at| at.y).sum::<f64>() / count))
}

/// Adds to a frame's report what its mask tells. `last` is the mask and the box of the frame before.
pub(super) fn report_mask(frame: &mut FrameReport, person: &WholeBody, mask: &GrayImage, last: Option<(&GrayImage, Option<PersonBox>)>) {
    let pixels = area(mask);
    frame.mask_pixels = Some(pixels);
    if pixels == 0 {
        frame.flags.push(Flag::MaskEmpty);
        return;
    }
    let parts = islands(mask);
    let twentieth = pixels.div_ceil(20);
    let missing: usize = holes(mask).iter().map(Vec::len).sum();
    let mut raised = vec![(pixels - parts[0].len() >= twentieth, Flag::MaskFragments), (missing >= twentieth, Flag::MaskHoles)];
    if let Some(own) = frame.person {
        // Hair and clothes are beyond the points.
        let room = own.grown(0.25).within(mask.width(), mask.height());
        let share = pixels as f64 / room.area();
        let outside = mask_outside(mask, &room.grown(0.1)) as f64 / pixels as f64;
        raised.extend([(share < 0.15, Flag::MaskSmall), (share > 1.1, Flag::MaskLarge), (outside > 0.05, Flag::MaskOutside)]);
        raised.push((recall(person, mask, own.diagonal()) < 0.8, Flag::PointsOutsideMask));
        let still = |last: Option<PersonBox>| last.is_some_and(|last| last.iou(&own) > 0.7);
        raised.push((last.is_some_and(|(before, at)| still(at) && mask_iou(before, mask) < 0.6), Flag::MaskJump));
    }
    frame.flags.extend(raised.into_iter().filter(|(raised, _)| *raised).map(|(_, flag)| flag));
}

fn mask_outside(mask: &GrayImage, of: &PersonBox) -> usize {
    let within = |x: u32, y: u32| (of.x1..of.x2).contains(&f64::from(x)) && (of.y1..of.y2).contains(&f64::from(y));
    mask.enumerate_pixels().filter(|(x, y, pixel)| pixel.0[0] != 0 && !within(*x, *y)).count()
}

/// The share of the sure points in the picture that are in the mask, grown by a fiftieth of the person's diagonal.
fn recall(person: &WholeBody, mask: &GrayImage, diagonal: f64) -> f64 {
    let grown = dilate(mask, 2 * (0.02 * diagonal) as u32 + 1, 1);
    let within = |at: &Keypoint| (0.0..f64::from(mask.width())).contains(&at.x) && (0.0..f64::from(mask.height())).contains(&at.y);
    let sure: Vec<&Keypoint> = person.points().iter().filter(|at| at.score >= SURE && within(at)).collect();
    let inside = sure.iter().filter(|at| grown.get_pixel(at.x as u32, at.y as u32).0[0] != 0).count();
    if sure.is_empty() { 1.0 } else { inside as f64 / sure.len() as f64 }
}

fn mask_iou(a: &GrayImage, b: &GrayImage) -> f64 {
    let pairs = || a.as_raw().iter().zip(b.as_raw());
    let shared = pairs().filter(|(a, b)| **a != 0 && **b != 0).count();
    let covered = pairs().filter(|(a, b)| **a != 0 || **b != 0).count();
    if covered == 0 { 1.0 } else { shared as f64 / covered as f64 }
}
