#![no_main]

use wan_animate::unversioned::onnx::{Data, Graph, Kind, Value};

/// The most elements of a value of graphs that are computed: few enough for any operator.
const MOST: usize = 1 << 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut graph) = Graph::open(wan_animate_fuzz::file("model.onnx", bytes), &[]) else { return };
    let values = graph.nodes().iter().flat_map(|node| node.inputs.iter().chain(&node.outputs)).flatten();
    let is_small = |value: &usize| graph.outline(*value).is_none_or(|outline| outline.shape.iter().product::<usize>() <= MOST);
    if !values.clone().all(is_small) || graph.nodes().len() > 64 {
        return;
    }
    let value = |shape: &[usize], kind| {
        let count = shape.iter().product();
        let data = match kind {
            Kind::F32 => Data::F32((0..count).map(|at| at as f32).collect()),
            Kind::I64 => Data::I64((0..count).map(|at| at as i64).collect()),
            Kind::Bool => Data::Bool(vec![true; count]),
        };
        Value::new(shape, data)
    };
    let inputs: Vec<_> =
        graph.inputs().iter().map(|port| (port.name.clone(), value(port.shape.as_deref().unwrap_or_default(), port.kind))).collect();
    let inputs: Vec<_> = inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let run = |graph: &Graph| graph.run(&inputs);
    let plain = run(&graph);
    graph.fuse();
    assert!(plain.is_err() || run(&graph).is_ok(), "a graph that is computed is so when it is fused");
});
