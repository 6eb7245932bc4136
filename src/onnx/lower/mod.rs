//! Graphs on the GPU: each node by the op that does the same, and on the host what none does, such as the choice of the best boxes at the end.

mod elements;
mod following;
mod image;
mod laid;
mod moves;
mod plan;
mod rows;
mod run;
mod weights;

use std::collections::HashMap;

use super::graph::Graph;
use super::node::{Node, RESIDUAL, SLOPE};
use super::value::Value;
use crate::error::Result;
use crate::gpu::{Device, Recorder};
use laid::Laid;
use run::{Held, Run};
use weights::{Weights, plain};

/// A graph with its weights on the GPU, which are gone with it.
pub struct Network {
    graph: Graph,
    weights: Vec<Weights>,
    /// Constants that ops take as they are.
    constants: HashMap<usize, Laid>,
}

impl Network {
    /// Uploads what a graph, which may be fused, needs on the GPU.
    ///
    /// # Errors
    /// [`Error::Limits`](crate::Error::Limits) and [`Error::Device`](crate::Error::Device) where the GPU has no room, or fails.
    pub fn load(graph: Graph, device: &Device) -> Result<Self> {
        let weights = graph.nodes.iter().map(|node| Weights::load(&graph, node, device)).collect::<Result<Vec<_>>>()?;
        let mut constants = HashMap::new();
        for (node, weights) in graph.nodes.iter().zip(&weights) {
            let is_plain = |number: &usize| matches!(weights, Weights::None) || [RESIDUAL, SLOPE].contains(number);
            for value in (0..node.inputs.len()).filter(is_plain).filter_map(|number| node.input(number)) {
                if let Some(tensor) = plain(&graph, value, device)?.filter(|_| !constants.contains_key(&value)) {
                    constants.insert(value, Laid::plain(tensor));
                }
            }
        }
        Ok(Self { graph, weights, constants })
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Computes the outputs, in their order, and how many nodes the host computed.
    ///
    /// # Errors
    /// As [`Graph::run`], and [`Error::Device`](crate::Error::Device) where the GPU fails.
    pub fn run(&self, rec: &mut Recorder, inputs: &[(&str, Value)]) -> Result<(Vec<Value>, usize)> {
        self.graph.check_inputs(inputs)?;
        let mut run = Run { graph: &self.graph, constants: &self.constants, values: HashMap::new() };
        for port in &self.graph.inputs {
            let value = inputs.iter().find(|(name, _)| *name == port.name).map(|(_, value)| value.clone());
            run.values.extend(value.map(|value| (port.value, Held::Host(value.into()))));
        }
        let mut on_host = 0;
        for ((node, weights), freed) in self.graph.nodes.iter().zip(&self.weights).zip(self.graph.last_uses()) {
            match on_gpu(&run, rec, node, weights)? {
                Some(made) => run.keep(node, made.into_iter().map(Held::Gpu)),
                None => {
                    on_host += 1;
                    let made = run.on_host(rec, node)?;
                    run.keep(node, made.into_iter().map(|value| Held::Host(value.into())));
                }
            }
            freed.iter().for_each(|value| drop(run.values.remove(value)));
        }
        let values: Vec<_> = self.graph.outputs.iter().map(|port| port.value).collect();
        Ok((run.all_on_host(rec, &values)?, on_host))
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_tuple("Network").field(&self.graph).finish()
    }
}

/// What a node makes by ops of the GPU, where there are any for it.
fn on_gpu(run: &Run, rec: &mut Recorder, node: &Node, weights: &Weights) -> Result<Option<Vec<Laid>>> {
    for lower in [image::lower, rows::lower, elements::lower, moves::lower] {
        if let Some(made) = lower(run, rec, node, weights)? {
            return Ok(Some(made));
        }
    }
    Ok(None)
}
