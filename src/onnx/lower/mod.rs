//! Graphs on the GPU: each node by the op that does the same, and on the host what none does, such as the choice of the best boxes at the end.

mod elements;
mod image;
mod laid;
mod moves;
mod rows;
mod weights;

use std::collections::HashMap;
use std::sync::Arc;

use super::graph::Graph;
use super::node::Node;
use super::strided::Places;
use super::value::{Data, Kind, Value};
use crate::error::{Error, Result};
use crate::gpu::{Device, Recorder};
use laid::Laid;
use weights::{Weights, vector};

/// A graph with its weights on the GPU.
pub struct Network {
    graph: Graph,
    /// By node.
    weights: Vec<Weights>,
    /// Constants that ops take as they are.
    constants: HashMap<usize, Laid>,
}

/// Where a value is.
#[derive(Clone)]
enum Held {
    Gpu(Laid),
    Host(Arc<Value>),
}

impl Network {
    /// Uploads what a graph, which may be fused, needs on the GPU.
    ///
    /// # Errors
    /// [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn load(graph: Graph, device: &Device) -> Result<Self> {
        let weights = graph.nodes.iter().map(|node| Weights::load(&graph, node, device)).collect::<Result<Vec<_>>>()?;
        let mut constants = HashMap::new();
        for (node, weights) in graph.nodes.iter().zip(&weights) {
            for &value in node.inputs.iter().flatten().filter(|_| matches!(weights, Weights::None)) {
                if let Some(tensor) = vector(&graph, value, device)? {
                    constants.insert(value, Laid::plain(tensor));
                }
            }
        }
        Ok(Self { graph, weights, constants })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Computes the outputs, in their order, and how many nodes the host computed.
    ///
    /// # Errors
    /// As [`Graph::run`], and [`Error::Device`] where the GPU fails.
    pub fn run(&self, rec: &mut Recorder, inputs: &[(&str, Value)]) -> Result<(Vec<Value>, usize)> {
        self.graph.check_inputs(inputs)?;
        let mut run = Run { network: self, values: HashMap::new() };
        for port in &self.graph.inputs {
            let value = inputs.iter().find(|(name, _)| *name == port.name).map(|(_, value)| value.clone());
            run.values.extend(value.map(|value| (port.value, Held::Host(value.into()))));
        }
        let mut on_host = 0;
        for ((node, weights), freed) in self.graph.nodes.iter().zip(&self.weights).zip(self.graph.last_uses()) {
            match run.on_gpu(rec, node, weights)? {
                Some(made) => run.keep(node, made.into_iter().map(Held::Gpu)),
                None => {
                    on_host += 1;
                    let made = run.on_host(rec, node)?;
                    run.keep(node, made.into_iter().map(|value| Held::Host(value.into())));
                }
            }
            freed.iter().for_each(|value| drop(run.values.remove(value)));
        }
        let outputs = self.graph.outputs.iter().map(|port| Ok(Arc::unwrap_or_clone(run.host(rec, port.value)?)));
        Ok((outputs.collect::<Result<_>>()?, on_host))
    }
}

/// A run of a network.
struct Run<'a> {
    network: &'a Network,
    values: HashMap<usize, Held>,
}

impl Run<'_> {
    fn keep(&mut self, node: &Node, made: impl Iterator<Item = Held>) {
        self.values.extend(node.outputs.iter().zip(made).filter_map(|(value, held)| Some(((*value)?, held))));
    }

    /// What a node makes by ops of the GPU, where there are any for it.
    fn on_gpu(&self, rec: &mut Recorder, node: &Node, weights: &Weights) -> Result<Option<Vec<Laid>>> {
        let lowered = [image::lower, rows::lower, elements::lower, moves::lower];
        for lower in lowered {
            if let Some(made) = lower(self, rec, node, weights)? {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    fn on_host(&self, rec: &mut Recorder, node: &Node) -> Result<Vec<Value>> {
        let inputs = node.inputs.iter().map(|input| input.map(|value| self.host(rec, value)).transpose()).collect::<Result<Vec<_>>>()?;
        let made = self.network.graph.compute(node, &inputs)?;
        // Outputs without a name are kept by nobody.
        Ok(made.into_iter().map(|value| value.unwrap_or_else(|| Value::new(&[0], Data::F32(Vec::new())))).collect())
    }

    /// A value's extents, where it is of floating-point numbers and not empty.
    fn shape(&self, value: usize) -> Option<Vec<usize>> {
        let (shape, kind) = match (self.values.get(&value), self.network.graph.constants.get(&value)) {
            (Some(Held::Gpu(laid)), _) => (laid.shape(), Kind::F32),
            (Some(Held::Host(value)), _) => (value.shape().to_vec(), value.data().kind()),
            (None, Some(constant)) => (constant.shape().to_vec(), constant.kind()),
            (None, None) => return None,
        };
        (kind == Kind::F32 && !shape.contains(&0)).then_some(shape)
    }

    /// An input on the GPU.
    fn gpu(&self, rec: &mut Recorder, value: usize) -> Result<Laid> {
        match (self.values.get(&value), self.network.constants.get(&value)) {
            (Some(Held::Gpu(laid)), _) | (None, Some(laid)) => Ok(laid.clone()),
            _ => {
                let host = self.host(rec, value)?;
                rec.upload(host.shape(), host.f32().unwrap_or_default()).map(Laid::plain)
            }
        }
    }

    /// A value on the host.
    fn host(&self, rec: &mut Recorder, value: usize) -> Result<Arc<Value>> {
        match (self.values.get(&value), self.network.graph.constants.get(&value)) {
            (Some(Held::Host(value)), _) => Ok(value.clone()),
            (Some(Held::Gpu(laid)), _) => {
                let elements = rec.download(&laid.tensor)?;
                let shape = laid.shape();
                let elements = Places::new(&shape, &laid.strides(), 0).map(|place| elements[place]).collect();
                Ok(Value::new(&shape, Data::F32(elements)).into())
            }
            (None, Some(constant)) => Ok(constant.value()),
            (None, None) => Err(Error::weights(&self.network.graph.path, format!("nothing makes the value {value}"))),
        }
    }
}
