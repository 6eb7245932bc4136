//! A video that begins with an image, and may end with another. `--help` lists the options.

mod cli;

use std::path::PathBuf;

use clap::Parser;

/// A video that begins with an image, and may end with another.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    video: cli::VideoArguments,
    /// What the video begins with; stretched to its size.
    #[arg(long, value_name = "IMAGE")]
    image: PathBuf,
    /// What the video ends with.
    #[arg(long, value_name = "IMAGE")]
    last_image: Option<PathBuf>,
}

fn main() -> std::process::ExitCode {
    let CommandLine { video, image, last_image } = CommandLine::parse();
    cli::report(|| cli::run_video(&video, Some(&image), last_image.as_ref(), 16.0))
}
