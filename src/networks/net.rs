//! A network of one picture.

use std::path::Path;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::{Device, Recorder};
use crate::location::Location;
use crate::networks::kind::{Kind, Outputs};
use crate::onnx::lower::Network;
use crate::onnx::{self, Data, Graph, Value};

/// What a network gave for one input.
#[derive(Debug)]
pub(super) struct Made(Vec<Value>);

impl Made {
    /// The numbers of the output at a place.
    pub(super) fn floats(&self, output: usize) -> &[f32] {
        self.0.get(output).and_then(Value::f32).unwrap_or_default()
    }

    /// Its extents.
    pub(super) fn shape(&self, output: usize) -> &[usize] {
        self.0.get(output).map_or(&[], Value::shape)
    }

    /// Its numbers as whole ones, whatever they are.
    pub(super) fn wholes(&self, output: usize) -> Vec<usize> {
        match self.0.get(output).map(Value::data) {
            Some(Data::I64(values)) => values.iter().map(|&value| usize::try_from(value).unwrap_or(usize::MAX)).collect(),
            _ => self.floats(output).iter().map(|&value| value.max(0.0) as usize).collect(),
        }
    }
}

/// A graph, and what computes it.
#[derive(Debug)]
pub(super) enum Net {
    Gpu {
        network: Network,
        rec: Recorder,
    },
    /// Where the device says so, as with software drivers.
    Host {
        graph: Graph,
        device: Device,
    },
}

impl Net {
    /// Loads an opened graph.
    ///
    /// # Errors
    /// [`Error::Limits`] where a run takes more than the device has left, before anything is loaded; [`Error::Device`] where the GPU fails.
    pub(super) fn load(mut graph: Graph, device: &Device) -> Result<Self> {
        // Of all outputs only the classes of boxes may be whole numbers.
        if let Some(port) = graph.outputs().iter().find(|port| port.kind != onnx::Kind::F32 && port.name != "labels") {
            let message = format!("its output `{}` is {:?}, where numbers with a point are wanted", port.name, port.kind);
            return Err(Error::weights(graph.path(), message));
        }
        graph.fuse();
        if device.host_networks() {
            graph.keep_constants();
            return Ok(Self::Host { graph, device: device.clone() });
        }
        // A run on a dry device, which counts its own uses alone, tells what it takes; without a limit there is nothing to hold that against.
        let network = match device.room() {
            Some(room) => Network::load_within(graph, device, room.saturating_sub(device.memory_use().current))?,
            None => Network::load(graph, device)?,
        };
        Ok(Self::Gpu { network, rec: Recorder::new(device, Cancel::new()) })
    }

    pub(super) fn path(&self) -> &Path {
        self.graph().path()
    }

    pub(super) fn graph(&self) -> &Graph {
        match self {
            Self::Gpu { network, .. } => network.graph(),
            Self::Host { graph, .. } => graph,
        }
    }

    /// Width and height of the pictures that it takes.
    pub(super) fn input_size(&self) -> (usize, usize) {
        Outputs::of(self.graph()).input_size()
    }

    /// What it makes of an input.
    ///
    /// # Errors
    /// [`Error::Device`] where the GPU fails; [`Error::Weights`] where it makes numbers that are none.
    pub(super) fn run(&mut self, samples: Vec<f32>) -> Result<Made> {
        let port = &self.graph().inputs()[0];
        let (name, input) = (port.name.clone(), Value::new(port.shape.as_deref().unwrap_or_default(), Data::F32(samples)));
        let made = self.outputs(&[(&name, input)])?;
        let is_number = |value: &Value| value.f32().is_none_or(|values| values.iter().all(|value| !value.is_nan()));
        match made.iter().all(is_number) {
            true => Ok(Made(made)),
            false => {
                Err(Error::weights(self.path(), "it makes values that are not numbers: the file is damaged, or made for other inputs"))
            }
        }
    }

    fn outputs(&mut self, inputs: &[(&str, Value)]) -> Result<Vec<Value>> {
        match self {
            Self::Gpu { network, rec } => {
                let (made, _) = network.run(rec, inputs)?;
                rec.finish()?;
                Ok(made)
            }
            Self::Host { graph, device } => {
                let Some(rehearsal) = device.rehearsal() else { return graph.run(inputs) };
                rehearsal.note_host(graph.constant_bytes() + graph.host_memory());
                graph.zeros().map_or_else(|| graph.run(inputs), Ok)
            }
        }
    }
}

/// A size of pictures that is tried where a network takes any, and whether it is usual for that kind.
struct Usual {
    width: usize,
    height: usize,
    fits: fn(Kind) -> bool,
}

/// The first at which a network is of a kind that it fits is taken.
const SIZES: [Usual; 5] = [
    Usual { width: 640, height: 640, fits: |kind| matches!(kind, Kind::Detector(_)) },
    Usual { width: 192, height: 256, fits: has_points },
    Usual { width: 288, height: 384, fits: has_points },
    Usual { width: 320, height: 320, fits: |kind| kind == Kind::Mask },
    Usual { width: 224, height: 224, fits: |kind| matches!(kind, Kind::Classes(_)) },
];

fn has_points(kind: Kind) -> bool {
    matches!(kind, Kind::Heatmaps | Kind::SimCc | Kind::OtherPoints(_))
}

/// Opens a graph whose input is one picture; where that may have any size, of the size that is usual for what it is.
///
/// # Errors
/// As [`Graph::open`].
pub(super) fn open(location: &Location) -> Result<Graph> {
    let inputs = Graph::declared_inputs(location)?;
    let [(name, Some(shape))] = &inputs[..] else { return Graph::open(location, &[]) };
    if shape.len() != 4 || !shape[1..].contains(&None) {
        return Graph::open(location, &[]);
    }
    let mut other = None;
    for Usual { width, height, fits } in SIZES {
        let wanted = if shape[3] == Some(3) { [1, height, width, 3] } else { [1, 3, height, width] };
        let fixed: Vec<_> = shape.iter().zip(wanted).map(|(own, wanted)| own.unwrap_or(wanted)).collect();
        match Graph::open(location, &[(name, &fixed)]) {
            Ok(graph) if fits(Outputs::of(&graph).kind()) => return Ok(graph),
            outcome => other = other.or(Some(outcome)),
        }
    }
    other.unwrap_or_else(|| Err(Error::weights(location.path(), "its input may have any size")))
}
