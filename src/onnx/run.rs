//! Computing a graph on the host.

use std::sync::Arc;

use super::call::{Call, Fact, Output};
use super::fault::{Fault, wrong};
use super::graph::Graph;
use super::host::any_operator;
use super::node::Node;
use super::tensor::Constant;
use super::value::Value;
use crate::{Error, Result};

/// The most bytes that values whose shapes only computing tells may take at a time.
const MAX_UNPLANNED: u64 = 128 << 20;

impl Graph {
    /// Reads all constants, so that the runs on the host need not do it again and again.
    pub fn keep_constants(&mut self) {
        self.constants.values_mut().for_each(Constant::keep);
    }

    /// Outputs of zeros; `None` where a shape depends on what is computed.
    pub fn zeros(&self) -> Option<Vec<Value>> {
        self.outputs.iter().map(|port| Some(Value::zeros(port.shape.as_deref()?, port.kind))).collect()
    }

    /// Computes its outputs, in their order, on the host: in single precision, 64-bit integers and truth values, whatever the file has.
    ///
    /// # Errors
    /// [`Error::Input`] where an input is missing, unknown, or of another shape or kind; [`Error::Weights`] where a node is given what its operator
    /// does not take, such as an index that is out of range; [`Error::Limits`] where what it makes takes too much memory.
    pub fn run(&self, inputs: &[(&str, Value)]) -> Result<Vec<Value>> {
        let mut values: Vec<Option<Arc<Value>>> = vec![None; self.outlines.len()];
        self.check_inputs(inputs)?;
        for (name, value) in inputs {
            let port = self.inputs.iter().find(|port| port.name == *name);
            port.into_iter().for_each(|port| values[port.value] = Some(Arc::new(value.clone())));
        }
        let mut unplanned = 0;
        for (node, freed) in self.nodes.iter().zip(self.last_uses()) {
            self.node(node, &mut values, &mut unplanned).map_err(|fault| self.run_error(node, fault))?;
            for value in freed {
                let gone = values[value].take();
                unplanned -= gone.filter(|_| self.outlines[value].is_none()).map_or(0, |gone| bytes(&gone));
            }
        }
        let output = |value: usize| values[value].take().or_else(|| self.constants.get(&value).map(|constant| constant.value()));
        let places: Vec<_> = self.outputs.iter().map(|port| port.value).collect();
        // An output may be listed twice.
        let mut made: Vec<_> = places.iter().copied().map(output).collect();
        for at in 0..made.len() {
            if made[at].is_none() {
                made[at] = places.iter().position(|value| *value == places[at]).and_then(|first| made[first].clone());
            }
        }
        made.into_iter().flatten().map(|value| Ok(Arc::unwrap_or_clone(value))).collect()
    }

    pub(super) fn check_inputs(&self, inputs: &[(&str, Value)]) -> Result<()> {
        let fail = |message: String| Err(Error::Input(format!("{}: {message}", self.path.display())));
        if let Some((name, _)) = inputs.iter().find(|(name, _)| !self.inputs.iter().any(|port| port.name == *name)) {
            return fail(format!("it has no input `{name}`"));
        }
        for port in &self.inputs {
            let Some((name, value)) = inputs.iter().find(|(name, _)| *name == port.name) else {
                return fail(format!("its input `{}` is missing", port.name));
            };
            let (shape, kind) = (value.shape(), value.data().kind());
            if port.shape.as_deref() != Some(shape) || port.kind != kind {
                let wanted = port.shape.as_deref().unwrap_or_default();
                return fail(format!("its input `{name}` is {kind:?} of shape {shape:?}, not {:?} of shape {wanted:?}", port.kind));
            }
        }
        Ok(())
    }

    /// What a node makes of the values that it is given, by its outputs; `None` for an output without a name.
    ///
    /// # Errors
    /// As [`Graph::run`].
    pub(super) fn compute(&self, node: &Node, inputs: &[Option<Arc<Value>>]) -> Result<Vec<Option<Value>>> {
        let mut values: Vec<Option<Arc<Value>>> = vec![None; self.outlines.len()];
        for (number, value) in node.inputs.iter().zip(inputs) {
            number.iter().for_each(|&number| values[number] = value.clone());
        }
        self.node(node, &mut values, &mut 0).map_err(|fault| self.run_error(node, fault))?;
        let mut made = |value: &Option<usize>| value.and_then(|value| values[value].take()).map(Arc::unwrap_or_clone);
        Ok(node.outputs.iter().map(&mut made).collect())
    }

    fn run_error(&self, node: &Node, fault: RunFault) -> Error {
        match fault {
            RunFault::Fault(fault) => Self::error(&self.path, node, fault),
            RunFault::Memory => Error::limits(format!("{}: {node}: what it makes takes more memory than is sensible", self.path.display())),
        }
    }

    fn node(&self, node: &Node, values: &mut [Option<Arc<Value>>], unplanned: &mut u64) -> Result<(), RunFault> {
        let value = |value: usize| values[value].clone().or_else(|| self.constants.get(&value).map(|constant| constant.value()));
        let inputs: Vec<Option<Arc<Value>>> = node.inputs.iter().map(|&input| input.and_then(value)).collect();
        let facts: Vec<_> = inputs.iter().map(|input| input.as_deref().map(Fact::known)).collect();
        let operator = any_operator(&node.op).map_or_else(|| wrong("it has no operator"), Ok)?;
        let outputs = operator.apply(&Call { node, opset: self.opset, inputs: &facts })?;
        let is_unplanned = |value: &Option<usize>| value.is_some_and(|value| self.outlines[value].is_none());
        let new: u64 = node.outputs.iter().zip(&outputs).filter(|(value, _)| is_unplanned(value)).map(|(_, output)| size(output)).sum();
        *unplanned += new;
        if *unplanned > MAX_UNPLANNED {
            return Err(RunFault::Memory);
        }
        for (value, output) in node.outputs.iter().zip(outputs) {
            if let Some(value) = *value {
                values[value] = Some(output.compute()?.into());
            }
        }
        Ok(())
    }
}

enum RunFault {
    Fault(Fault),
    Memory,
}

impl From<Fault> for RunFault {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn bytes(value: &Value) -> u64 {
    value.data().len() as u64 * value.data().kind().bytes()
}

fn size(output: &Output) -> u64 {
    output.count() as u64 * output.kind.bytes()
}
