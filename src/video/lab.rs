//! CIE L*a*b*, in which distances are about as large as they look.

/// Of the white of sRGB, D65.
const WHITE: [f64; 3] = [0.950_47, 1.0, 1.088_83];
/// From linear red, green and blue to X, Y and Z.
const TO_XYZ: [[f64; 3]; 3] =
    [[0.412_456_4, 0.357_576_1, 0.180_437_5], [0.212_672_9, 0.715_152_2, 0.072_175], [0.019_333_9, 0.119_192, 0.950_304_1]];
/// The inverse.
const FROM_XYZ: [[f64; 3]; 3] =
    [[3.240_454_2, -1.537_138_5, -0.498_531_4], [-0.969_266, 1.876_010_8, 0.041_556], [0.055_643_4, -0.204_025_9, 1.057_225_2]];
/// Where the cube root begins.
const KNEE: f64 = 6.0 / 29.0;

/// Samples of sRGB from 0 to 1 as L from 0 to 100, a and b.
pub fn to_lab(rgb: [f32; 3]) -> [f64; 3] {
    let xyz = times(&TO_XYZ, rgb.map(|sample| linear(f64::from(sample))));
    let [x, y, z] = [0, 1, 2].map(|i| root(xyz[i] / WHITE[i]));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Samples of sRGB, cut to 0 to 1.
pub fn from_lab([l, a, b]: [f64; 3]) -> [f32; 3] {
    let y = (l + 16.0) / 116.0;
    let xyz = [cube(y + a / 500.0) * WHITE[0], cube(y) * WHITE[1], cube(y - b / 200.0) * WHITE[2]];
    times(&FROM_XYZ, xyz).map(|sample| gamma(sample.clamp(0.0, 1.0)) as f32)
}

fn times(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(factor, value)| factor * value).sum())
}

fn linear(sample: f64) -> f64 {
    if sample <= 0.040_45 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
}

fn gamma(sample: f64) -> f64 {
    if sample <= 0.003_130_8 { sample * 12.92 } else { 1.055 * sample.powf(1.0 / 2.4) - 0.055 }
}

fn root(value: f64) -> f64 {
    if value > KNEE.powi(3) { value.cbrt() } else { value / (3.0 * KNEE * KNEE) + 4.0 / 29.0 }
}

fn cube(value: f64) -> f64 {
    if value > KNEE { value.powi(3) } else { 3.0 * KNEE * KNEE * (value - 4.0 / 29.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours_are_where_they_belong() {
        for (rgb, wanted) in [
            ([1.0, 1.0, 1.0], [100.0, 0.0, 0.0]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            ([1.0, 0.0, 0.0], [53.24, 80.09, 67.2]),
            ([0.0, 0.0, 1.0], [32.3, 79.19, -107.86]),
        ] {
            let lab = to_lab(rgb);
            assert!(lab.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 0.02), "{rgb:?}: {lab:?}");
        }
    }

    #[test]
    fn there_and_back() {
        for i in 0..1000u32 {
            let rgb = [i % 10, i / 10 % 10, i / 100].map(|level| level as f32 / 9.0);
            let back = from_lab(to_lab(rgb));
            assert!(rgb.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-4), "{rgb:?}: {back:?}");
        }
    }
}
