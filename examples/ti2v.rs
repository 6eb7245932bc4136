//! A video of what a prompt says, which may begin with an image: TI2V. `--help` lists the options.

mod cli;

use std::path::PathBuf;

use clap::Parser;

/// A video of what a prompt says, which may begin with an image: TI2V.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    video: cli::VideoArguments,
    /// What the video begins with; stretched to its size. Without it the video is of the prompt alone.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
}

fn main() -> std::process::ExitCode {
    let CommandLine { video, image } = CommandLine::parse();
    cli::report(|| cli::run_video(&video, image.as_ref(), None, 24.0))
}
