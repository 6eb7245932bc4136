use image::RgbImage;
use serde_json::Value;
use wan_animate::image;
use wan_animate::preprocess::{Keypoint, Keypoints, WholeBody};
use wan_animate::video::{FrameSource, Frames};
use wan_animate::{Error, Result};

/// A person of `[x, y, score]` times 133.
pub fn person(points: &Value) -> WholeBody {
    let number = |at: &Value, index: usize| at[index].as_f64().unwrap();
    let point = |at: &Value| Keypoint { x: number(at, 0), y: number(at, 1), score: number(at, 2) };
    WholeBody::new(&points.as_array().unwrap().iter().map(point).collect::<Vec<_>>()).unwrap()
}

pub fn size(value: &Value) -> (u32, u32) {
    let side = |index: usize| value[index].as_u64().unwrap() as u32;
    (side(0), side(1))
}

/// A person that stands in a picture of 200x120 pixels, moved to the right by `dx`; every point is sure.
pub fn standing(dx: f64) -> WholeBody {
    let mut person = WholeBody::missing();
    let body =
        [(50, 10), (52, 8), (48, 8), (55, 10), (45, 10), (60, 30), (40, 30), (66, 45), (34, 45), (68, 60), (32, 60), (57, 65), (43, 65)];
    let legs = [(57, 85), (43, 85), (57, 105), (43, 105), (58, 110), (60, 109), (56, 108), (42, 110), (40, 109), (44, 108)];
    for (index, at) in person.points_mut().iter_mut().enumerate() {
        let spread = |step: usize| (index * step % 13) as f64;
        let (x, y) = match index {
            0..=12 => (f64::from(body[index].0), f64::from(body[index].1)),
            13..=22 => (f64::from(legs[index - 13].0), f64::from(legs[index - 13].1)),
            23..=90 => (44.0 + spread(5), 4.0 + spread(7)),
            91..=111 => (66.0 + spread(3) / 2.0, 58.0 + spread(5) / 2.0),
            _ => (28.0 + spread(3) / 2.0, 58.0 + spread(5) / 2.0),
        };
        *at = Keypoint { x: x + dx, y, score: 0.9 };
    }
    person
}

pub fn keypoints(frames: Vec<WholeBody>) -> Keypoints {
    Keypoints::new(200, 120, Some(30.0), frames).unwrap()
}

/// Grey frames of 200x120 pixels.
pub fn video(num_frames: usize) -> Frames {
    Frames::from_images(vec![RgbImage::from_pixel(200, 120, [90; 3].into()); num_frames]).unwrap()
}

/// White where the standing person is, roughly, moved to the right.
pub fn mask(dx: u32) -> RgbImage {
    let inside = |x: u32, y: u32| (28 + dx..72 + dx).contains(&x) && (2..112).contains(&y);
    RgbImage::from_fn(200, 120, |x, y| [if inside(x, y) { 255 } else { 0 }; 3].into())
}

/// A video that knows its rate.
pub struct Rated(pub Frames, pub f64);

impl FrameSource for Rated {
    fn num_frames(&self) -> usize {
        self.0.num_frames()
    }

    fn size(&self) -> (u32, u32) {
        self.0.size()
    }

    fn fps(&self) -> Option<f64> {
        Some(self.1)
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        self.0.read(index)
    }
}

/// That it is the caller's fault, and the message says `part`.
#[track_caller]
pub fn refuses<T>(result: Result<T>, part: &str) {
    match result {
        Err(Error::Input(message)) => assert!(message.contains(part), "`{message}` does not say `{part}`"),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("not refused, though `{part}`"),
    }
}
