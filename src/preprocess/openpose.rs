//! Key points as OpenPose and ComfyUI have them.

use serde::{Deserialize, Serialize};

use super::keypoints::{Keypoint, Keypoints, NUM_KEYPOINTS, WholeBody};
use super::person_box::PersonBox;
use crate::{Error, Result};

/// For each point of OpenPose's BODY_25 the one of COCO-WholeBody; neck and middle of the hips have none.
const BODY_25: [Option<usize>; 25] = [
    Some(0),
    None,
    Some(6),
    Some(8),
    Some(10),
    Some(5),
    Some(7),
    Some(9),
    None,
    Some(12),
    Some(14),
    Some(16),
    Some(11),
    Some(13),
    Some(15),
    Some(2),
    Some(1),
    Some(4),
    Some(3),
    Some(17),
    Some(18),
    Some(19),
    Some(20),
    Some(21),
    Some(22),
];
/// The same for its older body of 18 points, which is BODY_25 without the middle of the hips and the feet.
const BODY_18: usize = 18;
const MID_HIP: usize = 8;
const FACE_START: usize = 23;
const HAND_STARTS: [usize; 2] = [91, 112];

/// One frame. OpenPose's files have no size.
#[derive(Serialize, Deserialize)]
pub(super) struct Picture {
    people: Vec<Person>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canvas_width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canvas_height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<f64>,
}

/// x, y and score of point after point.
type Flat = Option<Vec<f64>>;

#[derive(Serialize, Deserialize)]
struct Person {
    #[serde(default)]
    pose_keypoints_2d: Flat,
    #[serde(default)]
    face_keypoints_2d: Flat,
    #[serde(default)]
    hand_left_keypoints_2d: Flat,
    #[serde(default)]
    hand_right_keypoints_2d: Flat,
}

/// One person of all frames; `size` is that of the pictures, where they do not say it.
pub(super) fn from_pictures(pictures: &[Picture], size: Option<(u32, u32)>) -> Result<Keypoints> {
    let own = |picture: &Picture| picture.canvas_width.zip(picture.canvas_height);
    let first = pictures.first().ok_or_else(|| Error::Input("there is no frame in it".into()))?;
    let (width, height) = own(first).or(size).ok_or_else(|| Error::Input("does not say the size of the pictures; give it".into()))?;
    if let Some((index, (w, h))) =
        pictures.iter().enumerate().find_map(|(index, picture)| Some((index, own(picture).filter(|own| *own != (width, height))?)))
    {
        let message = format!("frame {index} is of a picture of {w}x{h} pixels, but the first of {width}x{height}");
        return Err(Error::Input(message));
    }
    let scale = if pictures.iter().all(is_normalised) { (f64::from(width), f64::from(height)) } else { (1.0, 1.0) };
    let mut frames: Vec<WholeBody> = Vec::with_capacity(pictures.len());
    let mut last = None;
    for (index, picture) in pictures.iter().enumerate() {
        let persons = picture.people.iter().enumerate().map(|(person, points)| {
            points.to_whole_body(scale).map_err(|message| Error::Input(format!("frame {index}, person {person}: {message}")))
        });
        let chosen = choose(persons.collect::<Result<_>>()?, last);
        last = PersonBox::of(&chosen).or(last);
        frames.push(chosen);
    }
    Keypoints::new(width, height, None, frames)
}

/// The person that overlaps most with where it was last, or else is largest.
fn choose(persons: Vec<WholeBody>, last: Option<PersonBox>) -> WholeBody {
    let rank = |person: &WholeBody| {
        let own = PersonBox::of(person);
        (own.zip(last).map_or(0.0, |(own, last)| own.iou(&last)), own.map_or(0.0, |own| own.area()))
    };
    let better = |a: &WholeBody, b: &WholeBody| {
        let (a, b) = (rank(a), rank(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    persons.into_iter().max_by(better).unwrap_or_else(WholeBody::missing)
}

/// Whether all places are shares of the picture.
fn is_normalised(picture: &Picture) -> bool {
    let parts = |person: &Person| {
        let Person { pose_keypoints_2d: pose, face_keypoints_2d: face, hand_left_keypoints_2d: left, hand_right_keypoints_2d: right } =
            person;
        [pose, face, left, right].into_iter().flatten().all(|part| part.chunks(3).all(|at| at.iter().take(2).all(|place| *place <= 1.0)))
    };
    picture.people.iter().all(parts)
}

impl Person {
    fn to_whole_body(&self, scale: (f64, f64)) -> Result<WholeBody, String> {
        let mut points = [Keypoint::default(); NUM_KEYPOINTS];
        let body = unpack("pose_keypoints_2d", &self.pose_keypoints_2d, &[25, BODY_18], scale)?;
        for (index, at) in body.iter().enumerate() {
            let index = if body.len() == BODY_18 && index >= MID_HIP { index + 1 } else { index };
            if let Some(to) = BODY_25[index] {
                points[to] = *at;
            }
        }
        // The last two of 70 are the pupils.
        let face = unpack("face_keypoints_2d", &self.face_keypoints_2d, &[70, 68], scale)?;
        let hands = [("hand_left_keypoints_2d", &self.hand_left_keypoints_2d), ("hand_right_keypoints_2d", &self.hand_right_keypoints_2d)];
        let mut put = |start: usize, part: &[Keypoint]| points[start..start + part.len()].copy_from_slice(part);
        put(FACE_START, &face[..face.len().min(68)]);
        for ((name, hand), start) in hands.into_iter().zip(HAND_STARTS) {
            put(start, &unpack(name, hand, &[21], scale)?);
        }
        WholeBody::new(&points).map_err(|error| error.to_string())
    }

    fn new(person: &WholeBody, body: usize) -> Self {
        let points = person.points();
        let middle = |a: usize, b: usize| {
            let (a, b) = (points[a], points[b]);
            Keypoint { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0, score: a.score.min(b.score) }
        };
        let neck_or_hip = |index: usize| if index == MID_HIP { middle(11, 12) } else { middle(5, 6) };
        let all: Vec<Keypoint> =
            BODY_25.iter().enumerate().map(|(index, from)| from.map_or_else(|| neck_or_hip(index), |from| points[from])).collect();
        let left_out = |index: usize| body == BODY_18 && index == MID_HIP;
        let pose: Vec<Keypoint> = (0..25).filter(|&index| !left_out(index)).map(|index| all[index]).take(body).collect();
        let face: Vec<Keypoint> = [person.face(), &[middle_of(points, 59..65), middle_of(points, 65..71)]].concat();
        Self {
            pose_keypoints_2d: pack(&pose),
            face_keypoints_2d: pack(&face),
            hand_left_keypoints_2d: pack(person.left_hand()),
            hand_right_keypoints_2d: pack(person.right_hand()),
        }
    }
}

/// The pupil is taken to be in the middle of the eye's outline.
fn middle_of(points: &[Keypoint; NUM_KEYPOINTS], eye: std::ops::Range<usize>) -> Keypoint {
    let count = eye.len() as f64;
    let sum = |part: fn(&Keypoint) -> f64| points[eye.clone()].iter().map(part).sum::<f64>() / count;
    Keypoint { x: sum(|at| at.x), y: sum(|at| at.y), score: sum(|at| at.score) }
}

/// The points of a part of the body, none where it is left out.
fn unpack(name: &str, flat: &Flat, counts: &[usize], (x, y): (f64, f64)) -> Result<Vec<Keypoint>, String> {
    let Some(flat) = flat.as_ref().filter(|flat| !flat.is_empty()) else { return Ok(Vec::new()) };
    if !counts.iter().any(|count| 3 * count == flat.len()) {
        let known = counts.iter().map(|count| (3 * count).to_string()).collect::<Vec<_>>().join(" or ");
        return Err(format!("`{name}` has {} numbers; {known} are needed", flat.len()));
    }
    Ok(flat.chunks_exact(3).map(|at| Keypoint { x: at[0] * x, y: at[1] * y, score: at[2] }).collect())
}

fn pack(points: &[Keypoint]) -> Flat {
    Some(points.iter().flat_map(|at| [at.x, at.y, at.score]).collect())
}

/// As ComfyUI has them.
pub(super) fn pictures(keypoints: &Keypoints) -> Vec<Picture> {
    let (width, height) = (Some(keypoints.width()), Some(keypoints.height()));
    let picture = |frame| Picture { people: vec![Person::new(frame, BODY_18)], canvas_width: width, canvas_height: height, version: None };
    keypoints.frames().iter().map(picture).collect()
}

/// As OpenPose has them, a file each.
pub(super) fn files(keypoints: &Keypoints) -> Vec<Picture> {
    let file = |frame| Picture { people: vec![Person::new(frame, 25)], canvas_width: None, canvas_height: None, version: Some(1.3) };
    keypoints.frames().iter().map(file).collect()
}
