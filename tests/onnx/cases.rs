//! The cases of the onnx wheel, which `tests/reference/onnx_cases.py` writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wan_animate::unversioned::onnx::{Graph, Value, read_tensor};

use crate::close::difference;

/// What becomes of a case.
enum Outcome {
    Computed,
    Wrong(String),
    Refused(String),
}

fn outcome(folder: &Path) -> Outcome {
    let graph = match Graph::open(folder.join("model.onnx"), &[]) {
        Ok(graph) => graph,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let Some(values) = values(folder, "input") else { return Outcome::Refused("an input of another type".into()) };
    let Some(expected) = values_of(folder, "output") else { return Outcome::Refused("an output of another type".into()) };
    let inputs: Vec<_> = graph.inputs().iter().map(|port| port.name.clone()).collect();
    let inputs: Vec<_> = inputs.iter().map(String::as_str).zip(values).collect();
    let found = match graph.run(&inputs) {
        Ok(found) => found,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    if found.len() != expected.len() {
        return Outcome::Wrong(format!("{} outputs, not {}", found.len(), expected.len()));
    }
    let difference = found.iter().zip(&expected).find_map(|(found, expected)| difference(found, expected, 1e-3, 1e-5));
    difference.map_or(Outcome::Computed, Outcome::Wrong)
}

fn values(folder: &Path, name: &str) -> Option<Vec<Value>> {
    values_of(folder, name)
}

fn values_of(folder: &Path, name: &str) -> Option<Vec<Value>> {
    let path = |number: usize| folder.join(format!("test_data_set_0/{name}_{number}.pb"));
    (0..).map(path).take_while(|path| path.exists()).map(|path| read_tensor(&fs::read(path).expect("readable")).ok()).collect()
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let root = std::env::var("WAN_ANIMATE_ONNX_CASES").expect("the folder that tests/reference/onnx_cases.py wrote");
    let mut folders: Vec<_> = fs::read_dir(Path::new(&root).join(kind)).expect("a folder").map(|entry| entry.expect("readable").path()).collect();
    folders.sort();
    folders
}

#[test]
#[ignore = "needs the cases that `make test-all` writes"]
fn explore() {
    for kind in ["node", "pytorch-converted", "pytorch-operator", "simple"] {
        let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let (mut computed, mut single, mut wrong) = (0, 0, 0);
        for folder in folders(kind) {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            match outcome(&folder) {
                Outcome::Computed => { computed += 1; single += usize::from(!name.contains("_expanded")); }
                Outcome::Wrong(what) => { wrong += 1; println!("WRONG {kind}/{name}: {what}"); }
                Outcome::Refused(what) => {
                    let what = what.split("model.onnx: ").last().unwrap_or_default().to_string();
                    let what = what.split("; ").next().unwrap_or_default().to_string();
                    refused.entry(what).or_default().push(name);
                }
            }
        }
        println!("{kind}: {computed} computed, {single} of one node, {wrong} wrong");
        for (what, names) in refused { println!("  {} {what}: {:?}", names.len(), &names[..names.len().min(3)]); }
    }
}
