//! What operators share that go through tensors of different shapes together.

use crate::onnx::call::Fact;
use crate::onnx::fault::Fault;
use crate::onnx::strided::Places;
use crate::onnx::value::Data;

/// The same function of two floating-point numbers and of two integers.
pub(super) type OfTwo = (fn(f32, f32) -> f32, fn(i64, i64) -> i64);

/// A function of the elements of two tensors that broadcast to a shape.
pub(super) fn combine<A: Copy, B: Copy, C>(
    a: (&[A], &[usize]),
    b: (&[B], &[usize]),
    shape: &[usize],
    function: impl Fn(A, B) -> C,
) -> Vec<C> {
    let is_whole = |own: &[usize]| own.iter().product::<usize>() == shape.iter().product::<usize>();
    match (a, b) {
        ((a, own), (b, other)) if is_whole(own) && is_whole(other) => a.iter().zip(b).map(|(&a, &b)| function(a, b)).collect(),
        ((a, own), ([b], _)) if is_whole(own) => a.iter().map(|&a| function(a, *b)).collect(),
        (([a], _), (b, own)) if is_whole(own) => b.iter().map(|&b| function(*a, b)).collect(),
        ((a, own), (b, other)) if is_whole(own) => {
            let mut result = Vec::with_capacity(a.len());
            Places::broadcast(other, shape).for_each(|place| result.push(function(a[result.len()], b[place])));
            result
        }
        ((a, own), (b, other)) => {
            Places::broadcast(own, shape).zip(Places::broadcast(other, shape)).map(|(x, y)| function(a[x], b[y])).collect()
        }
    }
}

/// A tensor stretched to a shape that it broadcasts to.
pub(super) fn stretched(from: Fact, shape: &[usize]) -> Result<Data, Fault> {
    if from.shape == shape {
        return from.data().cloned();
    }
    Ok(from.data()?.pick(Places::broadcast(from.shape, shape)))
}
