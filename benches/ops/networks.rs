//! Networks from the ONNX files of a folder, beside onnxruntime on the processor: from the input on the host to the outputs there.

use std::path::{Path, PathBuf};

use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::onnx::lower::Network;
use wan_animate::unversioned::onnx::{Data, Graph, Value};
use wan_animate::{Cancel, Device, Result};

use crate::{Bench, models, peers};

/// With `WAN_ANIMATE_PROFILE`, then where the time goes by kernel; a profiled run is slower.
pub fn all(bench: &mut Bench, folder: &Path) -> Result<()> {
    for path in files(folder) {
        network(bench, &path)?;
        if std::env::var_os("WAN_ANIMATE_PROFILE").is_some() {
            profile(&path)?;
        }
        peers::python(bench, "onnxruntime", &["benches/ops/onnx_peer.py".into(), path.into()]);
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
    let value = |shape: &[usize]| Value::new(shape, Data::F32(models::values(shape.iter().product()).collect()));
    let inputs = graph.inputs().iter().map(|port| (port.name.clone(), value(port.shape.as_deref().unwrap_or_default()))).collect();
    Ok((graph, inputs))
}

fn named(inputs: &[(String, Value)]) -> Vec<(&str, Value)> {
    inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

fn network(bench: &mut Bench, path: &Path) -> Result<()> {
    let (graph, inputs) = open(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    bench.time("network", &name, &|rec| {
        let (network, inputs) = (Network::load(graph.clone(), rec.device())?, inputs.clone());
        Ok(Box::new(move |rec| network.run(rec, &named(&inputs)).map(drop)))
    })?;
    if bench.rec.device().adapter().kind != "Cpu" {
        return Ok(());
    }
    // As the library computes it where the adapter is the processor anyway.
    bench.time("network", &format!("{name} on the host"), &|_| {
        let (mut graph, inputs) = (graph.clone(), inputs.clone());
        graph.keep_constants();
        Ok(Box::new(move |_| graph.run(&named(&inputs)).map(drop)))
    })
}

fn profile(path: &Path) -> Result<()> {
    let (graph, inputs) = open(path)?;
    let device = Device::builder().shader_checks(false).profile(true).build()?;
    let network = Network::load(graph, &device)?;
    network.run(&mut Recorder::new(&device, Cancel::new()), &named(&inputs))?;
    println!("{}", device.profile().map(|profile| profile.table()).unwrap_or_default());
    Ok(())
}
