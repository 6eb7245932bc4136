use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::dequantize::{Scales, dequantize};
use wan_animate::unversioned::ops::quantize::quantize;
use wan_animate::unversioned::weights::Encoding;

use crate::approx::Approx;
use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

/// There and back: no number is farther off than half a step of 127 to the row's largest.
fn case(what: &str, x: Host) -> Case {
    let shape = [x.shape[0], x.shape[1]];
    let rows: Vec<Vec<f32>> = x.values.chunks(shape[1]).map(<[f32]>::to_vec).collect();
    Case::new(
        format!("quantize {what}: {:?} {}", x.shape, x.dtype),
        [&x],
        move |rec, [x]| {
            let (codes, scales) = quantize(rec, x)?;
            dequantize(rec, &codes, Encoding::I8, shape, &Scales::Rows(scales), F32)
        },
        move || {
            let row = |row: &Vec<f32>| {
                let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
                let half_a_step = f64::from(largest) / 254.0 * (1.0 + 1e-5);
                row.iter().map(|&value| Approx::exact(value).widened(half_a_step)).collect::<Vec<_>>()
            };
            rows.iter().flat_map(row).collect()
        },
    )
}

pub fn cases() -> Vec<Case> {
    vec![
        case("rows", Host::random(1, &[5, 5120], 3.0)),
        case("rows in f16", Host::random(2, &[7, 260], 3.0).to(F16)),
        case("one four", Host::random(3, &[1, 4], 1e4)),
        case("rows of zeros", Host::new(&[3, 24], |i| if i / 24 == 1 { 0.0 } else { i as f32 - 30.0 })),
        case("small rows", Host::random(4, &[3, 64], 1e-4)),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case("rows", Host::random(1, &Sizes::Small.tokens(), 3.0))])
}

pub fn refusals() -> Vec<Refusal> {
    vec![Refusal::new("rows of 6 in 8 bits", [&Host::random(1, &[2, 6], 1.0)], |rec, [x]| Ok(quantize(rec, x)?.0))]
}
