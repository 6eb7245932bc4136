//! A video of what a prompt says. `--help` lists the options.

mod cli;

use clap::Parser;

/// A video of what a prompt says.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    video: cli::VideoArguments,
}

fn main() -> std::process::ExitCode {
    let CommandLine { video } = CommandLine::parse();
    cli::report(|| cli::run_video(&video, None, None, 16.0))
}
