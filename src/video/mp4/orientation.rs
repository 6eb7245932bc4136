//! How a picture is turned and mirrored to be shown.

use image::{RgbImage, imageops};

/// One of the eight ways to lay a picture on itself, as the upper left of a matrix: where the steps to the right and down go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation([i8; 4]);

impl Orientation {
    /// From a track's matrix and the whole movie's, in 16.16 fixed point: `None` for anything but quarter turns and mirrors.
    pub(super) fn from_matrices(track: [i32; 9], movie: [i32; 9]) -> Option<Self> {
        let (track, movie) = (Self::from_matrix(track)?, Self::from_matrix(movie)?);
        Some(track.then(movie))
    }

    fn from_matrix([a, b, _, c, d, ..]: [i32; 9]) -> Option<Self> {
        const ONE: i32 = 1 << 16;
        let unit = |value: i32| match value {
            0 => Some(0),
            ONE => Some(1),
            _ => (value == -ONE).then_some(-1),
        };
        match [unit(a)?, unit(b)?, unit(c)?, unit(d)?] {
            // A matrix that nobody filled in.
            [0, 0, 0, 0] => Some(Self([1, 0, 0, 1])),
            upright @ [1 | -1, 0, 0, 1 | -1] => Some(Self(upright)),
            turned @ [0, 1 | -1, 1 | -1, 0] => Some(Self(turned)),
            _ => None,
        }
    }

    /// This and then another: the product of the matrices.
    fn then(self, next: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, next.0);
        Self([a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h])
    }

    /// Whether width and height change places.
    pub(super) fn is_turned(self) -> bool {
        self.0[0] == 0
    }

    pub(super) fn apply(self, image: RgbImage) -> RgbImage {
        match self.0 {
            [1, _, _, 1] => image,
            [-1, _, _, 1] => imageops::flip_horizontal(&image),
            [1, _, _, -1] => imageops::flip_vertical(&image),
            [-1, ..] => imageops::rotate180(&image),
            [_, 1, -1, _] => imageops::rotate90(&image),
            [_, -1, 1, _] => imageops::rotate270(&image),
            [_, 1, ..] => imageops::flip_horizontal(&imageops::rotate90(&image)),
            _ => imageops::flip_horizontal(&imageops::rotate270(&image)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;
    const UPRIGHT: [i32; 9] = [ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30];

    fn matrix([a, b, c, d]: [i32; 4]) -> [i32; 9] {
        [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]
    }

    /// Each pixel goes where the matrix says, but for the shift that brings the picture back into its frame.
    #[test]
    fn pixels_go_where_the_matrix_says() {
        let source = RgbImage::from_fn(3, 2, |x, y| [x as u8, y as u8, 7].into());
        for upper in
            [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1], [0, 1, -1, 0], [0, -1, 1, 0], [0, 1, 1, 0], [0, -1, -1, 0]]
        {
            let orientation = Orientation::from_matrices(matrix(upper), UPRIGHT).expect("known");
            assert_eq!(Orientation::from_matrices(UPRIGHT, matrix(upper)), Some(orientation), "the movie's matrix counts as the track's");
            let shown = orientation.apply(source.clone());
            assert_eq!(shown.dimensions(), if orientation.is_turned() { (2, 3) } else { (3, 2) }, "{upper:?}");
            let [a, b, c, d] = upper;
            for (x, y, pixel) in source.enumerate_pixels() {
                let place = |right: i32, down: i32, side: u32| {
                    let at = right * x as i32 + down * y as i32;
                    (if right + down < 0 { at + side as i32 - 1 } else { at }) as u32
                };
                assert_eq!(shown.get_pixel(place(a, c, shown.width()), place(b, d, shown.height())), pixel, "{upper:?}");
            }
        }
    }

    #[test]
    fn other_matrices_are_none() {
        for upper in [[1, 1, 0, 1], [2, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]] {
            assert_eq!(Orientation::from_matrices(matrix(upper), UPRIGHT), None, "{upper:?}");
        }
        assert!(Orientation::from_matrices([0; 9], UPRIGHT).is_some(), "a matrix of zeros says nothing");
        let half = [ONE / 2, 0, 0, 0, ONE / 2, 0, 0, 0, 1 << 30];
        assert_eq!(Orientation::from_matrices(half, UPRIGHT), None);
    }
}
