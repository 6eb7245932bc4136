//! The values of a run, on the GPU or on the host as they are needed.

use std::collections::HashMap;
use std::sync::Arc;

use super::laid::Laid;
use crate::error::{Error, Result};
use crate::gpu::{Download, Recorder};
use crate::onnx::graph::Graph;
use crate::onnx::node::Node;
use crate::onnx::strided::Places;
use crate::onnx::value::{Data, Kind, Value};

/// Where a value is.
#[derive(Clone)]
pub(super) enum Held {
    Gpu(Laid),
    Host(Arc<Value>),
}

/// A run of a network.
pub(super) struct Run<'a> {
    pub(super) graph: &'a Graph,
    /// Constants that ops take as they are.
    pub(super) constants: &'a HashMap<usize, Laid>,
    pub(super) values: HashMap<usize, Held>,
}

impl Run<'_> {
    pub(super) fn keep(&mut self, node: &Node, made: impl Iterator<Item = Held>) {
        self.values.extend(node.outputs.iter().zip(made).filter_map(|(value, held)| Some(((*value)?, held))));
    }

    /// What a node makes, computed by the host.
    pub(super) fn on_host(&self, rec: &mut Recorder, node: &Node) -> Result<Vec<Value>> {
        let inputs = node.inputs.iter().map(|input| input.map(|value| self.host(rec, value)).transpose()).collect::<Result<Vec<_>>>()?;
        if let Some(zeros) = self.zeros(rec, node) {
            return Ok(zeros);
        }
        let made = self.graph.compute(node, &inputs)?;
        // Outputs without a name are kept by nobody.
        Ok(made.into_iter().map(|value| value.unwrap_or_else(|| Value::new(&[0], Data::F32(Vec::new())))).collect())
    }

    /// What a node makes on a dry device, where nothing is computed whose shape is known.
    fn zeros(&self, rec: &Recorder, node: &Node) -> Option<Vec<Value>> {
        rec.device().rehearsal()?;
        let zeros = |value: &Option<usize>| {
            let outline = self.graph.outline((*value)?)?;
            Some(Value::zeros(&outline.shape, outline.kind))
        };
        node.outputs.iter().map(zeros).collect()
    }

    /// A value's extents, where it is of floating-point numbers and not empty.
    pub(super) fn shape(&self, value: usize) -> Option<Vec<usize>> {
        let (shape, kind) = match (self.values.get(&value), self.graph.constants.get(&value)) {
            (Some(Held::Gpu(laid)), _) => (laid.shape(), Kind::F32),
            (Some(Held::Host(value)), _) => (value.shape().to_vec(), value.data().kind()),
            (None, Some(constant)) => (constant.shape().to_vec(), constant.kind()),
            (None, None) => return None,
        };
        (kind == Kind::F32 && !shape.contains(&0)).then_some(shape)
    }

    /// An input on the GPU.
    pub(super) fn gpu(&self, rec: &mut Recorder, value: usize) -> Result<Laid> {
        match (self.values.get(&value), self.constants.get(&value)) {
            (Some(Held::Gpu(laid)), _) | (None, Some(laid)) => Ok(laid.clone()),
            _ => {
                let host = self.host(rec, value)?;
                rec.upload(host.shape(), host.f32().unwrap_or_default()).map(Laid::plain)
            }
        }
    }

    /// A value on the host.
    pub(super) fn host(&self, rec: &mut Recorder, value: usize) -> Result<Arc<Value>> {
        match (self.values.get(&value), self.graph.constants.get(&value)) {
            (Some(Held::Host(value)), _) => Ok(value.clone()),
            (Some(Held::Gpu(laid)), _) => {
                let elements = rec.download(&laid.tensor)?;
                Ok(in_order(laid, elements).into())
            }
            (None, Some(constant)) => Ok(constant.value()),
            (None, None) => Err(Error::weights(&self.graph.path, format!("nothing makes the value {value}"))),
        }
    }

    /// Values on the host; the GPU is waited for once.
    pub(super) fn all_on_host(&self, rec: &mut Recorder, values: &[usize]) -> Result<Vec<Value>> {
        let mut on_way = Vec::new();
        for value in values {
            on_way.push(match self.values.get(value) {
                Some(Held::Gpu(laid)) => Ok((laid, rec.download_later(&laid.tensor)?)),
                _ => Err(self.host(rec, *value)?),
            });
        }
        rec.finish()?;
        let arrived = |held: std::result::Result<(&Laid, Download), Arc<Value>>| match held {
            Ok((laid, download)) => Ok(in_order(laid, download.wait()?)),
            Err(value) => Ok(Arc::unwrap_or_clone(value)),
        };
        on_way.into_iter().map(arrived).collect()
    }
}

/// A value from the elements of its tensor.
fn in_order(laid: &Laid, elements: Vec<f32>) -> Value {
    let shape = laid.shape();
    let elements = match laid.order.is_sorted() {
        true => elements,
        false => Places::new(&shape, &laid.strides(), 0).map(|place| elements[place]).collect(),
    };
    Value::new(&shape, Data::F32(elements))
}
