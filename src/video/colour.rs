//! RGB to and from 8-bit Y'CbCr 4:2:0.

use image::RgbImage;

/// How a stream's samples encode colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    /// What red and blue weigh in luma.
    red: f32,
    blue: f32,
    /// Whether luma takes 0 to 255, not 16 to 235.
    full_range: bool,
}

impl Colour {
    /// What new videos are written in.
    pub(super) const BT709: Self = Self { red: 0.2126, blue: 0.0722, full_range: false };

    /// By the number of the matrix in H.273: 1 is BT.709, 9 and 10 BT.2020, all else (and none) BT.601.
    pub(super) fn from_matrix(matrix: u8, full_range: bool) -> Self {
        let (red, blue) = match matrix {
            1 => (0.2126, 0.0722),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        Self { red, blue, full_range }
    }

    /// The black level of luma, and the spans of luma and chroma, in 8-bit levels.
    fn levels(self) -> (f32, f32, f32) {
        if self.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) }
    }

    /// Every four pixels share their chroma sample.
    pub(super) fn to_rgb(self, planes: &Planes) -> RgbImage {
        let (black, luma_span, chroma_span) = self.levels();
        let green = 1.0 - self.red - self.blue;
        let (luma_scale, chroma_scale) = (255.0 / luma_span, 2.0 * 255.0 / chroma_span);
        let (red_cr, blue_cb) = (chroma_scale * (1.0 - self.red), chroma_scale * (1.0 - self.blue));
        let (green_cr, green_cb) = (red_cr * self.red / green, blue_cb * self.blue / green);
        let mut samples = Vec::with_capacity(3 * planes.width * planes.height);
        for y in 0..planes.height {
            let luma = &planes.luma[y * planes.luma_stride..];
            let chroma = y / 2 * planes.chroma_stride;
            let (row_cb, row_cr) = (&planes.cb[chroma..], &planes.cr[chroma..]);
            for (x, &luma) in luma[..planes.width].iter().enumerate() {
                let luma = (f32::from(luma) - black) * luma_scale;
                let (cb, cr) = (f32::from(row_cb[x / 2]) - 128.0, f32::from(row_cr[x / 2]) - 128.0);
                let rgb = [luma + red_cr * cr, luma - green_cb * cb - green_cr * cr, luma + blue_cb * cb];
                samples.extend(rgb.map(|sample| (sample + 0.5) as u8));
            }
        }
        RgbImage::from_raw(planes.width as u32, planes.height as u32, samples).expect("three samples a pixel were pushed")
    }

    /// `samples` are `[height, width, 3]` in [0, 1]; both sides even. Chroma is the mean of four pixels.
    pub(super) fn to_yuv(self, samples: &[f32], width: usize, height: usize) -> Vec<u8> {
        let (black, luma_span, chroma_span) = self.levels();
        let luma = |rgb: [f32; 3]| self.red * rgb[0] + (1.0 - self.red - self.blue) * rgb[1] + self.blue * rgb[2];
        let level = |value: f32| (value + 0.5) as u8;
        let pixel = |samples: [f32; 3]| samples.map(|sample| sample.clamp(0.0, 1.0));
        let (pixels, _) = samples.as_chunks::<3>();
        let mut planes = Vec::with_capacity(width * height * 3 / 2);
        planes.extend(pixels.iter().map(|&rgb| level(black + luma_span * luma(pixel(rgb)))));
        let [blue_span, red_span] = [self.blue, self.red].map(|weight| chroma_span / (2.0 * (1.0 - weight)));
        let mut reds = Vec::with_capacity(width * height / 4);
        for rows in pixels.chunks_exact(2 * width) {
            let (upper, lower) = rows.split_at(width);
            for (upper, lower) in upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0) {
                let corners = [upper[0], upper[1], lower[0], lower[1]].map(pixel);
                let rgb = [0, 1, 2].map(|channel| corners.iter().map(|corner| corner[channel]).sum::<f32>() / 4.0);
                planes.push(level(128.0 + blue_span * (rgb[2] - luma(rgb))));
                reds.push(level(128.0 + red_span * (rgb[0] - luma(rgb))));
            }
        }
        planes.extend(reds);
        planes
    }
}

/// A decoded picture, 4:2:0, `stride` samples from row to row.
pub(super) struct Planes<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) luma: &'a [u8],
    pub(super) luma_stride: usize,
    pub(super) cb: &'a [u8],
    pub(super) cr: &'a [u8],
    pub(super) chroma_stride: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_and_forth(colour: Colour, rgb: [u8; 3]) -> [u8; 3] {
        let samples: Vec<f32> = rgb.iter().map(|&level| f32::from(level) / 255.0).cycle().take(12).collect();
        let yuv = colour.to_yuv(&samples, 2, 2);
        let planes = Planes { width: 2, height: 2, luma: &yuv[..4], luma_stride: 2, cb: &yuv[4..5], cr: &yuv[5..], chroma_stride: 1 };
        colour.to_rgb(&planes).get_pixel(1, 1).0
    }

    /// 2 levels: half a level of luma, and half a level of chroma times at most 2.1, after each of two roundings.
    #[test]
    fn flat_colours_survive_every_encoding() {
        for matrix in [1, 2, 6, 9] {
            for full_range in [false, true] {
                let colour = Colour::from_matrix(matrix, full_range);
                for step in 0..=8 * 9 * 10 {
                    let rgb = [step % 8 * 36, step % 9 * 31, step % 10 * 28].map(|level: u32| level.min(255) as u8);
                    let got = back_and_forth(colour, rgb);
                    assert!(got.iter().zip(rgb).all(|(&g, w)| g.abs_diff(w) <= 2), "{colour:?}: {rgb:?} became {got:?}");
                }
            }
        }
    }

    /// Values of ITU-T BT.709 and BT.601: red at 8 bits.
    #[test]
    fn red_has_the_standards_levels() {
        let red = [1.0, 0.0, 0.0].repeat(4);
        assert_eq!(Colour::BT709.to_yuv(&red, 2, 2)[3..], [63, 102, 240]);
        assert_eq!(Colour::from_matrix(6, false).to_yuv(&red, 2, 2)[3..], [81, 90, 240]);
        assert_eq!(Colour::from_matrix(5, true).to_yuv(&red, 2, 2)[3..], [76, 85, 255]);
    }
}
