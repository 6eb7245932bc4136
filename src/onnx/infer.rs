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

/// How many elements of constants may be gone through and made, all in all.
const MAX_FOLDED: usize = 1 << 24;

/// The most elements that a heavy operator takes and makes where it is computed at once.
const MAX_HEAVY: usize = 1 << 12;

/// The most elements of constants that shapes are told from.
const MAX_READ: usize = 1 << 16;

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
        let most = if operator.is_heavy { MAX_HEAVY } else { *self.budget };
        let is_constant = node.inputs.iter().flatten().all(|value| self.draft.constants.contains_key(value)) && taken <= most;
        let values: Vec<_> = node.inputs.iter().map(|&input| input.and_then(|value| self.value(value, is_constant))).collect();
        let outlines: Vec<_> = node.inputs.iter().map(|&input| input.and_then(|value| self.outlines[value].clone())).collect();
        let facts: Vec<_> = values.iter().zip(&outlines).map(|(value, outline)| match (value, outline) {
            (Some(value), _) => Some(Fact::known(value)),
            (None, outline) => outline.as_ref().map(|outline| Fact::shaped(&outline.shape, outline.kind)),
        }).collect();
        let outputs = match (operator.apply)(&Call { node, opset: self.opset, inputs: &facts }) {
            Err(Fault::Unknown) => return Ok(false),
            outputs => outputs?,
        };
        self.record(node, outputs, is_constant, taken, most)
    }

    fn record(&mut self, node: &Node, outputs: Vec<Output>, is_constant: bool, taken: usize, most: usize) -> Result<bool, Fault> {
        if node.outputs.len() > outputs.len() && node.outputs[outputs.len()..].iter().any(Option::is_some) {
            return wrong(format!("it has {} outputs; {} are supported", node.outputs.len(), outputs.len()));
        }
        let made = outputs.iter().map(Output::count).sum::<usize>();
        let is_folded = outputs.iter().all(|output| output.is_constant) || is_constant && made <= most;
        let is_folded = is_folded && made.saturating_add(taken) <= *self.budget;
        for (&value, output) in node.outputs.iter().zip(outputs) {
            let Some(value) = value else { continue };
            self.outlines[value] = Some(Outline { shape: output.shape.clone(), kind: output.kind });
            if is_folded {
                self.draft.constants.insert(value, Constant::Known(output.compute()?.into()));
            }
        }
        if is_folded {
            *self.budget -= made + taken;
        }
        Ok(is_folded)
    }

    fn count(&self, value: usize) -> usize {
        self.outlines[value].as_ref().map_or(0, |outline| outline.shape.iter().product())
    }

    /// A constant's elements, where they are needed: all of them to compute, few to tell shapes from.
    fn value(&self, value: usize, is_constant: bool) -> Option<Arc<Value>> {
        let constant = self.draft.constants.get(&value)?;
        let is_read = is_constant || constant.kind() != Kind::F32 && self.count(value) <= MAX_READ || self.count(value) <= 64;
        is_read.then(|| constant.value())
    }
}
