//! Saves a checkpoint, or a part of one such as a transformer, in the layout of diffusers, whatever layout and format it has. `--help` lists
//! the options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use wan_animate::{Conversion, Result, Storage, WeightsReport};

/// Saves a checkpoint, or a part of one such as a transformer, in the layout of diffusers, whatever layout and format it has.
#[derive(Parser)]
struct CommandLine {
    /// A file of weights, an index of shards, a folder with one of them, or a checkpoint's folder in any layout.
    input: PathBuf,
    /// The folder that is made. Each part has a config.json, and its weights in one file, in shards of 5 GB, or in GGUF for q8_0.
    output: PathBuf,
    /// How numbers are saved: bf16, f16, f32, fp8 (e4m3 with a scale for each matrix) or q8_0.
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Storage,
    /// Replaces the checkpoint that is in OUTPUT, once the new one is whole.
    #[arg(long)]
    force: bool,
}

fn main() -> ExitCode {
    match convert(CommandLine::parse()) {
        Ok(reports) => {
            reports.iter().for_each(|report| println!("{report}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn convert(CommandLine { input, output, dtype, force }: CommandLine) -> Result<Vec<WeightsReport>> {
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left").expect("a valid template");
    let bar = ProgressBar::new(0).with_style(style);
    let conversion = Conversion::new(input).storage(dtype).overwrite(force).on_progress(|written, total| {
        bar.set_length(total);
        bar.set_position(written);
    });
    let reports = conversion.write(output);
    bar.finish_and_clear();
    reports
}
