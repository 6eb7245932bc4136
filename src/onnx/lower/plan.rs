//! What a network takes on a GPU, by a run on a dry one.

use super::Network;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::{Device, MemoryUse, Recorder};
use crate::onnx::graph::Graph;
use crate::onnx::value::Value;

impl Graph {
    /// What a network of this graph takes on a device: to the byte what it will, where no shape depends on what is computed.
    ///
    /// # Errors
    /// [`Error::Limits`] where the device cannot have it at all.
    pub fn gpu_memory(&self, device: &Device) -> Result<MemoryUse> {
        let dry = device.dry(device.limits().clone());
        let network = Network::load(self.clone(), &dry)?;
        let inputs = self.inputs.iter().filter_map(|port| Some((port.name.as_str(), Value::zeros(port.shape.as_deref()?, port.kind))));
        network.run(&mut Recorder::new(&dry, Cancel::new()), &inputs.collect::<Vec<_>>())?;
        Ok(dry.memory_use())
    }
}

impl Network {
    /// [`Network::load`] where a run takes no more than `budget` bytes of GPU memory.
    ///
    /// # Errors
    /// As [`Network::load`]; [`Error::Limits`] says how many bytes are needed where the budget is smaller, before anything is loaded.
    pub fn load_within(graph: Graph, device: &Device, budget: u64) -> Result<Self> {
        let needed = graph.gpu_memory(device)?.peak;
        if needed > budget {
            let what = graph.path.display();
            let message = format!("{what} needs a memory budget of {needed} bytes; it is {budget}: raise it, or choose a smaller network");
            return Err(Error::memory(needed, budget, message));
        }
        Self::load(graph, device)
    }
}
