//! Products of matrices.

use super::elements::combine;
use super::finish::Finish;
use crate::linalg::{matrix, multiply};
use crate::onnx::call::{Call, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::strided::{Places, broadcast};

/// A product of matrices, or of stacks of them that broadcast.
pub(super) fn matmul<'a>(call: &Call<'a>) -> Outputs<'a> {
    matmul_and(call, || Ok(Finish::default()))
}

/// A product, and what follows it.
pub(super) fn matmul_and<'a>(call: &Call<'a>, finish: impl FnOnce() -> Result<Finish<'a>, Fault> + 'a) -> Outputs<'a> {
    let (a, b) = (call.floats_of_rank(0, 1)?, call.floats_of_rank(1, 1)?);
    // A vector is a row on the left and a column on the right.
    let left = if a.rank() == 1 { vec![1, a.shape[0]] } else { a.shape.to_vec() };
    let right = if b.rank() == 1 { vec![b.shape[0], 1] } else { b.shape.to_vec() };
    let (stack_a, [rows, inner]) = split(&left);
    let (stack_b, [depth, cols]) = split(&right);
    let stack = broadcast(stack_a, stack_b).filter(|_| inner == depth);
    let Some(stack) = stack else { return wrong(format!("its inputs of shapes {:?} and {:?} have no product", a.shape, b.shape)) };
    let mut shape = stack.clone();
    shape.extend((a.rank() > 1).then_some(rows));
    shape.extend((b.rank() > 1).then_some(cols));
    let (stack_a, stack_b) = (stack_a.to_vec(), stack_b.to_vec());
    Output::floats(shape, move || {
        let (x, y, finish) = (a.f32()?, b.f32()?, finish()?);
        let mut result = vec![0.0; stack.iter().product::<usize>() * rows * cols];
        // One right matrix for all left ones.
        if stack_b.iter().product::<usize>() == 1 {
            let finish = |at, sums: &mut [f32]| finish.apply(at, cols, sums);
            multiply(matrix(x, result.len() / cols.max(1), inner), matrix(y, inner, cols), finish, &mut result);
            return Ok(result);
        }
        let stack = Places::broadcast(&stack_a, &stack).zip(Places::broadcast(&stack_b, &stack));
        for (number, ((left, right), result)) in stack.zip(result.chunks_exact_mut((rows * cols).max(1))).enumerate() {
            let finish = |[row, col]: [usize; 2], sums: &mut [f32]| finish.apply([number * rows + row, col], cols, sums);
            let (left, right) = (&x[left * rows * inner..][..rows * inner], &y[right * inner * cols..][..inner * cols]);
            multiply(matrix(left, rows, inner), matrix(right, inner, cols), finish, result);
        }
        Ok(result)
    })
}

fn split(shape: &[usize]) -> (&[usize], [usize; 2]) {
    let (stack, matrix) = shape.split_at(shape.len() - 2);
    (stack, [matrix[0], matrix[1]])
}

/// alpha * A * B + beta * C, each of A and B transposed where an attribute says so.
pub(super) fn gemm<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (a, b, c) = (call.floats(0)?, call.floats(1)?, call.given(2));
    let (turn_a, turn_b) = (call.node.flag("transA", false)?, call.node.flag("transB", false)?);
    let (alpha, beta) = (call.node.float_or("alpha", 1.0)?, call.node.float_or("beta", 1.0)?);
    let axes = |turn: bool| if turn { [1, 0] } else { [0, 1] };
    let (axes_a, axes_b) = (axes(turn_a), axes(turn_b));
    if a.rank() != 2 || b.rank() != 2 || a.shape[axes_a[1]] != b.shape[axes_b[0]] {
        return wrong(format!("its inputs of shapes {:?} and {:?} have no product", a.shape, b.shape));
    }
    let (rows, cols) = (a.shape[axes_a[0]], b.shape[axes_b[1]]);
    let shape = [rows, cols];
    if let Some(c) = c
        && broadcast(&shape, c.shape).is_none_or(|whole| whole != shape)
    {
        return wrong(format!("what it adds, of shape {:?}, does not fit its product of shape {shape:?}", c.shape));
    }
    Output::floats(shape.to_vec(), move || {
        let (left, right) = (matrix(a.f32()?, a.shape[0], a.shape[1]), matrix(b.f32()?, b.shape[0], b.shape[1]));
        let mut result = vec![0.0; rows * cols];
        multiply(left.permuted_axes(axes_a), right.permuted_axes(axes_b), |_, _| (), &mut result);
        if alpha != 1.0 {
            result.iter_mut().for_each(|value| *value *= alpha);
        }
        match c {
            Some(c) => Ok(combine((&result, &shape), (c.f32()?, c.shape), &shape, |value, c| value + beta * c)),
            None => Ok(result),
        }
    })
}
