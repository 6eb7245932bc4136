//! The character of an image performs the motion of a raw video, or of a pose and a face video. `--help` lists the options.

mod cli;

use clap::Parser;

/// The character of an image performs the motion of a raw video, or of a pose and a face video.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: cli::Arguments,
}

fn main() -> std::process::ExitCode {
    let CommandLine { common } = CommandLine::parse();
    cli::report(|| cli::run(&common.or_demo(), cli::Task::Animate))
}
