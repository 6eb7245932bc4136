//! The character of an image performs the motion of a raw video, or of a pose and a face video. `--help` lists the options.

mod cli;

use clap::Parser;
use wan_animate::Result;

/// The character of an image performs the motion of a raw video, or of a pose and a face video.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: cli::Arguments,
}

fn main() -> std::process::ExitCode {
    let CommandLine { common } = CommandLine::parse();
    cli::report(|| animate(&common.or_demo()))
}

fn animate(common: &cli::Arguments) -> Result<()> {
    let motion = match common.conditions(None, None)? {
        Some(conditions) => conditions.motion()?,
        None => common.motion()?,
    };
    cli::run(common, &[], |pipeline, reference, write| write(pipeline.animate(reference, &motion), &motion))
}
