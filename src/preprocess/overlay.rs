//! A look at what was found, on the video.

use image::{GrayImage, Rgb, RgbImage};

use super::face::FaceBox;
use super::keypoints::WholeBody;
use super::person_box::{PersonBox, SURE};
use super::raster::{Colour, Place, disc, line, row_of};
use super::skeleton::{LIMBS, Skeleton};

const PERSON: Colour = [255, 255, 255];
const FACE: Colour = [0, 200, 255];
const MASK: Colour = [255, 0, 255];
const FLAGGED: Colour = [255, 0, 0];
const LIMB: Colour = [90, 90, 255];

/// The digits 0 to 9, three columns by five rows, the upper left bit first.
const DIGITS: [u16; 10] = [0x7b6f, 0x2c97, 0x73e7, 0x72cf, 0x5bc9, 0x79cf, 0x79ef, 0x7249, 0x7bef, 0x7bcf];

/// All that is shown of a frame.
pub(super) struct Shown<'a> {
    pub(super) person: &'a WholeBody,
    pub(super) person_box: Option<PersonBox>,
    pub(super) face: FaceBox,
    pub(super) mask: Option<&'a GrayImage>,
    pub(super) flagged: bool,
}

/// Draws on a frame: the person's box (white), the face's (blue), the mask's outline (magenta), points from red (not sure) to green
/// (sure), the body's with their scores in hundredths, and a red border where the frame is flagged.
pub(super) fn draw_overlay(frame: &mut RgbImage, shown: &Shown) {
    let unit = i64::from((frame.width().min(frame.height()) / 240).max(1));
    if let Some(mask) = shown.mask {
        draw_outline(frame, mask);
    }
    let places = |found: PersonBox| ((found.x1 as i64, found.y1 as i64), (found.x2 as i64 - 1, found.y2 as i64 - 1));
    if let Some(found) = shown.person_box {
        draw_box(frame, places(found), PERSON);
    }
    draw_box(frame, places(shown.face.into()), FACE);
    let body = Skeleton::shares(shown.person, 1, 1).body;
    for (a, b) in LIMBS.map(|(a, b)| (body[a], body[b])) {
        if a.score.min(b.score) >= SURE {
            line(frame, (a.x as i64, a.y as i64), (b.x as i64, b.y as i64), LIMB);
        }
    }
    for (index, at) in shown.person.points().iter().enumerate().filter(|(_, at)| at.score > 0.0) {
        let place = (at.x as i64, at.y as i64);
        disc(frame, place, if index < 23 { unit + 1 } else { unit - 1 }, colour(at.score));
        // Those of eyes and ears would lie on each other.
        if index == 0 || (5..17).contains(&index) {
            write_number(frame, (place.0 + 3 * unit, place.1 - 3 * unit), (at.score * 100.0).round(), unit, colour(at.score));
        }
    }
    if shown.flagged {
        draw_border(frame, 3 * unit);
    }
}

/// From red over yellow to green.
fn colour(score: f64) -> Colour {
    let share = score.clamp(0.0, 1.0) * 2.0;
    [((2.0 - share).min(1.0) * 255.0) as u8, (share.min(1.0) * 255.0) as u8, 0]
}

fn draw_box(frame: &mut RgbImage, ((x1, y1), (x2, y2)): (Place, Place), colour: Colour) {
    let corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)];
    for index in 0..4 {
        line(frame, corners[index], corners[(index + 1) % 4], colour);
    }
}

/// The mask's pixels that have one beside them which is not of it.
fn draw_outline(frame: &mut RgbImage, mask: &GrayImage) {
    let (width, height) = mask.dimensions();
    let white = |x: u32, y: u32| x < width && y < height && mask.get_pixel(x, y).0[0] != 0;
    for (x, y, _) in mask.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] != 0) {
        let inner = white(x.wrapping_sub(1), y) && white(x + 1, y) && white(x, y.wrapping_sub(1)) && white(x, y + 1);
        if !inner {
            frame.put_pixel(x, y, Rgb(MASK));
        }
    }
}

fn draw_border(frame: &mut RgbImage, thickness: i64) {
    let (width, height) = (i64::from(frame.width()), i64::from(frame.height()));
    for y in 0..height {
        let across = if y < thickness || y >= height - thickness { width } else { thickness };
        row_of(frame, y, 0, across - 1, FLAGGED);
        row_of(frame, y, width - across, width - 1, FLAGGED);
    }
}

/// A number that is not negative, its lower left corner at `place`, `unit` pixels for each of the digits'.
fn write_number(frame: &mut RgbImage, place: Place, number: f64, unit: i64, colour: Colour) {
    for (index, digit) in format!("{:.0}", number.clamp(0.0, 999.0)).bytes().enumerate() {
        let bits = DIGITS[usize::from(digit - b'0')];
        for pixel in (0..15).filter(|pixel| bits >> (14 - pixel) & 1 == 1) {
            let left = place.0 + (4 * index as i64 + pixel % 3) * unit;
            let top = place.1 + (pixel / 3 - 5) * unit;
            (0..unit).for_each(|row| row_of(frame, top + row, left, left + unit - 1, colour));
        }
    }
}
