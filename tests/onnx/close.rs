//! When two tensors are the same.

use wan_animate::unversioned::onnx::{Data, Value};

/// What is different between a tensor and the one that was expected, or `None`: shapes, kinds, or an element by more than `relative` times the
/// expected one and `absolute`.
pub fn difference(found: &Value, expected: &Value, relative: f64, absolute: f64) -> Option<String> {
    let kinds = (found.data().kind(), expected.data().kind());
    if found.shape() != expected.shape() || kinds.0 != kinds.1 {
        return Some(format!("{:?} {:?}, not {:?} {:?}", kinds.0, found.shape(), kinds.1, expected.shape()));
    }
    let is_close = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= absolute + relative * b.abs();
    let (found, expected) = (numbers(found), numbers(expected));
    let place = found.iter().zip(&expected).position(|(&a, &b)| !is_close(a, b))?;
    Some(format!("{} at {place} of {}, not {}", found[place], found.len(), expected[place]))
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.data() {
        Data::F32(elements) => elements.iter().map(|&element| element.into()).collect(),
        Data::I64(elements) => elements.iter().map(|&element| element as f64).collect(),
        Data::Bool(elements) => elements.iter().map(|&element| u8::from(element).into()).collect(),
    }
}

/// The largest difference between two tensors of the same shape, and the largest element.
pub fn largest(found: &Value, expected: &Value) -> (f64, f64) {
    assert_eq!(found.shape(), expected.shape());
    let (found, expected) = (numbers(found), numbers(expected));
    let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
    (error, expected.iter().fold(0.0, |a, b| a.max(b.abs())))
}
