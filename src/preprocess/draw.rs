//! Pose drawings.

use image::RgbImage;

use super::keypoints::Keypoint;
use super::raster::{Colour, disc, ellipse, fill_convex, thick_line};
use super::skeleton::{LIMBS, Skeleton};

/// Points below this are not drawn.
const SCORE: f64 = 0.5;

/// Of the body's points; its lines have the first 19, darker.
const COLOURS: [Colour; 20] = [
    [255, 0, 0],
    [255, 85, 0],
    [255, 170, 0],
    [255, 255, 0],
    [170, 255, 0],
    [85, 255, 0],
    [0, 255, 0],
    [0, 255, 85],
    [0, 255, 170],
    [0, 255, 255],
    [0, 170, 255],
    [0, 85, 255],
    [0, 0, 255],
    [85, 0, 255],
    [170, 0, 255],
    [255, 0, 255],
    [255, 0, 170],
    [255, 0, 85],
    [200, 200, 0],
    [100, 100, 0],
];

/// Of a hand's 20 lines: hues around the circle.
const HAND_COLOURS: [Colour; 20] = [
    [255, 0, 0],
    [255, 77, 0],
    [255, 153, 0],
    [255, 229, 0],
    [204, 255, 0],
    [128, 255, 0],
    [51, 255, 0],
    [0, 255, 25],
    [0, 255, 102],
    [0, 255, 179],
    [0, 255, 255],
    [0, 178, 255],
    [0, 102, 255],
    [0, 25, 255],
    [51, 0, 255],
    [128, 0, 255],
    [204, 0, 255],
    [255, 0, 230],
    [255, 0, 153],
    [255, 0, 77],
];
const HAND_POINT: Colour = [0, 0, 255];

/// The drawing of a person on black, as the model knows it: body and hands, no face. Points with a score below 0.5 are left out, with the
/// lines that end there. Pixel for pixel what Wan2.2's own preprocessing draws.
pub fn draw_pose(skeleton: &Skeleton, width: u32, height: u32) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    let stick = i64::from((width.min(height) / 200).saturating_sub(1).max(1));
    for (&(a, b), colour) in LIMBS.iter().zip(COLOURS) {
        draw_limb(&mut image, &skeleton.body[a], &skeleton.body[b], stick, colour);
    }
    for (at, colour) in skeleton.body.iter().zip(COLOURS).filter(|(at, _)| at.score >= SCORE) {
        disc(&mut image, (at.x as i64, at.y as i64), stick, colour);
    }
    skeleton.hands.iter().for_each(|hand| draw_hand(&mut image, hand, (stick / 2).max(1)));
    image
}

/// An ellipse from point to point, `stick` pixels to each side.
fn draw_limb(image: &mut RgbImage, a: &Keypoint, b: &Keypoint, stick: i64, colour: Colour) {
    if a.score < SCORE || b.score < SCORE {
        return;
    }
    let (dx, dy) = (a.x - b.x, a.y - b.y);
    let length = (dy * dy + dx * dx).sqrt();
    let centre = (((a.x + b.x) / 2.0) as i64, ((a.y + b.y) / 2.0) as i64);
    let corners = ellipse(centre, ((length / 2.0) as i64, stick), dy.atan2(dx).to_degrees() as i64);
    fill_convex(image, &corners, 0, colour.map(|level| (f64::from(level) * 0.6) as u8));
}

/// Five fingers of four lines each from the wrist. What touches the left or upper edge is left out.
fn draw_hand(image: &mut RgbImage, hand: &[Keypoint; 21], thickness: i64) {
    let place = |index: usize| {
        let (at, place) = (hand[index], (hand[index].x as i64, hand[index].y as i64));
        (at.score >= SCORE && place.0 > 0 && place.1 > 0).then_some(place)
    };
    for (edge, colour) in HAND_COLOURS.into_iter().enumerate() {
        let from = if edge % 4 == 0 { 0 } else { edge };
        if let (Some(a), Some(b)) = (place(from), place(edge + 1)) {
            thick_line(image, a, b, thickness, colour);
        }
    }
    for at in (0..21).filter_map(place) {
        disc(image, at, thickness, HAND_POINT);
    }
}
