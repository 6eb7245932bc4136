//! The character of an image takes the place of the person in a video. `--help` lists the options.

mod cli;

use std::path::PathBuf;

use clap::Parser;
use wan_animate::Result;
use wan_animate::video::Scene;

/// The character of an image takes the place of the person in a video.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: cli::Arguments,
    /// The video whose person is replaced: a directory of images or a video file.
    #[arg(long, value_name = "PATH")]
    background: Option<PathBuf>,
    /// Where the person is: white is generated, black is kept. One image may stand for all frames.
    #[arg(long, value_name = "PATH")]
    mask: Option<PathBuf>,
    #[command(flatten)]
    growth: cli::MaskGrowth,
}

fn main() -> std::process::ExitCode {
    let arguments = CommandLine::parse();
    cli::report(|| replace(arguments))
}

fn replace(CommandLine { common, background, mask, growth }: CommandLine) -> Result<()> {
    let common = common.or_demo();
    if let Some(conditions) = common.conditions(Some(growth), mask.as_deref())? {
        let (scene, inputs) = (conditions.scene()?, mask.iter().collect::<Vec<_>>());
        return cli::run(&common, &inputs, |pipeline, reference, write| write(pipeline.replace(reference, &scene), scene.motion()));
    }
    let (background, mask) = (common.input(background, "background")?, common.input(mask, "mask")?);
    let scene = Scene::new(common.motion()?, common.frames(&background)?, common.frames(&mask)?)?;
    cli::run(&common, &[&background, &mask], |pipeline, reference, write| write(pipeline.replace(reference, &scene), scene.motion()))
}
