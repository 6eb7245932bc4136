//! The diffusion transformer against goldens of diffusers' `WanAnimateTransformer3DModel`.

use crate::common::{Golden, assert_close, golden_weights};
use wan_animate::Precision;

/// Both sides round to f32 at every step of a few hundred operations in different orders.
const F32: f64 = 2e-5;
/// Operands are rounded to 11 bits; two to four blocks add up their errors.
const F16: f64 = 2e-3;

fn sample(checkpoint: &str, precision: Precision) -> (Vec<f32>, Golden) {
    let weights = golden_weights(&format!("{checkpoint}/transformer"));
    let golden = Golden::open(&format!("parts/{checkpoint}_transformer.safetensors"));
    (crate::common::sample(checkpoint, &weights, precision, &golden), golden)
}

#[test]
fn forward_equals_diffusers() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F32);
        assert_close(checkpoint, &got, golden.values("sample"), F32);
    }
}

#[test]
fn f16_stays_near() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F16);
        assert_close(checkpoint, &got, golden.values("sample"), F16);
    }
}
