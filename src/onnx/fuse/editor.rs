//! What rewrites look at.

use std::sync::Arc;

use crate::onnx::graph::{Graph, Outline};
use crate::onnx::node::Node;
use crate::onnx::tensor::Constant;
use crate::onnx::value::Value;

/// A graph, with who makes and who takes each value.
pub(super) struct Editor<'a> {
    graph: &'a mut Graph,
    makers: Vec<Option<usize>>,
    uses: Vec<usize>,
}

/// Nodes in the place of one.
pub(super) type Rewrite = fn(&mut Editor, &Node) -> Option<Vec<Node>>;

impl<'a> Editor<'a> {
    fn new(graph: &'a mut Graph) -> Self {
        let (mut makers, mut uses) = (vec![None; graph.outlines.len()], vec![0; graph.outlines.len()]);
        for (number, node) in graph.nodes.iter().enumerate() {
            node.outputs.iter().flatten().for_each(|&value| makers[value] = Some(number));
            node.inputs.iter().flatten().for_each(|&value| uses[value] += 1);
        }
        graph.outputs.iter().for_each(|port| uses[port.value] += 1);
        Self { graph, makers, uses }
    }

    /// Rewrites each node, in the order of the graph, and leaves out those that are not needed any more.
    pub(super) fn rewrite(graph: &mut Graph, rewrite: Rewrite) {
        let mut editor = Editor::new(graph);
        let mut nodes = Vec::with_capacity(editor.graph.nodes.len());
        for number in 0..editor.graph.nodes.len() {
            let node = editor.graph.nodes[number].clone();
            match rewrite(&mut editor, &node) {
                // Later nodes see what became of this one.
                Some(rewritten) => {
                    if let [.., last] = &rewritten[..] {
                        editor.graph.nodes[number] = last.clone();
                    }
                    nodes.extend(rewritten);
                }
                None => nodes.push(node),
            }
        }
        graph.nodes = nodes;
        graph.prune();
    }

    /// The node that makes a value, where it is of this operator.
    pub(super) fn made_by(&self, value: usize, op: &str) -> Option<&Node> {
        let maker = *self.makers.get(value)?;
        maker.map(|number| &self.graph.nodes[number]).filter(|node| node.op == op)
    }

    /// Whether one node alone takes a value.
    pub(super) fn is_used_once(&self, value: usize) -> bool {
        self.uses.get(value) == Some(&1)
    }

    pub(super) fn constant(&self, value: usize) -> Option<Arc<Value>> {
        self.graph.constants.get(&value).map(Constant::value)
    }

    pub(super) fn is_constant(&self, value: usize) -> bool {
        self.graph.constants.contains_key(&value)
    }

    /// The only element of a constant.
    pub(super) fn scalar(&self, value: usize) -> Option<f32> {
        let is_one = self.shape(value)?.iter().all(|&extent| extent == 1);
        match self.constant(value).filter(|_| is_one)?.f32()? {
            [scalar] => Some(*scalar),
            _ => None,
        }
    }

    /// Whether the only element of a constant is about this number.
    pub(super) fn is_scalar(&self, value: usize, number: f32) -> bool {
        self.scalar(value).is_some_and(|scalar| (scalar - number).abs() <= 1e-5 * number.abs())
    }

    pub(super) fn shape(&self, value: usize) -> Option<&[usize]> {
        Some(&self.graph.outline(value)?.shape)
    }

    pub(super) fn add_constant(&mut self, value: Value) -> usize {
        let outline = Outline { shape: value.shape().to_vec(), kind: value.data().kind() };
        self.graph.constants.insert(self.graph.outlines.len(), Constant::Known(value.into()));
        self.add_value(outline)
    }

    /// A new value, for nodes that are put before others.
    pub(super) fn add_value(&mut self, outline: Outline) -> usize {
        self.graph.outlines.push(Some(outline));
        self.graph.outlines.len() - 1
    }

    /// Both inputs of a node of two in either order: what `find` makes of one, and the other.
    pub(super) fn either<T>(&self, node: &Node, find: impl Fn(&Self, usize) -> Option<T>) -> Option<(T, usize)> {
        let (a, b) = (node.input(0)?, node.input(1)?);
        find(self, a).map(|found| (found, b)).or_else(|| find(self, b).map(|found| (found, a)))
    }
}
