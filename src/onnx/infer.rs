//! Shapes of all values, and the values that constants alone decide.

use std::path::Path;
use std::sync::Arc;

use super::call::{Call, Fact, Output};
use super::draft::Draft;
use super::fault::{Fault, wrong};
use super::graph::{Graph, Outline};
use super::host::operator;
use super::node::Node;
use super::tensor::Constant;
use super::value::{Kind, Value};
use crate::Result;

/// How many elements of constants may be gone through and made, all in all; heavy operators may go through them for each other.
const MAX_FOLDED: usize = 1 << 24;

/// The most elements of a constant that shapes are told from.
const MAX_READ: usize = 1 << 12;

/// The same of numbers that a heavy operator might work on: bounds and factors alone.
const MAX_READ_HEAVY: usize = 64;

/// Tells the shapes of all values of a graph from those of its inputs, which are there already.
///
/// Nodes that constants alone decide are computed, and taken out.
pub(super) fn infer(path: &Path, opset: i64, draft: &mut Draft, outlines: &mut [Option<Outline>]) -> Result<()> {
    for (&value, constant) in &draft.constants {
        outlines[value] = Some(Outline { shape: constant.shape().to_vec(), kind: constant.kind() });
    }
    let mut budget = MAX_FOLDED;
    for node in std::mem::take(&mut draft.nodes) {
        let is_folded = Inference { opset, draft, outlines, budget: &mut budget }.node(&node);
        if !is_folded.map_err(|fault| Graph::error(path, &node, fault))? {
            draft.nodes.push(node);
        }
    }
    Ok(())
}

struct Inference<'a, 'b> {
    opset: i64,
    draft: &'a mut Draft<'b>,
    outlines: &'a mut [Option<Outline>],
    budget: &'a mut usize,
}

impl Inference<'_, '_> {
    /// Whether what the node makes is constant.
    fn node(&mut self, node: &Node) -> Result<bool, Fault> {
        let Some(operator) = operator(&node.op) else { return wrong("it has no operator") };
        let is_known = |value: &usize| self.outlines[*value].is_some();
        if !node.inputs.iter().flatten().all(is_known) {
            return Ok(false);
        }
        let taken = node.inputs.iter().flatten().map(|&value| self.count(value)).sum::<usize>();
        let work = |elements: usize| if operator.is_heavy { elements.saturating_mul(elements) } else { elements };
        let is_constant = node.inputs.iter().flatten().all(|value| self.draft.constants.contains_key(value)) && work(taken) <= *self.budget;
        let value = |value| self.value(value, is_constant, operator.is_heavy);
        let values: Vec<_> = node.inputs.iter().map(|&input| input.and_then(value)).collect();
        let outlines: Vec<_> = node.inputs.iter().map(|&input| input.and_then(|value| self.outlines[value].clone())).collect();
        let facts: Vec<_> = values
            .iter()
            .zip(&outlines)
            .map(|(value, outline)| match (value, outline) {
                (Some(value), _) => Some(Fact::known(value)),
                (None, outline) => outline.as_ref().map(|outline| Fact::shaped(&outline.shape, outline.kind)),
            })
            .collect();
        let outputs = match operator.apply(&Call { node, opset: self.opset, inputs: &facts }) {
            Err(Fault::Unknown) => return Ok(false),
            outputs => outputs?,
        };
        let work = work(taken.saturating_add(outputs.iter().map(Output::count).sum()));
        let is_folded = (is_constant || outputs.iter().all(|output| output.is_constant)) && work <= *self.budget;
        *self.budget -= if is_folded { work } else { 0 };
        self.record(node, outputs, is_folded)?;
        Ok(is_folded)
    }

    fn record(&mut self, node: &Node, outputs: Vec<Output>, is_folded: bool) -> Result<(), Fault> {
        for (&value, output) in node.outputs.iter().zip(outputs) {
            let Some(value) = value else { continue };
            self.outlines[value] = Some(Outline { shape: output.shape.clone(), kind: output.kind });
            if is_folded {
                self.draft.constants.insert(value, Constant::Known(output.compute()?.into()));
            }
        }
        Ok(())
    }

    fn count(&self, value: usize) -> usize {
        self.outlines[value].as_ref().map_or(0, |outline| outline.shape.iter().product())
    }

    /// A constant's elements, where they are few, or needed to compute.
    fn value(&self, value: usize, is_constant: bool, is_heavy: bool) -> Option<Arc<Value>> {
        let constant = self.draft.constants.get(&value)?;
        let most = if is_heavy && constant.kind() == Kind::F32 { MAX_READ_HEAVY } else { MAX_READ };
        (is_constant || self.count(value) <= most).then(|| constant.value())
    }
}
