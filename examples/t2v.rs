//! A video of what a prompt says. `--help` lists the options.

mod cli;

use clap::Parser;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(flatten)]
    video: cli::VideoArguments,
}

fn main() -> std::process::ExitCode {
    let Arguments { video } = Arguments::parse();
    cli::report(cli::run_video(&video, None, None, 16.0))
}
