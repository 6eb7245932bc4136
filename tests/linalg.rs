//! The QR decomposition against torch's, which is LAPACK's.

mod common;

use common::{Golden, assert_close};
use wan_animate::unversioned::linalg::qr_q;

/// torch computes in f32, so its own error bounds the agreement.
const TOLERANCE: f64 = 3e-6;

fn check(golden: &Golden, what: &str, matrix: &[f32], shape: &[usize], expected: &str) {
    let q = qr_q(matrix, shape[0], shape[1]);
    assert_close(what, &q, golden.values(expected), TOLERANCE);
}

#[test]
fn q_agrees_with_torch() {
    let golden = Golden::open("variants/qr.safetensors");
    for name in golden.names().filter_map(|name| name.strip_suffix(".matrix")).filter(|&name| name != "dependent") {
        let matrix = format!("{name}.matrix");
        check(&golden, name, golden.values(&matrix), golden.shape(&matrix), &format!("{name}.q"));
    }
}

#[test]
fn bases_of_motions_agree_with_torch() {
    for checkpoint in ["tiny", "odd"] {
        let golden = Golden::open(&format!("parts/{checkpoint}_motion_basis.safetensors"));
        for (weight, q) in [("weight", "q"), ("wide.weight", "wide.q")] {
            let matrix: Vec<f32> = golden.values(weight).iter().map(|value| value + 1e-8).collect();
            check(&golden, checkpoint, &matrix, golden.shape(weight), q);
        }
    }
}

/// Where columns depend on each other, Q is not unique beyond the first: it must still be orthonormal and span the columns.
#[test]
fn dependent_columns_give_an_orthonormal_basis() {
    let golden = Golden::open("variants/qr.safetensors");
    let (matrix, expected) = (golden.values("dependent.matrix"), golden.values("dependent.q"));
    let q = qr_q(matrix, 6, 3);
    let column = |values: &[f32], c: usize| values.iter().skip(c).step_by(3).copied().collect::<Vec<_>>();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert_close("first column", &column(&q, 0), &column(expected, 0), TOLERANCE);
    for (a, b) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
        let product = dot(&column(&q, a), &column(&q, b));
        assert!((product - f32::from(u8::from(a == b))).abs() < 1e-6, "columns {a} and {b}: {product}");
    }
}

#[test]
fn an_empty_matrix_has_an_empty_basis() {
    assert!(qr_q(&[], 0, 0).is_empty());
    assert!(qr_q(&[], 3, 0).is_empty());
}
