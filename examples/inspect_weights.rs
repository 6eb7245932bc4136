//! Says what a file of weights, or every one in a checkpoint's folder, is: format, layout, model, parameters, encodings, and which tensors its
//! model does not know or lacks. Reads headers alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use wan_animate::{Result, inspect_weights};

/// Says what a file of weights, or every one in a checkpoint's folder, is.
#[derive(Parser)]
struct CommandLine {
    /// A file, an index of shards, or a checkpoint's folder in any layout.
    path: PathBuf,
}

fn main() -> ExitCode {
    match describe(&CommandLine::parse().path) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All that is printed.
pub fn describe(path: &Path) -> Result<String> {
    let reports = inspect_weights(path)?;
    let text: String = reports.iter().map(|report| format!("{report}\n")).collect();
    let gigabytes = reports.iter().map(|report| report.bytes).sum::<u64>() as f64 / 1e9;
    Ok(format!("{text}{gigabytes:.3} GB in {} checkpoints\n", reports.len()))
}
