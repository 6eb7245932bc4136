//! What a network is shown of a picture: stretched, fitted, or turned upright.

use image::RgbImage;

use crate::cores::on_all_cores;

/// About how many operations a pixel takes.
const OPERATIONS: usize = 64;

/// From the pixels of one picture to those of another: `x' = a x + b y + c`, `y' = d x + e y + f`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine([f64; 6]);

impl Affine {
    pub(super) fn new(matrix: [f64; 6]) -> Self {
        Self(matrix)
    }

    /// Scales both axes, then moves.
    pub(super) fn scale((x, y): (f64, f64), (dx, dy): (f64, f64)) -> Self {
        Self([x, 0.0, dx, 0.0, y, dy])
    }

    pub(super) fn apply(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The other way; itself where there is none.
    pub(super) fn inverse(&self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let determinant = a * e - b * d;
        if determinant == 0.0 {
            return *self;
        }
        let [a, b, d, e] = [e, -b, -d, a].map(|value| value / determinant);
        Self([a, b, -(a * c + b * f), d, e, -(d * c + e * f)])
    }
}

/// How a network takes the samples of a picture, which are 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Samples {
    /// [1, H, W, 3] instead of [1, 3, H, W].
    pub(super) channels_last: bool,
    /// Blue first. Means and deviations go by place, whatever the colour.
    pub(super) bgr: bool,
    pub(super) mean: [f32; 3],
    pub(super) deviation: [f32; 3],
}

impl Samples {
    /// RGB from 0 to 1.
    pub(super) const UNIT: Self = Self { channels_last: false, bgr: false, mean: [0.0; 3], deviation: [255.0; 3] };
    /// RGB as networks trained on ImageNet take it.
    pub(super) const IMAGENET: Self = Self {
        channels_last: false,
        bgr: false,
        mean: [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0],
        deviation: [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0],
    };

    /// Those of a picture as it is.
    pub(super) fn of(&self, image: &RgbImage) -> Vec<f32> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut samples = vec![0.0; 3 * width * height];
        for (index, pixel) in image.pixels().enumerate() {
            self.put(pixel.0.map(f32::from), index, &mut samples);
        }
        samples
    }

    /// The samples of a pixel, at their places among those of all.
    fn put(&self, mut pixel: [f32; 3], index: usize, samples: &mut [f32]) {
        let plane = samples.len() / 3;
        if self.bgr {
            pixel.reverse();
        }
        for (channel, sample) in pixel.into_iter().enumerate() {
            let at = if self.channels_last { 3 * index + channel } else { channel * plane + index };
            samples[at] = (sample - self.mean[channel]) / self.deviation[channel];
        }
    }
}

/// A rectangle of pixels: left, top, and right and bottom beyond it.
type Rectangle = [i64; 4];

/// What is taken of a picture, and how it comes to the size of a network's input.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    width: usize,
    height: usize,
    /// From pixel centres of the input to those of the picture.
    map: Affine,
    /// From places found in the input to places in the picture.
    pub(super) back: Affine,
    /// The part of the picture whose edges are repeated; none where nothing is.
    window: Option<Rectangle>,
    /// The part of the input that shows the picture.
    shown: Rectangle,
    /// What is where the picture is not, 0 to 255.
    fill: f32,
    /// Whether samples are whole levels, as where pictures are cut out in 8 bits.
    is_rounded: bool,
}

/// Pixel centres of an input that is stretched over a part of a picture.
fn stretched((x, y): (f64, f64), (left, top): (f64, f64)) -> Affine {
    Affine::scale((x, y), (left + 0.5 * x - 0.5, top + 0.5 * y - 0.5))
}

impl Patch {
    /// The whole picture, its aspect not kept.
    pub(super) fn stretch((own_width, own_height): (u32, u32), (width, height): (usize, usize)) -> Self {
        let scale = (f64::from(own_width) / width as f64, f64::from(own_height) / height as f64);
        Self {
            width,
            height,
            map: stretched(scale, (0.0, 0.0)),
            back: Affine::scale(scale, (0.0, 0.0)),
            window: Some([0, 0, own_width.into(), own_height.into()]),
            shown: [0, 0, width as i64, height as i64],
            fill: 0.0,
            is_rounded: true,
        }
    }

    /// The whole picture in its aspect, with grey of 114 around it, in the middle or in the upper left corner.
    pub(super) fn letterbox((own_width, own_height): (u32, u32), (width, height): (usize, usize), centred: bool) -> Self {
        let (w, h) = (f64::from(own_width), f64::from(own_height));
        let ratio = (width as f64 / w).min(height as f64 / h);
        let side = |own: f64| if centred { (own * ratio).round() } else { (own * ratio).floor() }.max(1.0);
        let (shown_width, shown_height) = (side(w), side(h));
        // Halves go down, as where this is usual.
        let margin = |all: usize, shown: f64| if centred { ((all as f64 - shown) / 2.0 - 0.1).round() } else { 0.0 };
        let (left, top) = (margin(width, shown_width), margin(height, shown_height));
        let scale = (w / shown_width, h / shown_height);
        let at = (-left * scale.0, -top * scale.1);
        Self {
            width,
            height,
            map: stretched(scale, at),
            back: Affine::scale((1.0 / ratio, 1.0 / ratio), (-left / ratio, -top / ratio)),
            window: Some([0, 0, own_width.into(), own_height.into()]),
            shown: [left as i64, top as i64, (left + shown_width) as i64, (top + shown_height) as i64],
            fill: 114.0,
            is_rounded: true,
        }
    }

    /// A part of the picture of whole pixels, stretched; black where it is beyond the picture.
    pub(super) fn window([left, top, right, bottom]: Rectangle, (width, height): (usize, usize)) -> Self {
        let scale = ((right - left).max(1) as f64 / width as f64, (bottom - top).max(1) as f64 / height as f64);
        let corner = (left as f64, top as f64);
        Self {
            width,
            height,
            map: stretched(scale, corner),
            back: Affine::scale(scale, corner),
            window: Some([left, top, right.max(left + 1), bottom.max(top + 1)]),
            shown: [0, 0, width as i64, height as i64],
            fill: 0.0,
            is_rounded: false,
        }
    }

    /// What an affine map shows; black where it is beyond the picture.
    pub(super) fn warp(map: Affine, (width, height): (usize, usize)) -> Self {
        Self { width, height, map, back: map, window: None, shown: [0, 0, width as i64, height as i64], fill: 0.0, is_rounded: true }
    }

    /// The samples of the input.
    pub(super) fn samples(&self, image: &RgbImage, form: &Samples) -> Vec<f32> {
        let mut pixels = vec![[0.0; 3]; self.width * self.height];
        let lines = pixels.chunks_mut(self.width.max(1)).enumerate().collect();
        on_all_cores(OPERATIONS * self.width * self.height, lines, |(y, line)| {
            for (x, pixel) in line.iter_mut().enumerate() {
                let exact = self.pixel(image, (x, y));
                *pixel = if self.is_rounded { exact.map(f32::round) } else { exact };
            }
        });
        let mut samples = vec![0.0; 3 * pixels.len()];
        pixels.into_iter().enumerate().for_each(|(index, pixel)| form.put(pixel, index, &mut samples));
        samples
    }

    fn pixel(&self, image: &RgbImage, (x, y): (usize, usize)) -> [f32; 3] {
        let [left, top, right, bottom] = self.shown;
        if !(left..right).contains(&(x as i64)) || !(top..bottom).contains(&(y as i64)) {
            return [self.fill; 3];
        }
        bilinear(self.map.apply((x as f64, y as f64)), |x, y| {
            let (x, y) = match self.window {
                Some([left, top, right, bottom]) => (x.clamp(left, right - 1), y.clamp(top, bottom - 1)),
                None => (x, y),
            };
            let inside = (0..i64::from(image.width())).contains(&x) && (0..i64::from(image.height())).contains(&y);
            if inside { image.get_pixel(x as u32, y as u32).0.map(f32::from) } else { [0.0; 3] }
        })
    }
}

/// The mean of the four neighbours of a place, weighted by how near they are.
fn bilinear<const N: usize>((x, y): (f64, f64), pixel: impl Fn(i64, i64) -> [f32; N]) -> [f32; N] {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = ((x - left) as f32, (y - top) as f32);
    let (left, top) = (left as i64, top as i64);
    let row = |y: i64| {
        let (a, b) = (pixel(left, y), pixel(left.saturating_add(1), y));
        std::array::from_fn::<f32, N, _>(|channel| a[channel] + fx * (b[channel] - a[channel]))
    };
    let (upper, lower) = (row(top), row(top.saturating_add(1)));
    std::array::from_fn(|channel| upper[channel] + fy * (lower[channel] - upper[channel]))
}

/// A plane of numbers seen through a map from the pixels of a picture to its own, `outside` where it is not.
pub(super) fn warp_plane(
    values: &[f32],
    (width, height): (usize, usize),
    map: &Affine,
    (out_width, out_height): (u32, u32),
    outside: f32,
) -> Vec<f32> {
    let value = |x: i64, y: i64| {
        let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
        [if inside { values[y as usize * width + x as usize] } else { outside }]
    };
    let mut out = vec![0.0; out_width as usize * out_height as usize];
    let lines = out.chunks_mut(out_width.max(1) as usize).enumerate().collect();
    on_all_cores(OPERATIONS * out_width as usize * out_height as usize, lines, |(y, line)| {
        line.iter_mut().enumerate().for_each(|(x, out)| *out = bilinear(map.apply((x as f64, y as f64)), value)[0]);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| [x as u8 * 36, y as u8 * 36, 7].into())
    }

    #[test]
    fn stretching_is_what_opencv_does() {
        // cv2.resize of 0, 36, 72, 108 to two and to eight pixels.
        let red = |patch: &Patch| patch.samples(&ramp(4, 1), &Samples { deviation: [1.0; 3], ..Samples::UNIT });
        assert_eq!(red(&Patch::stretch((4, 1), (2, 1)))[..2], [18.0, 90.0]);
        assert_eq!(red(&Patch::stretch((4, 1), (8, 1)))[..8], [0.0, 9.0, 27.0, 45.0, 63.0, 81.0, 99.0, 108.0]);
    }

    #[test]
    fn a_letterbox_keeps_the_aspect() {
        let patch = Patch::letterbox((8, 4), (4, 4), true);
        let samples = patch.samples(&ramp(8, 4), &Samples { channels_last: true, bgr: true, mean: [0.0; 3], deviation: [1.0; 3] });
        let rows: Vec<_> = samples.chunks(12).map(|row| row[1]).collect();
        assert_eq!(rows, [114.0, 18.0, 90.0, 114.0]);
        assert_eq!(samples[12..15], [7.0, 18.0, 18.0], "blue, green, red");
        assert_eq!(patch.back.apply((2.0, 1.0)), (4.0, 0.0));
        let corner = Patch::letterbox((8, 4), (4, 4), false);
        assert_eq!(corner.back.apply((4.0, 2.0)), (8.0, 4.0));
    }

    #[test]
    fn maps_have_inverses() {
        let map = Affine::new([0.3, -0.8, 5.0, 0.9, 0.2, -3.0]);
        let (x, y) = map.inverse().apply(map.apply((7.0, 11.0)));
        assert!((x - 7.0).abs() < 1e-9 && (y - 11.0).abs() < 1e-9);
    }

    #[test]
    fn windows_beyond_the_picture_are_black() {
        let samples = Patch::window([-2, 0, 2, 1], (4, 1)).samples(&ramp(4, 1), &Samples { deviation: [1.0; 3], ..Samples::UNIT });
        assert_eq!(samples[..4], [0.0, 0.0, 0.0, 36.0]);
        assert_eq!(samples[8..], [0.0, 0.0, 7.0, 7.0]);
    }
}
