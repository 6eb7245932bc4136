use wan_animate::unversioned::ops::rgba8::rgba8;

use crate::case::Case;
use crate::host::Host;
use crate::oracle::rgba8 as oracle;

fn case(shape: &'static [usize; 4]) -> Case {
    let frames = Host::random(5, shape, 1.2);
    let samples = frames.values.clone();
    let width = shape[2];
    Case::new(
        format!("rgba8 of {shape:?}"),
        [&frames],
        move |rec, [frames]| {
            let words = rgba8(rec, frames)?.words;
            let stride = words.cols();
            // What lies behind the pixels of a row is nobody's.
            let bytes = rec.download_buffer(&words)?;
            let rows = bytes.chunks(4 * stride).take(words.rows());
            let values: Vec<f32> = rows.flat_map(|row| &row[..4 * width]).map(|&byte| f32::from(byte)).collect();
            rec.upload(&[words.rows(), width, 4], &values)
        },
        move || oracle::rgba8(&samples),
    )
}

pub fn cases() -> Vec<Case> {
    vec![case(&[1, 2, 64, 3]), case(&[4, 5, 41, 3]), case(&[1, 1, 1, 3])]
}
