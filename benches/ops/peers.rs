//! Other programs that compute the same, on the same machine in the same run: each prints lines of `{"name", "operations", "seconds"}`.

use std::process::Command;

use crate::case::Sizes;
use crate::table::Row;
use crate::{Bench, Clock};

pub fn burn_and_torch(bench: &mut Bench, sizes: Sizes) {
    match std::env::var_os("WAN_ANIMATE_BURN") {
        Some(program) => peer(bench, "burn", Command::new(program)),
        None => bench.table.missing.push("burn: not measured, WAN_ANIMATE_BURN is not set".into()),
    }
    let arguments = ["benches/ops/torch_peer.py"].into_iter().chain((sizes == Sizes::Wan).then_some("--wan"));
    python(bench, "torch", &arguments.map(Into::into).collect::<Vec<_>>());
}

/// Through the Python that `WAN_ANIMATE_PYTHON` names.
pub fn python(bench: &mut Bench, name: &str, arguments: &[std::ffi::OsString]) {
    match std::env::var_os("WAN_ANIMATE_PYTHON").filter(|python| !python.is_empty()) {
        Some(python) => {
            let mut command = Command::new(python);
            command.args(arguments);
            peer(bench, name, command);
        }
        None => bench.table.missing.push(format!("{name}: not measured, WAN_ANIMATE_PYTHON is not set")),
    }
}

fn peer(bench: &mut Bench, name: &str, mut command: Command) {
    if matches!(bench.clock, Clock::Processor) {
        command.env("BENCH_PROCESSOR_TIME", "1");
    }
    match command.output() {
        Ok(output) if output.status.success() => {
            let lines = String::from_utf8_lossy(&output.stdout);
            let rows = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            bench.table.rows.extend(rows.map(|row| Row {
                name: format!("{name}: {}", row["name"].as_str().unwrap_or("?")),
                flops: row["operations"].as_f64().unwrap_or(0.0),
                bytes: 0.0,
                seconds: row["seconds"].as_f64().unwrap_or(f64::NAN),
            }));
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_string();
            bench.table.missing.push(format!("{name}: failed, {why}"));
        }
        Err(error) => bench.table.missing.push(format!("{name}: cannot be run: {error}")),
    }
}
