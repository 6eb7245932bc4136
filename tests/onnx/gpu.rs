//! Graphs on the GPU beside the same on the host.

use std::path::Path;
use std::time::Instant;

use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::onnx::lower::Network;
use wan_animate::unversioned::onnx::{Graph, Value};
use wan_animate::{Cancel, Device};

use crate::close::largest;
use crate::goldens::{noise, path, run};

/// Computes a graph's fusion on the GPU: by how much of its largest element each output differs from what is expected, and how many nodes the host
/// computed.
pub fn compare(mut graph: Graph, inputs: &[(&str, Value)], expected: &[Value], device: &Device) -> (Vec<f64>, usize) {
    graph.fuse();
    let network = Network::load(graph, device).expect("loaded");
    let mut rec = Recorder::new(device, Cancel::new());
    let (found, on_host) = network.run(&mut rec, inputs).expect("computed");
    let error = |(found, expected): (&Value, &Value)| {
        let (error, most) = largest(found, expected);
        error / most.max(f64::MIN_POSITIVE)
    };
    assert_eq!(found.len(), expected.len());
    (found.iter().zip(expected).map(error).collect(), on_host)
}

#[test]
fn networks_are_computed_as_on_the_host() {
    let device = Device::builder().shader_checks(true).build().expect("a GPU or a software driver");
    for (name, most_on_host) in [("vitpose_11", 0), ("vitpose_17", 0), ("yolox", 0), ("yolov10", 17), ("rtmpose", 2)] {
        let graph = Graph::open(path(&format!("{name}.onnx")), &[]).expect("opened");
        let expected = run(&graph);
        let port = graph.inputs()[0].clone();
        let input = noise(port.shape.as_deref().expect("a shape"));
        let (errors, on_host) = compare(graph, &[(&port.name, input)], &expected, &device);
        println!("{name}: {errors:?}, {on_host} nodes on the host");
        assert!(errors.iter().all(|&error| error <= 1e-4), "{name}: {errors:?}");
        assert!(on_host <= most_on_host, "{name}: {on_host} nodes on the host");
    }
}

/// All operators beside each other: those that no op computes go to the host and back.
#[test]
fn operators_are_computed_as_on_the_host() {
    let device = Device::builder().shader_checks(true).build().expect("a GPU or a software driver");
    for name in ["operators_12", "operators_13"] {
        let graph = Graph::open(path(&format!("{name}.onnx")), &[]).expect("opened");
        let (expected, port) = (run(&graph), graph.inputs()[0].clone());
        let makers: Vec<_> =
            graph.outputs().iter().map(|port| graph.nodes().iter().find(|node| node.outputs.contains(&Some(port.value)))).collect();
        let makers: Vec<_> = makers.into_iter().flatten().map(ToString::to_string).collect();
        let (errors, on_host) = compare(graph, &[(&port.name, noise(&[1, 4, 6, 6]))], &expected, &device);
        let wrong: Vec<_> = errors.iter().zip(&makers).filter(|(error, _)| **error > 1e-4).collect();
        println!("{name}: {on_host} of {} nodes on the host", makers.len());
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

/// A dry run of the same code tells what a network takes, to the byte, and nothing of it stays when it is gone.
#[test]
fn networks_take_the_memory_that_they_plan_and_leave_none() {
    for name in ["vitpose_17", "yolox", "rtmpose"] {
        takes_what_it_plans(&path(&format!("{name}.onnx")));
    }
}

#[test]
#[ignore = "needs the networks of 2.6 GB that `make test-all` writes"]
fn large_networks_take_the_memory_that_they_plan() {
    let folder = std::env::var("WAN_ANIMATE_ONNX_CASES").expect("WAN_ANIMATE_ONNX_CASES is the folder that `make onnx-cases` fills");
    for name in ["yolov10m", "vitpose_h"] {
        takes_what_it_plans(&Path::new(&folder).join(format!("large/{name}.onnx")));
    }
}

fn takes_what_it_plans(path: &Path) {
    // A device of its own: what it has in use is this network's alone.
    let device = Device::builder().build().expect("a GPU or a software driver");
    let (name, mut graph) = (path.display(), Graph::open(path, &[]).expect("opened"));
    graph.fuse();
    let port = graph.inputs()[0].clone();
    let input = noise(port.shape.as_deref().expect("a shape"));
    let run = |network: Network| {
        let mut rec = Recorder::new(&device, Cancel::new());
        network.run(&mut rec, &[(&port.name, input.clone())]).expect("computed");
    };
    // Kernels are tested when they are first used, which takes memory of its own.
    run(Network::load(graph.clone(), &device).expect("loaded"));
    assert_eq!(device.memory_use().current, 0, "{name} is gone");
    let planned = graph.gpu_memory(&device).expect("a plan");
    let refusal = Network::load_within(graph.clone(), &device, planned.peak - 1).expect_err("too small a budget").to_string();
    assert!(refusal.contains(&planned.peak.to_string()), "{refusal}");
    device.reset_peak();
    let begun = Instant::now();
    run(Network::load_within(graph, &device, planned.peak).expect("within the budget"));
    let taken = device.memory_use();
    println!("{name}: {} MiB, {} of them weights, in {:?}", taken.peak >> 20, taken.peak_weights >> 20, begun.elapsed());
    assert_eq!((taken.peak, taken.peak_weights), (planned.peak, planned.peak_weights), "{name}");
    assert_eq!(taken.current, 0, "{name} is gone");
}
