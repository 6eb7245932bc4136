//! Runs of the examples that are killed without warning, at any moment, and started again: the file is the same to the byte.

#[path = "../examples/cli/mod.rs"]
mod cli;
mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use common::golden_path;

#[derive(Parser)]
struct Animate {
    #[command(flatten)]
    arguments: cli::Arguments,
}

#[derive(Parser)]
struct TextToVideo {
    #[command(flatten)]
    arguments: cli::VideoArguments,
}

/// The command line of a run in a process of its own, lines in place of spaces.
const LINE: &str = "WAN_ANIMATE_TEST_LINE";

/// Not a test: what the tests start and kill. It does what the examples do.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    let Ok(line) = std::env::var(LINE) else { return };
    let result = match line.starts_with("animate") {
        true => {
            let Animate { arguments } = Animate::parse_from(line.lines());
            cli::run(&arguments, cli::Task::Animate)
        }
        false => cli::run_video(&TextToVideo::parse_from(line.lines()).arguments, None, None, 16.0),
    };
    result.expect("runs");
}

fn start(line: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--ignored", "--exact", "child"]).env(LINE, line);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Runs to the end, without or with a state's file; how long it took.
fn run(line: &str) -> Duration {
    let begun = Instant::now();
    assert!(start(line).wait().expect("runs").success(), "{line}");
    begun.elapsed()
}

fn saved_at(state: &Path) -> Option<SystemTime> {
    state.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// Kills the run again and again, each time after these parts of its time since it saved a state, lets it go on, and compares what it wrote.
fn kill(line: &str, parts: &[f64]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let to = |out: &Path, more: &str| format!("{line}\n--out\n{}{more}", out.display());
    let time = run(&to(&path("whole.mp4"), ""));
    let state = path("state");
    let (out, more) = (path("killed.mp4"), format!("\n--state\n{}", state.display()));
    let mut killed = 0;
    for &part in parts {
        let before = saved_at(&state);
        let mut child = start(&to(&out, &more));
        while saved_at(&state) == before && child.try_wait().expect("runs").is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(time.mul_f64(part));
        killed += usize::from(child.try_wait().expect("runs").is_none());
        // SIGKILL: nothing is tidied up.
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    run(&to(&out, &more));
    assert!(killed > 0, "the run was over before it was killed");
    assert!(fs::read(&out).expect("a video") == fs::read(path("whole.mp4")).expect("a video"), "{line}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("a file").file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy() == "state" || name.to_string_lossy() == "state.frames"),
        "left behind: {left:?}"
    );
}

fn animate() -> String {
    let inputs = golden_path("inputs");
    let (model, reference) = (golden_path("tiny"), inputs.join("reference.png"));
    let line = format!(
        "animate|--model|{}|--reference|{}|--pose|{}|--face|{}|--width|48|--height|32|--segment-frames|5|--steps|6|--scheduler|unipc|--seed|5",
        model.display(),
        reference.display(),
        inputs.join("pose").display(),
        inputs.join("face_16").display(),
    );
    line.replace('|', "\n")
}

fn story(scheduler: &str) -> String {
    let model = golden_path("family/t2v");
    let line =
        format!("t2v|--model|{}|--prompt|a cat|--width|48|--height|32|--num-frames|9|--steps|12|--scheduler|{scheduler}", model.display());
    line.replace('|', "\n")
}

#[test]
fn a_killed_dance_goes_on() {
    kill(&animate(), &[0.0, 0.02, 0.1, 0.003, 0.2]);
}

#[test]
fn a_killed_story_goes_on() {
    kill(&story("dpm++ 3m"), &[0.0, 0.05, 0.1]);
    kill(&story("dpm++ sde"), &[0.0, 0.05, 0.1]);
}

#[test]
fn results_do_not_go_where_inputs_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let pose = folder.path().join("pose");
    fs::create_dir(&pose).expect("a folder");
    for entry in fs::read_dir(golden_path("inputs/pose")).expect("goldens") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), pose.join(entry.file_name())).expect("copied");
    }
    let line = animate().replace(&golden_path("inputs/pose").display().to_string(), &pose.display().to_string());
    let names = || fs::read_dir(&pose).expect("a folder").count();
    let before = names();
    let line = format!("{line}\n--out\n{}", pose.display());
    let Animate { arguments } = Animate::parse_from(line.lines());
    let result = cli::run(&arguments, cli::Task::Animate);
    assert!(matches!(&result, Err(wan_animate::Error::Input(message)) if message.contains("read from")), "{result:?}");
    assert_eq!(names(), before);
}
