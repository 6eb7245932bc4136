//! Graphs before and after fusion, both computed on the host.

use std::collections::BTreeMap;

use tempfile::TempDir;
use wan_animate::unversioned::onnx::{Graph, Value};

use crate::close::largest;
use crate::goldens::{path, run};
use crate::make::{bytes, int, ints, model, node, port, raw, tensor, whole, write};

/// How many nodes there are of each operator.
fn counts(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    graph.nodes().iter().for_each(|node| *counts.entry(node.op.as_str()).or_default() += 1);
    counts
}

#[track_caller]
fn assert_same(found: &[Value], expected: &[Value]) {
    for (found, expected) in found.iter().zip(expected) {
        let (error, most) = largest(found, expected);
        assert!(error <= 3e-6 * most, "{error} where it is up to {most}");
    }
}

/// A golden's graph after fusion, which computes the same.
fn fused(name: &str) -> Graph {
    let mut graph = Graph::open(path(name), &[]).expect("opened");
    let before = run(&graph);
    graph.fuse();
    assert_same(&run(&graph), &before);
    graph
}

#[test]
fn transformers_are_brought_back_together() {
    for name in ["vitpose_11.onnx", "vitpose_17.onnx"] {
        let graph = fused(name);
        let counts = counts(&graph);
        let count = |op: &str| counts.get(op).copied().unwrap_or(0);
        assert_eq!(["LayerNormalization", "Gelu", "ScaledDotProduct", "Linear"].map(count), [3, 0, 1, 4], "{name}: {counts:?}");
        let spelled = ["ReduceMean", "Pow", "Sqrt", "Div", "Erf", "Softmax", "MatMul", "BatchNormalization"];
        assert_eq!(spelled.map(count), [0; 8], "{name}: {counts:?}");
        assert_eq!(count("Add"), 1, "{name}: the positions alone: {counts:?}");
    }
}

#[test]
fn detectors_are_brought_back_together() {
    for name in ["yolox.onnx", "yolov10.onnx", "rtmpose.onnx"] {
        let graph = fused(name);
        let counts = counts(&graph);
        let count = |op: &str| counts.get(op).copied().unwrap_or(0);
        assert!(count("FusedConv") >= 5, "{name}: {counts:?}");
        assert!(count("Swish") + count("Sigmoid") <= 1, "{name}: {counts:?}");
    }
}

/// A graph of an input [1, 2, 4, 4], and what is left of it.
fn left(parts: &[Vec<u8>]) -> Vec<String> {
    let folder = TempDir::new().expect("a temporary folder");
    let weights: Vec<f32> = (0..12).map(|at| at as f32 / 7.0 - 1.0).collect();
    let ports = [port(11, "x", &[1, 2, 4, 4]), port(12, "y", &[]), tensor("w", &[3, 2, 1, 2], &[raw(&weights)])];
    let path = write(folder.path(), "model.onnx", model(&[&ports, parts].concat()));
    let mut graph = Graph::open(path, &[]).expect("opened");
    let before = run(&graph);
    graph.fuse();
    assert_same(&run(&graph), &before);
    graph.nodes().iter().map(|node| node.op.clone()).collect()
}

fn constant(name: &str, dims: &[i64], elements: &[f32]) -> Vec<u8> {
    tensor(name, dims, &[raw(elements)])
}

#[test]
fn scales_and_shifts_go_into_weights() {
    let factors = [0.5, -2.0, 3.0];
    let conv = node("Conv", &["x", "w"], &["a"], &[]);
    let per_channel = constant("c", &[1, 3, 1, 1], &factors);
    let alone = node("Add", &["c", "a"], &["y"], &[]);
    assert_eq!(left(&[per_channel.clone(), conv.clone(), alone]), ["Conv"]);
    let both = [node("Mul", &["a", "c"], &["b"], &[]), node("Add", &["b", "d"], &["y"], &[])];
    assert_eq!(left(&[per_channel, constant("d", &[], &[0.25]), conv.clone(), both.concat()]), ["Conv"]);
    let statistics = [("s", [1.0, 2.0, -1.0]), ("b", [0.0, 1.0, 2.0]), ("m", [0.5, 0.0, -0.5]), ("v", [1.0, 0.25, 4.0])];
    let statistics = statistics.map(|(name, elements)| constant(name, &[3], &elements)).concat();
    let norm = node("BatchNormalization", &["a", "s", "b", "m", "v"], &["y"], &[]);
    assert_eq!(left(&[statistics, conv.clone(), norm]), ["Conv"]);
    // By column, not by channel.
    let by_column = [constant("c", &[3], &factors), conv.clone(), node("Mul", &["a", "c"], &["y"], &[])];
    assert_eq!(left(&by_column), ["Conv", "Mul"]);
    // What the convolution makes is needed itself.
    let twice = [node("Mul", &["a", "d"], &["b"], &[]), node("Sub", &["a", "b"], &["y"], &[])];
    assert_eq!(left(&[constant("d", &[], &[0.25]), conv, twice.concat()]), ["Conv", "Mul", "Sub"]);
}

#[test]
fn scales_before_convolutions_go_into_weights() {
    let by_channel = [constant("f", &[2, 1, 1, 1], &[0.5, -2.0]), constant("b", &[2], &[0.25, 3.0])].concat();
    let scale = node("Conv", &["x", "f", "b"], &["a"], &[whole("group", 2)]);
    let conv = |settings: &[Vec<u8>]| node("Conv", &["a", "w"], &["y"], settings);
    assert_eq!(left(&[by_channel.clone(), scale.clone(), conv(&[ints("strides", &[2, 1])])]), ["Conv"]);
    // Each channel by itself once more.
    let own = [constant("v", &[4, 1, 1, 1], &[1.0, 2.0, -3.0, 0.5]), node("Conv", &["a", "v"], &["y"], &[whole("group", 2)])];
    assert_eq!(left(&[by_channel.clone(), scale.clone(), own.concat()]), ["Conv"]);
    // The shift does not reach the zeros around the image.
    assert_eq!(left(&[by_channel, scale, conv(&[ints("pads", &[0, 1, 0, 1])])]), ["Conv", "Conv"]);
}

#[test]
fn zeros_around_images_go_into_convolutions() {
    let pads = |pads: [i64; 8]| {
        let raw: Vec<u8> = pads.iter().flat_map(|pad| pad.to_le_bytes()).collect();
        bytes(5, [int(1, 8), int(2, 7), bytes(8, "p"), bytes(9, raw)].concat())
    };
    let conv = node("Conv", &["a", "w"], &["y"], &[ints("pads", &[0, 1, 0, 0]), ints("strides", &[2, 1])]);
    let pad = |inputs: &[&str]| node("Pad", inputs, &["a"], &[]);
    assert_eq!(left(&[pads([0, 0, 1, 2, 0, 0, 0, 3]), pad(&["x", "p"]), conv.clone()]), ["Conv"]);
    assert_eq!(left(&[pads([0, 0, 1, 2, 0, 0, 0, -1]), pad(&["x", "p"]), conv.clone()]), ["Pad", "Conv"]);
    let ones = [pads([0, 0, 1, 1, 0, 0, 1, 1]), constant("one", &[], &[1.0]), pad(&["x", "p", "one"]), conv];
    assert_eq!(left(&ones), ["Pad", "Conv"]);
}

#[test]
fn what_follows_convolutions_becomes_part_of_them() {
    let conv = node("Conv", &["x", "w"], &["a"], &[]);
    let six = [constant("low", &[], &[0.0]), constant("high", &[], &[6.0])].concat();
    for (op, inputs) in [("Relu", &["a"][..]), ("Sigmoid", &["a"]), ("LeakyRelu", &["a"]), ("Clip", &["a", "low", "high"])] {
        assert_eq!(left(&[six.clone(), conv.clone(), node(op, inputs, &["y"], &[])]), ["FusedConv"], "{op}");
    }
    let slopes = constant("s", &[3, 1, 1], &[0.5, -2.0, 3.0]);
    assert_eq!(left(&[slopes.clone(), conv.clone(), node("PRelu", &["a", "s"], &["y"], &[])]), ["FusedConv"]);
    // Another one's result is added, before an activation or after it.
    let other = node("Conv", &["x", "w"], &["b"], &[ints("strides", &[1, 1])]);
    let before = [node("Add", &["a", "b"], &["c"], &[]), node("PRelu", &["c", "s"], &["y"], &[])].concat();
    assert_eq!(left(&[slopes, other.clone(), conv.clone(), before]), ["Conv", "FusedConv"]);
    let after = [node("Relu", &["a"], &["c"], &[]), node("Add", &["b", "c"], &["y"], &[])].concat();
    assert_eq!(left(&[other, conv.clone(), after]).last().map(String::as_str), Some("FusedConv"));
    // What is needed before an activation stays.
    let twice = [node("Relu", &["a"], &["b"], &[]), node("Mul", &["a", "b"], &["y"], &[])].concat();
    assert_eq!(left(&[conv, twice]), ["Conv", "Relu", "Mul"]);
}
