use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::lincomb::activate;

use crate::case::Case;
use crate::host::Host;
use crate::oracle::activation::activate as exact;

/// Every activation over the whole range: -8 to 8 closely, then by powers up to the largest f16 and down into the subnormals.
pub fn cases() -> Vec<Case> {
    let values: Vec<f32> = (-800..=800)
        .map(|i| i as f32 * 0.01)
        .chain((0..60).flat_map(|i| [1.0, -1.0].map(|sign| sign * 8.0 * 1.17f32.powi(i))))
        .chain([1e-3, 1e-10, 1e-38, 1e-40, 1.4e-45, 0.0, 1e4, 65504.0].into_iter().flat_map(|v| [v, -v]))
        .collect();
    let x = Host::new(&[values.len()], |i| values[i]);
    let case = |activation: Activation| {
        let values = x.clone();
        Case::new(
            format!("activate {activation:?}"),
            [&x],
            move |rec, [x]| activate(rec, x, activation, DType::F32),
            move || (0..values.values.len()).map(|i| exact(activation, values.at(i))).collect(),
        )
    };
    Activation::ALL.map(case).into()
}
