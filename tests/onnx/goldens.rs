//! Small networks, and many operators beside each other, as onnxruntime computes them: what `tests/reference/onnx_goldens.py` makes.

use std::fs;
use std::path::{Path, PathBuf};

use wan_animate::unversioned::onnx::{Data, Graph, Value, read_tensor};

use crate::close::{difference, largest};

/// From -0.5 to 0.5, the same on every machine.
pub fn noise(shape: &[usize]) -> Value {
    let count = shape.iter().product::<usize>() as u64;
    let number = |at: u64| (at * 2_654_435_761 % (1 << 32)) as f64 / (1u64 << 32) as f64 - 0.5;
    Value::new(shape, Data::F32((0..count).map(|at| number(at) as f32).collect()))
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/onnx").join(name)
}

fn expected(name: &str) -> Vec<Value> {
    let bytes = fs::read(path(&format!("{name}.pb"))).expect("a golden");
    let mut rest = &bytes[..];
    let mut values = Vec::new();
    while let Some((length, content)) = rest.split_first_chunk::<4>() {
        let (message, after) = content.split_at(u32::from_le_bytes(*length) as usize);
        values.push(read_tensor(message).expect("a tensor"));
        rest = after;
    }
    values
}

/// Computes a golden's graph with its input.
pub fn run(graph: &Graph) -> Vec<Value> {
    let port = &graph.inputs()[0];
    graph.run(&[(&port.name, noise(port.shape.as_deref().expect("a shape")))]).expect("computed")
}

#[test]
fn networks_are_computed_as_onnxruntime_does() {
    for name in ["vitpose_11", "vitpose_17", "yolox", "yolov10", "rtmpose"] {
        let graph = Graph::open(path(&format!("{name}.onnx")), &[]).expect("opened");
        let (found, expected) = (run(&graph), expected(name));
        assert_eq!(found.len(), expected.len());
        for (number, ((found, expected), port)) in found.iter().zip(&expected).zip(graph.outputs()).enumerate() {
            assert_eq!(port.shape.as_deref(), Some(expected.shape()), "{name}: the shape of output {number} is known beforehand");
            let (error, most) = largest(found, expected);
            assert!(error <= 1e-5 * most, "{name}: output {number} differs by {error} where it is up to {most}");
        }
    }
}

#[test]
fn operators_are_computed_as_onnxruntime_does() {
    for name in ["operators_12", "operators_13"] {
        let graph = Graph::open(path(&format!("{name}.onnx")), &[]).expect("opened");
        let (found, expected) = (run(&graph), expected(name));
        assert_eq!(found.len(), expected.len());
        for ((found, expected), port) in found.iter().zip(&expected).zip(graph.outputs()) {
            let node = graph.nodes().iter().find(|node| node.outputs.contains(&Some(port.value))).expect("a node");
            let difference = difference(found, expected, 1e-5, 1e-6);
            assert!(difference.is_none(), "{name}: {node}: {}", difference.unwrap_or_default());
            assert!(port.shape.as_deref().is_none_or(|shape| shape == expected.shape()), "{name}: {node}");
        }
        let unknown: Vec<_> = graph.outputs().iter().filter(|port| port.shape.is_none()).collect();
        assert_eq!(unknown.len(), 2, "only what the elements decide has no shape beforehand: {unknown:?}");
    }
}

#[test]
fn what_constants_decide_is_computed_when_a_graph_is_opened() {
    let graph = Graph::open(path("vitpose_11.onnx"), &[]).expect("opened");
    let has = |op: &str| graph.nodes().iter().any(|node| node.op == op);
    assert!(has("Conv") && has("Gather"));
    assert!(!has("Shape") && !has("Concat") && !has("Unsqueeze"), "{:?}", graph.nodes());
}
