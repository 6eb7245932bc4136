//! Values on the GPU, their axes in the order that suits the ops.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::gpu::Tensor;
use crate::ops::permute::permute;

/// A tensor of f32 whose axis `i` is the axis `order[i]` of the value that it stands for.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    pub(super) tensor: Tensor,
    pub(super) order: Vec<usize>,
}

impl Laid {
    /// A tensor that lies as the value does.
    pub(super) fn plain(tensor: Tensor) -> Self {
        let order = (0..tensor.shape().len()).collect();
        Self { tensor, order }
    }

    /// The tensor [B, H, W, C] of a value [B, C, H, W].
    pub(super) fn image(tensor: Tensor) -> Self {
        Self { tensor, order: vec![0, 2, 3, 1] }
    }

    pub(super) fn shape(&self) -> Vec<usize> {
        let mut shape = vec![0; self.order.len()];
        self.order.iter().zip(self.tensor.shape()).for_each(|(&axis, &extent)| shape[axis] = extent);
        shape
    }

    /// By axis of the value, how far apart neighbours lie.
    pub(super) fn strides(&self) -> Vec<isize> {
        let mut strides = vec![0; self.order.len()];
        let own = crate::ops::walk::strides(self.tensor.shape());
        self.order.iter().zip(own).for_each(|(&axis, stride)| strides[axis] = stride);
        strides
    }

    /// The tensor with its axes in another order.
    pub(super) fn ordered(&self, rec: &mut Recorder, order: &[usize]) -> Result<Tensor> {
        if self.order == order {
            return Ok(self.tensor.clone());
        }
        let place = |axis: &usize| self.order.iter().position(|own| own == axis).unwrap_or(0);
        let axes: Vec<_> = order.iter().map(place).collect();
        let shape: Vec<_> = axes.iter().map(|&axis| self.tensor.shape()[axis]).collect();
        // Axes of one element may go anywhere for nothing.
        let is_kept = |axis: &&usize| self.tensor.shape()[**axis] > 1;
        if axes.iter().filter(is_kept).is_sorted() {
            return Ok(self.tensor.reshape(&shape));
        }
        permute(rec, &self.tensor, &axes, DType::F32)
    }

    /// The same elements as a value of another shape, where they may stay as they lie: where axes that become others together lie together.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let own = self.shape();
        let longer = |shape: &[usize]| (0..shape.len()).filter(|&axis| shape[axis] != 1).collect::<Vec<_>>();
        let lying: Vec<_> = self.order.iter().copied().filter(|&axis| own[axis] != 1).collect();
        let groups = groups((&own, &longer(&own)), (shape, &longer(shape)));
        let mut order: Vec<_> = (0..shape.len()).filter(|&axis| shape[axis] == 1).collect();
        let mut at = 0;
        while at < lying.len() {
            let (from, to) = groups.iter().find(|(from, _)| from.first() == Some(&lying[at]))?;
            if lying[at..].get(..from.len())? != &from[..] {
                return None;
            }
            order.extend(to);
            at += from.len();
        }
        let physical: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
        Some(Self { tensor: self.tensor.reshape(&physical), order })
    }

    /// The order of the other axes.
    pub(super) fn without(&self, axis: usize) -> Vec<usize> {
        self.order.iter().filter(|&&own| own != axis).map(|&own| own - usize::from(own > axis)).collect()
    }

    /// The same with axes of one element before its own.
    pub(super) fn with_axes_before(&self, count: usize) -> Self {
        let shape = [&vec![1; count], self.tensor.shape()].concat();
        let order = (0..count).chain(self.order.iter().map(|axis| axis + count)).collect();
        Self { tensor: self.tensor.reshape(&shape), order }
    }

    /// The tensor as the value lies.
    pub(super) fn plainly(&self, rec: &mut Recorder) -> Result<Tensor> {
        let order: Vec<_> = (0..self.order.len()).collect();
        self.ordered(rec, &order)
    }

    /// The tensor [B, H, W, C] of a value [B, C, H, W].
    pub(super) fn as_image(&self, rec: &mut Recorder) -> Result<Tensor> {
        self.ordered(rec, &[0, 2, 3, 1])
    }
}

/// Axes of two shapes with as many elements, none of them of one, that become each other together: as few at a time as have as many elements.
fn groups((own, from): (&[usize], &[usize]), (shape, to): (&[usize], &[usize])) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut groups = Vec::new();
    let (mut from, mut to) = (from.iter().copied().peekable(), to.iter().copied().peekable());
    while from.peek().is_some() {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let (mut before, mut after) = (1, 1);
        while before != after || left.is_empty() {
            let (side, next, product, extents) = match before <= after {
                true => (&mut left, from.next(), &mut before, own),
                false => (&mut right, to.next(), &mut after, shape),
            };
            let Some(axis) = next else { break };
            *product *= extents[axis];
            side.push(axis);
        }
        groups.push((left, right));
    }
    groups
}
