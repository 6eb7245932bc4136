//! A graph as the file has it, with numbers in place of names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::node::Node;
use super::proto::{GraphProto, NodeProto, ValueInfo};
use super::tensor::{Constant, Files};
use super::value::{Data, Value};
use crate::{Error, Result};

/// A graph whose shapes are not known yet.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) nodes: Vec<Node>,
    /// The domains of the nodes' operators.
    pub(super) domains: Vec<&'a str>,
    pub(super) constants: BTreeMap<usize, Constant>,
    /// Inputs and outputs with the numbers of their values.
    pub(super) inputs: Vec<(&'a ValueInfo<'a>, usize)>,
    pub(super) outputs: Vec<(&'a ValueInfo<'a>, usize)>,
    names: HashMap<&'a str, usize>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(path: &Path, graph: &'a GraphProto<'a>, files: &mut Files) -> Result<Self> {
        if graph.has_sparse {
            let message = "sparse tensors, which are not supported: export the model with dense ones";
            return Err(Error::Unsupported(format!("{}: it has {message}", path.display())));
        }
        let mut draft = Self::default();
        for tensor in &graph.initializers {
            let value = draft.define(tensor.name).map_err(|what| Error::tensor(path, tensor.name, what))?;
            draft.constants.insert(value, files.constant(tensor)?);
        }
        for input in &graph.inputs {
            // Old files list constants among the inputs.
            if !draft.names.contains_key(input.name) {
                let value = draft.define(input.name).map_err(|what| Error::weights(path, what))?;
                draft.inputs.push((input, value));
            }
        }
        for (number, proto) in graph.nodes.iter().enumerate() {
            draft.add_node(number, proto, files).map_err(|fault| match fault {
                NodeFault::Damaged(message) => Error::weights(path, message),
                NodeFault::Error(error) => error,
            })?;
        }
        for output in &graph.outputs {
            let value = draft.names.get(output.name).copied();
            let value = value.ok_or_else(|| Error::weights(path, format!("no node makes its output `{}`", output.name)))?;
            draft.outputs.push((output, value));
        }
        Ok(draft)
    }

    /// How many values there are.
    pub(super) fn values(&self) -> usize {
        self.names.len()
    }

    fn define(&mut self, name: &'a str) -> Result<usize, String> {
        let number = self.names.len();
        match self.names.insert(name, number) {
            None => Ok(number),
            Some(_) => Err(format!("the value `{name}` is made twice")),
        }
    }

    fn add_node(&mut self, number: usize, proto: &'a NodeProto<'a>, files: &mut Files) -> Result<(), NodeFault> {
        let mut node = Node::new(number, proto)?;
        let value = |&name: &&str| match name {
            "" => Ok(None),
            name => self.names.get(name).copied().map(Some).ok_or_else(|| format!("{node} takes `{name}`, which nothing before it makes")),
        };
        node.inputs = proto.inputs.iter().map(value).collect::<Result<_, _>>()?;
        // Optional inputs may be left out by name as well.
        while node.inputs.last() == Some(&None) {
            node.inputs.pop();
        }
        for &name in &proto.outputs {
            let value = if name.is_empty() { None } else { Some(self.define(name).map_err(|what| format!("{node}: {what}"))?) };
            node.outputs.push(value);
        }
        match (proto.op, proto.domain, node.outputs.first()) {
            ("Constant", "" | "ai.onnx", Some(&Some(value))) => {
                let constant = constant(&node, proto, files)?;
                self.constants.insert(value, constant);
            }
            _ => {
                self.nodes.push(node);
                self.domains.push(proto.domain);
            }
        }
        Ok(())
    }

    /// Leaves out the nodes that no output needs.
    pub(super) fn prune(&mut self) {
        let mut is_needed = vec![false; self.values()];
        self.outputs.iter().for_each(|&(_, value)| is_needed[value] = true);
        let mut is_kept = vec![false; self.nodes.len()];
        for (node, is_kept) in self.nodes.iter().zip(&mut is_kept).rev() {
            *is_kept = node.outputs.iter().flatten().any(|&value| is_needed[value]);
            if *is_kept {
                node.inputs.iter().flatten().for_each(|&value| is_needed[value] = true);
            }
        }
        let mut kept = is_kept.iter();
        self.nodes.retain(|_| kept.next() == Some(&true));
        let mut kept = is_kept.iter();
        self.domains.retain(|_| kept.next() == Some(&true));
        self.constants.retain(|&value, _| is_needed[value]);
    }
}

enum NodeFault {
    Damaged(String),
    Error(Error),
}

impl From<String> for NodeFault {
    fn from(message: String) -> Self {
        Self::Damaged(message)
    }
}

/// What a node that makes a constant makes.
fn constant(node: &Node, proto: &NodeProto, files: &mut Files) -> Result<Constant, NodeFault> {
    let [attribute] = &proto.attributes[..] else { return Err(format!("{node}: it has not one value").into()) };
    let value = match attribute.name {
        "value" => match &attribute.tensor {
            Some(tensor) => return files.constant(tensor).map_err(NodeFault::Error),
            None => return Err(format!("{node}: its value is no tensor").into()),
        },
        "value_float" => Value::new(&[], Data::F32(vec![attribute.float.unwrap_or_default()])),
        "value_int" => Value::new(&[], Data::I64(vec![attribute.int.unwrap_or_default()])),
        "value_floats" => Value::new(&[attribute.floats.len()], Data::F32(attribute.floats.clone())),
        "value_ints" => Value::new(&[attribute.ints.len()], Data::I64(attribute.ints.clone())),
        other => return Err(format!("{node}: its `{other}` is not supported: export the model with dense numbers").into()),
    };
    Ok(Constant::Known(value.into()))
}
