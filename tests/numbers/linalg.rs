//! The QR decomposition against torch's, which is LAPACK's, and products against sums in f64.

use crate::common::{Golden, assert_close};
use wan_animate::unversioned::linalg::{product, qr_q};

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

#[test]
fn products_of_any_size_are_right() {
    for (rows, inner, cols) in [(1, 1, 1), (4, 3, 8), (5, 7, 9), (3, 2, 17), (70, 33, 41), (300, 5, 1100), (0, 3, 4), (4, 3, 0)] {
        let values = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        let (left, right) = (values(rows * inner, 0.7), values(inner * cols, 1.3));
        let got = product(&left, &right, inner);
        assert_eq!(got.len(), rows * cols);
        for (i, got) in got.iter().enumerate() {
            let term = |k: usize| f64::from(left[i / cols * inner + k]) * f64::from(right[k * cols + i % cols]);
            let want: f64 = (0..inner).map(term).sum();
            // `inner` roundings of at most 2^-24 each, of sums and terms below `inner`.
            let bound = (inner * inner) as f64 * 2f64.powi(-23);
            assert!((f64::from(*got) - want).abs() <= bound, "[{rows}, {inner}, {cols}] at {i}: {got}, {want}");
        }
    }
}

/// A LoRA of rank 128 on the widest square layer. A second or two on two cores; the bound is for machines that do other work too.
#[test]
fn large_products_take_no_minutes() {
    let (left, right) = (vec![1.0; 5120 * 128], vec![0.5; 128 * 5120]);
    let begun = std::time::Instant::now();
    let out = product(&left, &right, 128);
    let seconds = begun.elapsed().as_secs_f64();
    println!("5120 x 128 x 5120: {seconds:.2} s, {:.1} GFLOP/s", 2.0 * 128.0 * 5120.0 * 5120.0 / seconds / 1e9);
    assert!(out.iter().all(|&value| value == 64.0));
    assert!(seconds < 20.0, "{seconds} s");
}

/// Of exact data the coefficients; a column that is always zero is kept out by the ridge.
#[test]
fn least_squares_find_what_made_the_data() {
    let rows: Vec<[f64; 3]> = (0..9).map(|i| [f64::from(i), f64::from(i * i % 5), 0.0]).collect();
    let targets: Vec<[f64; 2]> = rows.iter().map(|row| [2.0 * row[0] - row[1], 0.5 * row[1]]).collect();
    let found = wan_animate::unversioned::linalg::least_squares(&rows.concat(), 3, &targets, 1e-9);
    for (found, wanted) in found.iter().zip([[2.0, 0.0], [-1.0, 0.5], [0.0, 0.0]]) {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{found:?}");
    }
}
