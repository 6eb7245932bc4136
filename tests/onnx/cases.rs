//! The cases of the onnx wheel, and whole networks beside onnxruntime, which `tests/reference/onnx_cases.py` and `onnx_networks.py` write.

use std::fs;
use std::path::{Path, PathBuf};

use wan_animate::Device;
use wan_animate::unversioned::onnx::{Graph, Value, read_tensor};

use crate::close::{difference, largest};
use crate::gpu::compare;

/// Every reason for which a case may be refused.
const REASONS: [&str; 16] = [
    "a value that is no tensor of numbers",
    "an operator of `ai.onnx.preview",
    "an operator of `ai.onnx.ml`",
    "it is in training mode",
    "it is about lists of tensors",
    "it is about random numbers",
    "it is about text",
    "it is control flow",
    "it is quantised",
    "it is recurrent",
    "its operator is not one that networks for pictures need",
    "operators of version ",
    "which version of ONNX's operators it uses",
    " is no tensor",
    "elements of ", // float8, int4 and smaller, text
    "the unknown element type",
];

/// The operators of the networks that are to run.
const NEEDED: &str = "Add AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose DepthToSpace Div Erf Expand Flatten Gather GatherElements Gemm \
    GlobalAveragePool HardSigmoid LeakyRelu MatMul MaxPool Mod Mul PRelu Pad Pow ReduceL2 ReduceMax ReduceMean Relu Reshape Resize ScatterND Sigmoid \
    Slice Softmax Split Sqrt Squeeze Sub Tile TopK Transpose Unsqueeze";

enum Outcome {
    Computed,
    Wrong(String),
    Refused(String),
}

fn outcome(folder: &Path, tolerance: f64) -> Outcome {
    let graph = match Graph::open(folder.join("model.onnx"), &[]) {
        Ok(graph) => graph,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let (Some(inputs), Some(expected)) = (values(folder, "input"), values(folder, "output")) else {
        return Outcome::Refused(REASONS[0].into());
    };
    let found = match graph.run(&named(&graph, inputs)) {
        Ok(found) => found,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    if found.len() != expected.len() {
        return Outcome::Wrong(format!("{} outputs, not {}", found.len(), expected.len()));
    }
    let difference = found.iter().zip(&expected).find_map(|(found, expected)| difference(found, expected, tolerance, 1e-5));
    difference.map_or(Outcome::Computed, Outcome::Wrong)
}

fn named(graph: &Graph, values: Vec<Value>) -> Vec<(&str, Value)> {
    graph.inputs().iter().map(|port| port.name.as_str()).zip(values).collect()
}

/// The inputs or outputs of a case, or `None` where one is no tensor of numbers.
fn values(folder: &Path, name: &str) -> Option<Vec<Value>> {
    let path = |number: usize| folder.join(format!("test_data_set_0/{name}_{number}.pb"));
    (0..).map(path).take_while(|path| path.exists()).map(|path| read_tensor(&fs::read(path).expect("readable")).ok()).collect()
}

/// The folders of the cases of a kind, with their names.
fn folders(kind: &str) -> Vec<(String, PathBuf)> {
    let root = std::env::var("WAN_ANIMATE_ONNX_CASES").expect("WAN_ANIMATE_ONNX_CASES is the folder that `make onnx-cases` fills");
    let entries = fs::read_dir(Path::new(&root).join(kind)).expect("a folder of cases");
    let mut folders: Vec<_> =
        entries.map(|entry| entry.expect("readable")).map(|entry| (entry.file_name().to_string_lossy().into(), entry.path())).collect();
    folders.sort();
    folders
}

/// What 16-bit results differ by from those that are rounded only at the end.
fn tolerance(name: &str) -> f64 {
    let name = name.to_lowercase();
    if name.contains("bf16") || name.contains("bfloat16") {
        2e-2
    } else if name.contains("fp16") {
        2e-3
    } else {
        1e-3
    }
}

/// The names of the cases that are computed; none is wrong, and none refused for a reason that is not listed.
fn computed(kind: &str, mut check: impl FnMut(&str, &str)) -> Vec<String> {
    let mut computed = Vec::new();
    for (name, folder) in folders(kind) {
        match outcome(&folder, tolerance(&name)) {
            Outcome::Computed => computed.push(name),
            Outcome::Wrong(what) => panic!("{kind}/{name}: {what}"),
            Outcome::Refused(what) => {
                assert!(REASONS.iter().any(|reason| what.contains(reason)), "{kind}/{name}: {what}");
                check(&name, &what);
            }
        }
    }
    computed
}

#[test]
#[ignore = "needs the cases that `make test-all` writes"]
fn cases_of_operators_are_computed_or_refused_for_a_listed_reason() {
    let computed = computed("node", |_, _| {});
    let single = computed.iter().filter(|name| !name.contains("_expanded")).count();
    println!("{} cases of operators, {single} of a single one", computed.len());
    assert!(single >= 800, "{single} cases of a single operator are computed");
}

#[test]
#[ignore = "needs the cases that `make test-all` writes"]
fn small_models_are_computed_or_refused_for_a_listed_reason() {
    let mut counts = Vec::new();
    for kind in ["pytorch-converted", "pytorch-operator", "simple"] {
        let computed = computed(kind, |name, what| {
            let is_needed = NEEDED.split_whitespace().any(|op| what.contains(&format!("({op})")));
            assert!(!is_needed, "{kind}/{name}: {what}");
        });
        counts.push(computed.len());
    }
    println!("{counts:?} small models");
    assert!(counts[0] >= 82 && counts[1] >= 35 && counts[2] >= 7, "{counts:?} small models are computed");
}

/// A network with inputs. Height and width are free in some files: they are those of the input that was made.
fn open_network(folder: &Path) -> (Graph, Vec<Value>) {
    let (path, inputs) = (folder.join("model.onnx"), values(folder, "input").expect("tensors"));
    let graph = Graph::open(&path, &[]).or_else(|_| Graph::open(&path, &[("images", inputs[0].shape())])).expect("opened");
    (graph, inputs)
}

#[test]
#[ignore = "needs the networks that `make test-all` writes"]
fn networks_are_computed_as_onnxruntime_does() {
    for (name, folder) in folders("networks") {
        let (mut graph, inputs) = open_network(&folder);
        let begin = std::time::Instant::now();
        let found = graph.run(&named(&graph, inputs.clone())).expect("computed");
        let took = begin.elapsed();
        graph.fuse();
        let fused = graph.run(&named(&graph, inputs.clone())).expect("computed");
        let (expected, plain) = (values(&folder, "output").expect("tensors"), values(&folder, "plain").expect("tensors"));
        assert_eq!(found.len(), expected.len());
        for (number, ((found, expected), plain)) in found.iter().zip(&expected).zip(&plain).enumerate() {
            let ((error, most), (own, _), (change, _)) =
                (largest(found, expected), largest(plain, expected), largest(&fused[number], found));
            assert!(change <= own.max(1e-4 * most), "{name}: output {number} differs by {change} after fusion, where it is up to {most}");
            println!(
                "{name}: output {number}: {:.1e} of {most:.3e} (onnxruntime itself {:.1e}), {} ms",
                error / most,
                own / most,
                took.as_millis()
            );
            // Where onnxruntime without its optimisations is further from itself, so is single precision; the exact result may be on either side.
            assert!(error <= (1.5 * own).max(1e-4 * most), "{name}: output {number} differs by {error} where it is up to {most}");
        }
    }
}

#[test]
#[ignore = "needs the networks that `make test-all` writes"]
fn networks_are_computed_on_the_gpu_as_on_the_host() {
    let device = Device::builder().build().expect("a GPU or a software driver");
    for (name, folder) in folders("networks") {
        let (graph, inputs) = open_network(&folder);
        let inputs: Vec<_> = graph.inputs().iter().map(|port| port.name.clone()).zip(inputs).collect();
        let inputs: Vec<_> = inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let expected = graph.run(&inputs).expect("computed");
        let (errors, on_host) = compare(graph, &inputs, &expected, &device);
        println!("{name}: {errors:?} on the GPU, {on_host} nodes on the host");
        assert!(errors.iter().all(|&error| error <= 1e-3), "{name}: {errors:?}");
    }
}
