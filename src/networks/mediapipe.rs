//! MediaPipe's pose, hand and face networks, each shown a square that is turned upright, and followed from frame to frame.

use image::{GrayImage, RgbImage};

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::boxes::sigmoid;
use crate::networks::kind::{Kind, Outputs};
use crate::networks::net::{Made, Net, open};
use crate::networks::patch::{Affine, Patch, Samples, warp_plane};
use crate::networks::pose::{Pose, PoseEstimator};
use crate::onnx::Graph;
use crate::preprocess::{Keypoint, PersonBox, WholeBody};

/// RGB from 0 to 1, channels last.
const SAMPLES: Samples = Samples { channels_last: true, ..Samples::UNIT };

/// Below this there is nobody, or no hand.
const PRESENT: f64 = 0.5;

/// How often a person is looked at anew to find how it is turned, when it was not followed; and a hand.
const TURNS: usize = 4;
const HAND_TURNS: usize = 3;
const FACE_TURNS: usize = 2;

/// Of the pose network's points: those of COCO's body, and of its feet (big toe, small toe, heel, left before right), of which it has one toe each.
const BODY: [usize; 17] = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28];
const FEET: [usize; 6] = [31, 31, 29, 32, 32, 30];
/// The middle of the hips, and what is above it on the circle around the person.
const CENTRE: usize = 33;
const ABOVE: usize = 34;
/// Those of the head.
const HEAD: usize = 11;
/// Wrist, little and index finger, of both hands.
const HANDS: [[usize; 3]; 2] = [[15, 17, 19], [16, 18, 20]];

/// Which of the mesh's points are the 68 of a face.
const FACE: [usize; 68] = [
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168,
    197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17,
    84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
];

type Point = (f64, f64);

/// A square of a picture, turned so that what is up in it points up.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Square {
    centre: Point,
    side: f64,
    angle: f64,
}

impl Square {
    /// From its pixels, so many along a side, to those of the picture.
    fn map(&self, pixels: usize) -> Affine {
        let (sin, cos) = self.angle.sin_cos();
        let (scale, half) = (self.side.max(1.0) / pixels as f64, self.side.max(1.0) / 2.0);
        let corner = (self.centre.0 - half * cos + half * sin, self.centre.1 - half * sin - half * cos);
        Affine::new([cos * scale, -sin * scale, corner.0, sin * scale, cos * scale, corner.1])
    }
}

/// By how much a square is turned in which `v` points up.
fn upright(v: Point) -> f64 {
    std::f64::consts::FRAC_PI_2 - (-v.1).atan2(v.0)
}

fn minus(a: Point, b: Point) -> Point {
    (a.0 - b.0, a.1 - b.1)
}

/// The middle of the box around points, and its longer side.
fn bounds(points: &[Point]) -> (Point, f64) {
    let range = |axis: fn(&Point) -> f64| {
        let values = points.iter().map(axis);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (top, bottom)) = (range(|point| point.0), range(|point| point.1));
    (((left + right) / 2.0, (top + bottom) / 2.0), (right - left).max(bottom - top))
}

/// A network that is shown a square, and the first two numbers of each of its points.
#[derive(Debug)]
struct Landmarks {
    net: Net,
    points: usize,
    width: usize,
}

impl Landmarks {
    fn load(graph: Graph, wanted: Kind, [points, width]: [usize; 2], device: &Device) -> Result<Self> {
        match Outputs::of(&graph).kind() {
            kind if kind == wanted => Ok(Self { net: Net::load(graph, device)?, points, width }),
            other => Err(Error::weights(graph.path(), format!("this is {other}, where {wanted} is wanted"))),
        }
    }

    /// Its points in the picture, and all that it gave.
    fn find(&mut self, frame: &RgbImage, square: &Square) -> Result<(Vec<Point>, Made)> {
        let pixels = self.net.input_size().0;
        let map = square.map(pixels);
        let made = self.net.run(Patch::warp(map, (pixels, pixels)).samples(frame, &SAMPLES))?;
        let numbers = made.floats(self.output(self.points * self.width));
        let place = |point: &[f32]| map.apply((point[0].into(), point[1].into()));
        Ok((numbers.chunks_exact(self.width).map(place).collect(), made))
    }

    fn output(&self, elements: usize) -> usize {
        Outputs::of(self.net.graph()).with_elements(elements).unwrap_or_default()
    }

    /// The first of its outputs that is one number.
    fn presence(&self, made: &Made) -> f64 {
        made.floats(self.output(1)).first().copied().unwrap_or_default().into()
    }
}

/// MediaPipe's chain of networks: pose, with a mask of the person, both hands, and face, from which the 133 points are taken. Each is looked for
/// where it was in the frame before.
#[derive(Debug)]
pub struct MediaPipe {
    pose: Landmarks,
    hand: Landmarks,
    face: Landmarks,
    followed: Option<Square>,
    hands: [Option<Square>; 2],
}

impl MediaPipe {
    /// Opens the three networks: `pose_landmark`, `hand_landmark` and `face_landmark`, converted to ONNX.
    ///
    /// # Errors
    /// [`Error::Weights`] where a file is no ONNX file, or not the network that it should be; [`Error::Unsupported`] for operators that are not
    /// supported; [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(pose: impl Into<Location>, hand: impl Into<Location>, face: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::load([open(&pose.into())?, open(&hand.into())?, open(&face.into())?], device)
    }

    pub(super) fn load([pose, hand, face]: [Graph; 3], device: &Device) -> Result<Self> {
        Ok(Self {
            pose: Landmarks::load(pose, Kind::MediaPipePose, [39, 5], device)?,
            hand: Landmarks::load(hand, Kind::MediaPipeHand, [21, 3], device)?,
            face: Landmarks::load(face, Kind::MediaPipeFace, [468, 3], device)?,
            followed: None,
            hands: [None; 2],
        })
    }

    /// The points of the body, what the network gave, and the square that it was shown.
    fn body(&mut self, frame: &RgbImage, person: &PersonBox) -> Result<(Vec<Point>, Made, Square)> {
        // A person who is not where the followed one was is another one.
        let is_in = |square: &Square| {
            let (x, y) = square.centre;
            (person.x1..=person.x2).contains(&x) && (person.y1..=person.y2).contains(&y)
        };
        let (mut square, turns) = match self.followed.filter(is_in) {
            Some(square) => (square, 1),
            None => {
                self.hands = [None; 2];
                let centre = ((person.x1 + person.x2) / 2.0, (person.y1 + person.y2) / 2.0);
                (Square { centre, side: 1.25 * person.width().max(person.height()), angle: 0.0 }, TURNS)
            }
        };
        let mut found = self.pose.find(frame, &square)?;
        for _ in 1..turns {
            square = around_hips(&found.0);
            found = self.pose.find(frame, &square)?;
        }
        let present = self.pose.presence(&found.1) >= PRESENT;
        self.followed = present.then(|| around_hips(&found.0));
        Ok((found.0, found.1, square))
    }

    /// A hand's points and how likely it is there: where it was, or where the body's points say that it is.
    fn hand(&mut self, frame: &RgbImage, body: &[Point], side: usize) -> Result<(Vec<Point>, f64)> {
        let [wrist, pinky, index] = HANDS[side].map(|at| body[at]);
        let centre = ((2.0 * index.0 + pinky.0) / 3.0, (2.0 * index.1 + pinky.1) / 3.0);
        let v = minus(centre, wrist);
        let by_body = (Square { centre, side: 5.4 * v.0.hypot(v.1), angle: upright(v) }, HAND_TURNS);
        let mut last = (Vec::new(), 0.0);
        for (mut square, turns) in self.hands[side].map(|square| (square, 1)).into_iter().chain([by_body]) {
            for _ in 0..turns {
                let (points, made) = self.hand.find(frame, &square)?;
                let (centre, longer) = bounds(&points);
                square = Square { centre, side: 1.8 * longer, angle: upright(minus(points[9], points[0])) };
                last = (points, self.hand.presence(&made));
            }
            if last.1 > PRESENT {
                self.hands[side] = Some(square);
                return Ok(last);
            }
        }
        self.hands[side] = None;
        Ok(last)
    }

    /// The mesh's points and how likely they are a face.
    fn face(&mut self, frame: &RgbImage, body: &[Point]) -> Result<(Vec<Point>, f64)> {
        let head = &body[..HEAD];
        let mean = |axis: fn(&Point) -> f64| head.iter().map(axis).sum::<f64>() / head.len() as f64;
        let mut square = Square { centre: (mean(|point| point.0), mean(|point| point.1)), side: 2.2 * bounds(head).1, angle: 0.0 };
        let mut last = (Vec::new(), 0.0);
        for _ in 0..FACE_TURNS {
            let (points, made) = self.face.find(frame, &square)?;
            let (centre, longer) = bounds(&points);
            square = Square { centre, side: 1.5 * longer, angle: 0.0 };
            last = (points, sigmoid(self.face.presence(&made)));
        }
        Ok(last)
    }
}

/// The square around a person who was found.
fn around_hips(points: &[Point]) -> Square {
    let v = minus(points[ABOVE], points[CENTRE]);
    Square { centre: points[CENTRE], side: 2.5 * v.0.hypot(v.1), angle: upright(v) }
}

impl PoseEstimator for MediaPipe {
    fn restart(&mut self) {
        (self.followed, self.hands) = (None, [None; 2]);
    }

    fn pose(&mut self, frame: &RgbImage, person: &PersonBox) -> Result<Pose> {
        let (body, made, square) = self.body(frame, person)?;
        let numbers = made.floats(self.pose.output(195));
        // Of a point: x, y, z, and how likely it is to be seen, and to be there.
        let score = |at: usize| sigmoid(numbers[5 * at + 3].into()) * sigmoid(numbers[5 * at + 4].into());
        let of_body = |&at: &usize| Keypoint { x: body[at].0, y: body[at].1, score: score(at) };
        let mut points: Vec<Keypoint> = BODY.iter().chain(&FEET).map(of_body).collect();
        let (face, face_score) = self.face(frame, &body)?;
        points.extend(FACE.map(|at| Keypoint { x: face[at].0, y: face[at].1, score: face_score }));
        for side in [0, 1] {
            let (hand, score) = self.hand(frame, &body, side)?;
            points.extend(hand.iter().map(|&(x, y)| Keypoint { x, y, score }));
        }
        let mask = mask(&made, self.pose.output(256 * 256), &square, frame.dimensions());
        Ok(Pose { points: WholeBody::new(&points)?, mask })
    }
}

/// The person, by the logits of a square of the picture.
fn mask(made: &Made, output: usize, square: &Square, (width, height): (u32, u32)) -> Option<GrayImage> {
    const SIDE: usize = 256;
    /// Surely nobody.
    const OUTSIDE: f32 = -50.0;
    let logits = made.floats(output);
    if logits.len() != SIDE * SIDE {
        return None;
    }
    let seen = warp_plane(logits, (SIDE, SIDE), &square.map(SIDE).inverse(), (width, height), OUTSIDE);
    GrayImage::from_raw(width, height, seen.into_iter().map(|logit| if logit > 0.0 { 255 } else { 0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_turned_upright() {
        let square = Square { centre: (100.0, 50.0), side: 40.0, angle: upright((0.0, -1.0)) };
        assert!(square.angle.abs() < 1e-12, "what points up in the picture is not turned");
        let near = |a: Point, b: Point| (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9;
        assert!(near(square.map(20).apply((0.0, 0.0)), (80.0, 30.0)) && near(square.map(20).apply((10.0, 10.0)), (100.0, 50.0)));
        // Somebody who lies with the head to the right: its head is up in the square.
        let lying = Square { angle: upright((1.0, 0.0)), ..square };
        assert!(near(lying.map(20).apply((10.0, 0.0)), (120.0, 50.0)), "{:?}", lying.map(20).apply((10.0, 0.0)));
    }
}
