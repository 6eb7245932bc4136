//! The character of an image takes the place of the person in a video. `--help` lists the options.

mod cli;

use std::path::PathBuf;

use clap::Parser;

/// The character of an image takes the place of the person in a video.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: cli::Arguments,
    /// The video whose person is replaced, without what is made: a directory of images or a video file.
    #[arg(long, value_name = "PATH")]
    background: Option<PathBuf>,
    /// Where the person is: white is generated, black is kept. One image may stand for all frames. With --video it is the person's own mask, which
    /// then grows.
    #[arg(long, value_name = "PATH")]
    mask: Option<PathBuf>,
}

fn main() -> std::process::ExitCode {
    let CommandLine { common, background, mask } = CommandLine::parse();
    let task = cli::Task::Replace { background: background.as_ref(), mask: mask.as_ref() };
    cli::report(|| cli::run(&common.or_demo(), task))
}
