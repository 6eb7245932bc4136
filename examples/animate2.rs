//! The character of an image does what a driving video shows, without poses: Wan-Animate-2. `--help` lists the options.

mod cli;

use clap::Parser;

/// The character of an image does what a driving video shows, without poses: Wan-Animate-2.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: cli::Animate2Arguments,
}

fn main() -> std::process::ExitCode {
    let CommandLine { common } = CommandLine::parse();
    cli::report(|| cli::run_animate2(&common))
}
