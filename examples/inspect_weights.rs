//! Says what a file of weights, or every one in a checkpoint's folder, is: format, layout, model, parameters, encodings, and which tensors its
//! model does not know or lacks. Reads headers alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wan_animate::inspect_weights;

/// Says what a file of weights, or every one in a checkpoint's folder, is.
#[derive(Parser)]
struct CommandLine {
    /// A file, an index of shards, or a checkpoint's folder in any layout.
    path: PathBuf,
}

fn main() -> ExitCode {
    let reports = match inspect_weights(CommandLine::parse().path) {
        Ok(reports) => reports,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    for report in &reports {
        println!("{report}");
    }
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    println!("{} in {} checkpoints", format_args!("{:.3} GB", bytes as f64 / 1e9), reports.len());
    ExitCode::SUCCESS
}
