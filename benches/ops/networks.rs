//! Networks from the ONNX files of a folder, which `WAN_ANIMATE_NETWORKS` names, beside onnxruntime on the processor: from the input on the host to
//! the outputs there.

use std::path::{Path, PathBuf};
use std::process::Command;

use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::onnx::lower::Network;
use wan_animate::unversioned::onnx::{Data, Graph, Value};
use wan_animate::{Cancel, Device, Result};

use crate::Bench;

/// With `--profile`, then where the time goes by kernel; a profiled run is slower.
pub fn networks(bench: &mut Bench) -> Result<()> {
    let Some(folder) = std::env::var_os("WAN_ANIMATE_NETWORKS") else {
        println!("networks: not measured, WAN_ANIMATE_NETWORKS is not set");
        return Ok(());
    };
    for path in files(Path::new(&folder)) {
        network(bench, &path)?;
        if std::env::args().any(|argument| argument == "--profile") {
            profile(&path)?;
        }
        match std::env::var_os("WAN_ANIMATE_PYTHON") {
            Some(python) => {
                let mut command = Command::new(python);
                command.arg("benches/ops/onnx_peer.py").arg(&path);
                bench.peer("onnxruntime", command);
            }
            None => println!("onnxruntime: not measured, WAN_ANIMATE_PYTHON is not set"),
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of networks").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")).collect();
    files.sort();
    files
}

fn open(path: &Path) -> Result<(Graph, Vec<(String, Value)>)> {
    let mut graph = Graph::open(path, &[])?;
    graph.fuse();
    let value = |shape: &[usize]| Value::new(shape, Data::F32(crate::values(shape.iter().product()).collect()));
    let inputs = graph.inputs().iter().map(|port| (port.name.clone(), value(port.shape.as_deref().unwrap_or_default()))).collect();
    Ok((graph, inputs))
}

fn run(network: &Network, rec: &mut Recorder, inputs: &[(String, Value)]) -> Result<()> {
    let inputs: Vec<_> = inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    network.run(rec, &inputs).map(drop)
}

fn network(bench: &mut Bench, path: &Path) -> Result<()> {
    let (graph, inputs) = open(path)?;
    let device = bench.rec.device().clone();
    let dry = device.dry(device.limits().clone());
    run(&Network::load(graph.clone(), &dry)?, &mut Recorder::new(&dry, Cancel::new()), &inputs)?;
    let (work, dispatches) = dry.rehearsal().map_or((0.0, 0), |rehearsal| (rehearsal.cost().flops, rehearsal.dispatches()));

    let network = Network::load(graph, &device)?;
    let name = format!("{}, {dispatches} dispatches", path.file_stem().unwrap_or_default().to_string_lossy());
    bench.time(&name, work as usize, 0, |rec| run(&network, rec, &inputs))
}

fn profile(path: &Path) -> Result<()> {
    let (graph, inputs) = open(path)?;
    let device = Device::builder().shader_checks(false).profile(true).build()?;
    let network = Network::load(graph, &device)?;
    run(&network, &mut Recorder::new(&device, Cancel::new()), &inputs)?;
    println!("{}", device.profile().map(|profile| profile.table()).unwrap_or_default());
    Ok(())
}
