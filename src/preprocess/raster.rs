//! Lines, discs and convex polygons on a picture, pixel for pixel as OpenCV draws them without antialiasing: the model has learnt from
//! such drawings.

use image::{Rgb, RgbImage};

/// What is drawn with.
pub(super) type Colour = [u8; 3];
/// A place in pixels, or in 65536ths of one.
pub(super) type Place = (i64, i64);

/// Fractional bits of a fixed-point place.
const BITS: u32 = 16;
const ONE: i64 = 1 << BITS;
const HALF: i64 = ONE >> 1;

/// A line one pixel thick. Of a line that leaves the picture the inner part is drawn between the rounded places where it leaves.
pub(super) fn line(image: &mut RgbImage, from: Place, to: Place, colour: Colour) {
    let Some((a, b)) = clip(size(image), from, to) else { return };
    let (a, b) = if b.0 < a.0 { (b, a) } else { (a, b) };
    let (dx, dy) = (b.0 - a.0, (b.1 - a.1).abs());
    let down = (b.1 - a.1).signum();
    let steep = dy > dx;
    let (major, minor) = if steep { (dy, dx) } else { (dx, dy) };
    let mut error = major - 2 * minor;
    let (mut x, mut y) = a;
    for _ in 0..=major {
        put(image, x, y, colour);
        let both = error < 0;
        error += if both { 2 * major - 2 * minor } else { -2 * minor };
        x += i64::from(!steep || both);
        y += if steep || both { down } else { 0 };
    }
}

/// A line of `thickness` pixels with round ends. What leaves the picture by more than its thickness is cut off first.
pub(super) fn thick_line(image: &mut RgbImage, from: Place, to: Place, thickness: i64, colour: Colour) {
    if thickness <= 1 {
        return line(image, from, to, colour);
    }
    let (width, height) = size(image);
    let moved = |(x, y): Place, by: i64| (x + by, y + by);
    let inflated = (width + 2 * thickness, height + 2 * thickness);
    let Some((from, to)) = clip(inflated, moved(from, thickness), moved(to, thickness)) else { return };
    let (from, to) = (moved(from, -thickness), moved(to, -thickness));
    let (dx, dy) = ((from.0 - to.0) as f64, (to.1 - from.1) as f64);
    let length = (dx * dx + dy * dy).sqrt();
    if length > 0.0 {
        let odd = if thickness % 2 == 1 { 0.5 * ONE as f64 } else { 0.0 };
        let scale = ((thickness * HALF) as f64 + odd) / length;
        let (across, along) = ((dy * scale).round_ties_even() as i64, (dx * scale).round_ties_even() as i64);
        let corner = |end: Place, sign: i64| (end.0 * ONE + sign * across, end.1 * ONE + sign * along);
        fill_convex(image, &[corner(from, 1), corner(from, -1), corner(to, -1), corner(to, 1)], BITS, colour);
    }
    let radius = (thickness * HALF + HALF) >> BITS;
    [from, to].into_iter().for_each(|end| disc(image, end, radius, colour));
}

/// A filled circle.
pub(super) fn disc(image: &mut RgbImage, (x, y): Place, radius: i64, colour: Colour) {
    let (mut dx, mut dy, mut error) = (radius, 0, 0);
    let (mut plus, mut minus) = (1, 2 * radius - 1);
    while dx >= dy {
        for row in [y - dy, y + dy] {
            row_of(image, row, x - dx, x + dx, colour);
        }
        for row in [y - dx, y + dx] {
            row_of(image, row, x - dy, x + dy, colour);
        }
        dy += 1;
        error += plus;
        plus += 2;
        if error > 0 {
            error -= minus;
            dx -= 1;
            minus -= 2;
        }
    }
}

/// The corners of an ellipse, one for each degree, those that fall together once. `axes` are half its sides; `angle` turns it clockwise,
/// in degrees, -360 to 360.
pub(super) fn ellipse(centre: Place, axes: (i64, i64), angle: i64) -> Vec<Place> {
    let turn = angle.rem_euclid(360);
    let (cos, sin) = (sine(90 - turn), sine(turn));
    let mut corners: Vec<Place> = (0..=360)
        .map(|degree| {
            let (x, y) = (axes.0 as f64 * sine(90 - degree), axes.1 as f64 * sine(degree));
            let (x, y) = (centre.0 as f64 + x * cos - y * sin, centre.1 as f64 + x * sin + y * cos);
            (x.round_ties_even() as i64, y.round_ties_even() as i64)
        })
        .collect();
    corners.dedup();
    if corners.len() == 1 { vec![centre, centre] } else { corners }
}

/// The sine of whole degrees to 7 decimals, as OpenCV's table has it.
fn sine(degrees: i64) -> f64 {
    let degrees = degrees.rem_euclid(360);
    // Of the first quadrant, so that all four have the same digits.
    let (sign, degrees) = if degrees > 180 { (-1.0, degrees - 180) } else { (1.0, degrees) };
    let exact = (degrees.min(180 - degrees) as f64).to_radians().sin();
    f64::from((sign * (exact * 1e7).round() / 1e7) as f32)
}

/// A convex polygon with its outline. Of its places' bits `shift` are fractional: 0 or 16.
pub(super) fn fill_convex(image: &mut RgbImage, corners: &[Place], shift: u32, colour: Colour) {
    let Some(&last) = corners.last() else { return };
    let mut from = last;
    for &to in corners {
        if shift == 0 {
            line(image, from, to, colour);
        } else {
            fixed_line(image, from, to, colour);
        }
        from = to;
    }
    let rounded = |at: i64| (at + (1 << shift >> 1)) >> shift;
    let (width, height) = size(image);
    let xs = || corners.iter().map(|corner| rounded(corner.0));
    let ys = || corners.iter().map(|corner| rounded(corner.1));
    let (Some(left), Some(right), Some(top), Some(bottom)) = (xs().min(), xs().max(), ys().min(), ys().max()) else { return };
    if corners.len() >= 3 && right >= 0 && bottom >= 0 && left < width && top < height {
        fill_rows(image, corners, shift, (top, bottom.min(height - 1)), colour);
    }
}

/// One of the two sides of a polygon on the way down.
struct Side {
    corner: usize,
    step: usize,
    x: i64,
    dx: i64,
    /// The row at which its edge ends.
    end: i64,
}

impl Side {
    /// Goes on to the edge that reaches below row `y`. `left` counts the edges that neither side has used.
    fn advance(&mut self, corners: &[Place], shift: u32, y: i64, left: &mut i64) {
        let mut from = self.corner;
        let mut to = (from + self.step) % corners.len();
        loop {
            *left -= 1;
            if *left < 0 {
                return;
            }
            let end = (corners[to].1 + (1 << shift >> 1)) >> shift;
            if end > y {
                let x = |corner: usize| corners[corner].0 << (BITS - shift);
                self.dx = ((x(to) - x(from)) * 2 + (end - y)) / (2 * (end - y));
                (self.x, self.end, self.corner) = (x(from), end, to);
                return;
            }
            (from, to) = (to, (to + self.step) % corners.len());
        }
    }
}

fn fill_rows(image: &mut RgbImage, corners: &[Place], shift: u32, (top, bottom): (i64, i64), colour: Colour) {
    let lowest = corners.iter().map(|corner| corner.1).min();
    let corner = corners.iter().position(|corner| Some(corner.1) == lowest).unwrap_or(0);
    let side = |step| Side { corner, step, x: -ONE, dx: 0, end: top };
    let mut sides = [side(1), side(corners.len() - 1)];
    let mut left = corners.len() as i64;
    for y in top..=bottom {
        for side in &mut sides {
            if y >= side.end {
                side.advance(corners, shift, y, &mut left);
            }
        }
        if left < 0 {
            break;
        }
        let (a, b) = (sides[0].x.min(sides[1].x), sides[0].x.max(sides[1].x));
        row_of(image, y, (a + HALF) >> BITS, (b + HALF) >> BITS, colour);
        sides.iter_mut().for_each(|side| side.x += side.dx);
    }
}

/// A line one pixel thick between fixed-point places.
fn fixed_line(image: &mut RgbImage, from: Place, to: Place, colour: Colour) {
    let (width, height) = size(image);
    let Some((a, b)) = clip((width << BITS, height << BITS), from, to) else { return };
    let flat = (b.0 - a.0).abs() > (b.1 - a.1).abs();
    // As if it were flat, from left to right.
    let swap = |(x, y): Place| if flat { (x, y) } else { (y, x) };
    let (a, b) = (swap(a), swap(b));
    let (a, b) = if b.0 < a.0 { (b, a) } else { (a, b) };
    let slope = ((b.1 - a.1) << BITS) / ((b.0 - a.0) | 1);
    let mut point = |(x, y): Place| {
        let (x, y) = swap((x, y));
        put(image, x, y, colour);
    };
    point(((b.0 + HALF) >> BITS, (b.1 + HALF) >> BITS));
    let first = (a.0 + HALF) >> BITS;
    for step in 0..=(b.0 - a.0) >> BITS {
        point((first + step, (a.1 + HALF + step * slope) >> BITS));
    }
}

/// The part of a line that is in a picture, if there is one.
fn clip((width, height): (i64, i64), mut a: Place, mut b: Place) -> Option<(Place, Place)> {
    let (right, bottom) = (width - 1, height - 1);
    let beside = |(x, _): Place| (x < 0, x > right);
    let beyond = |(_, y): Place| (y < 0, y > bottom);
    let both = |p: (bool, bool), q: (bool, bool)| p.0 && q.0 || p.1 && q.1;
    if both(beside(a), beside(b)) || both(beyond(a), beyond(b)) {
        return None;
    }
    // Each end moves along the line as the ends before it have left it, as in the original: the rounding shows.
    let edge = |(low, _): (bool, bool), far: i64| if low { 0 } else { far };
    if beyond(a) != (false, false) {
        let y = edge(beyond(a), bottom);
        a = (a.0 + (y - a.1) * (b.0 - a.0) / (b.1 - a.1), y);
    }
    if beyond(b) != (false, false) {
        let y = edge(beyond(b), bottom);
        b = (b.0 + (y - b.1) * (b.0 - a.0) / (b.1 - a.1), y);
    }
    if both(beside(a), beside(b)) {
        return None;
    }
    if beside(a) != (false, false) {
        let x = edge(beside(a), right);
        a = (x, a.1 + (x - a.0) * (b.1 - a.1) / (b.0 - a.0));
    }
    if beside(b) != (false, false) {
        let x = edge(beside(b), right);
        b = (x, b.1 + (x - b.0) * (b.1 - a.1) / (b.0 - a.0));
    }
    Some((a, b))
}

fn size(image: &RgbImage) -> (i64, i64) {
    (image.width().into(), image.height().into())
}

fn put(image: &mut RgbImage, x: i64, y: i64, colour: Colour) {
    row_of(image, y, x, x, colour);
}

/// Part of a row: what of it is in the picture.
pub(super) fn row_of(image: &mut RgbImage, y: i64, left: i64, right: i64, colour: Colour) {
    let (width, height) = size(image);
    if (0..height).contains(&y) {
        for x in left.max(0)..=right.min(width - 1) {
            image.put_pixel(x as u32, y as u32, Rgb(colour));
        }
    }
}
