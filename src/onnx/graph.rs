//! A network as a graph of operators.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::node::Node;
use super::tensor::Constant;
use super::value::Kind;
use crate::Error;

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Its extents, the last contiguous; of an output `None` where they depend on what is computed.
    pub shape: Option<Vec<usize>>,
    /// What its elements are.
    pub kind: Kind,
    /// The number of its value.
    pub value: usize,
}

/// What is known of a value before anything is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Its extents, the last contiguous.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub kind: Kind,
}

impl Outline {
    /// Bytes on the host.
    pub fn bytes(&self) -> u64 {
        self.shape.iter().map(|&extent| extent as u64).product::<u64>() * self.kind.bytes()
    }
}

/// A network from an ONNX file, for inputs of fixed shapes: what depends on constants alone is computed, and what no output needs is gone.
#[derive(Clone)]
pub struct Graph {
    pub(super) path: PathBuf,
    pub(super) opset: i64,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) nodes: Vec<Node>,
    pub(super) constants: BTreeMap<usize, Constant>,
    /// By the number of the value; `None` where they depend on what is computed.
    pub(super) outlines: Vec<Option<Outline>>,
}

impl Graph {
    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What has to be given to it.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Its nodes, each behind those whose results it takes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Shape and kind of the value of this number, or `None` where they depend on what is computed.
    pub fn outline(&self, value: usize) -> Option<&Outline> {
        self.outlines.get(value)?.as_ref()
    }

    /// The most bytes of values that are alive at a time where the host computes the graph, constants not counted.
    pub fn host_memory(&self) -> u64 {
        let bytes = |value: usize| self.outline(value).map_or(0, Outline::bytes);
        let mut live: u64 = self.inputs.iter().map(|port| bytes(port.value)).sum();
        let mut most = live;
        for (node, freed) in self.nodes.iter().zip(self.last_uses()) {
            live += node.outputs.iter().flatten().map(|&value| bytes(value)).sum::<u64>();
            most = most.max(live);
            live -= freed.iter().map(|&value| bytes(value)).sum::<u64>().min(live);
        }
        most
    }

    /// Bytes of its constants on the host.
    pub fn constant_bytes(&self) -> u64 {
        self.constants.values().map(|constant| constant.shape().iter().product::<usize>() as u64 * constant.kind().bytes()).sum()
    }

    /// Leaves out the nodes and constants that no output needs.
    pub(super) fn prune(&mut self) {
        let mut is_needed = vec![false; self.outlines.len()];
        self.outputs.iter().for_each(|port| is_needed[port.value] = true);
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.outputs.iter().flatten().any(|&value| is_needed[value]) {
                node.inputs.iter().flatten().for_each(|&value| is_needed[value] = true);
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.constants.retain(|&value, _| is_needed[value]);
    }

    /// For each node, the values that nobody needs after it; constants are none of them.
    pub(super) fn last_uses(&self) -> Vec<Vec<usize>> {
        let mut is_needed = vec![false; self.outlines.len()];
        self.outputs.iter().for_each(|port| is_needed[port.value] = true);
        self.constants.keys().for_each(|&value| is_needed[value] = true);
        let mut uses = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.iter().rev() {
            let values = node.inputs.iter().chain(&node.outputs).flatten();
            uses.push(values.copied().filter(|&value| !std::mem::replace(&mut is_needed[value], true)).collect());
        }
        uses.reverse();
        uses
    }

    /// An error that says which node it is about.
    pub(super) fn error(path: &Path, node: &Node, fault: Fault) -> Error {
        match fault {
            Fault::Wrong(message) => Error::weights(path, format!("{node}: {message}")),
            Fault::Unsupported(message) => Error::Unsupported(format!("{}: {node}: {message}", path.display())),
            Fault::Unknown => {
                Error::Unsupported(format!("{}: {node}: what it makes depends on elements that are not known", path.display()))
            }
        }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Graph").field("path", &self.path).field("nodes", &self.nodes.len()).finish()
    }
}
