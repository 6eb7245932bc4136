use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::resample::{Between, resample};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, rows: &'static [Between], columns: &'static [Between], dtype: wan_animate::unversioned::dtype::DType) -> Case {
    Case::new(
        format!("resample {:?} {} to {}x{}", x.shape, x.dtype, rows.len(), columns.len()),
        [&x.clone()],
        move |rec, [x]| resample(rec, x, rows, columns, dtype),
        move || oracle::resample(&x, rows, columns),
    )
}

const NEAREST: &[Between] = &[(0, 0, 0.0), (0, 0, 0.0), (1, 1, 0.0), (2, 2, 0.0), (2, 2, 0.0)];
const LINEAR: &[Between] = &[(0, 0, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 2, 0.3), (2, 2, 0.5)];

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    vec![
        case(x([2, 3, 3, 8]), LINEAR, NEAREST, F32),
        case(x([1, 3, 4, 3]), NEAREST, LINEAR, F32),
        case(x([1, 3, 3, 4]).to(F16), LINEAR, LINEAR, F16),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        // To twice the sides.
        let twice: Vec<Between> = (0..128).map(|i| (i / 2, (i / 2 + i % 2).min(63), 0.25)).collect();
        let twice: &'static [Between] = twice.leak();
        [case(Host::random(1, &[1, 64, 64, 96], 1.0), twice, twice, F32)]
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |rows: &'static [Between]| {
        let x = Host::random(1, &[1, 2, 3, 4], 1.0);
        Refusal::new("from 2 of an image", [&x], move |rec, [x]| resample(rec, x, rows, LINEAR, F32))
    };
    vec![refused(&[]), refused(&[(0, 2, 0.5)])]
}

pub mod oracle {
    use wan_animate::unversioned::ops::resample::Between;

    use crate::approx::Approx;
    use crate::host::Host;

    pub fn resample(x: &Host, rows: &[Between], columns: &[Between]) -> Vec<Approx> {
        let [images, h, w, channels] = x.shape[..] else { panic!("four axes") };
        // WGSL: a mix is a (1 - t) + b t.
        let mix = |a: Approx, b: Approx, t: f32| a * (Approx::exact(1.0) - Approx::exact(t)) + b * Approx::exact(t);
        let mut result = Vec::new();
        for image in 0..images {
            for &(top, bottom, down) in rows {
                for &(left, right, across) in columns {
                    for c in 0..channels {
                        let at = |y: usize, column: usize| x.at(((image * h + y) * w + column) * channels + c);
                        result.push(mix(
                            mix(at(top, left), at(top, right), across),
                            mix(at(bottom, left), at(bottom, right), across),
                            down,
                        ));
                    }
                }
            }
        }
        result
    }
}
