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
                    result.push(mix(mix(at(top, left), at(top, right), across), mix(at(bottom, left), at(bottom, right), across), down));
                }
            }
        }
    }
    result
}
