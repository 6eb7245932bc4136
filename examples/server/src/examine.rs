//! A look at the files that strangers brought, in a process of its own with little memory and little time: each is decoded there from its beginning to
//! its end before the worker decodes it. One that kills a decoder, fills the memory or never ends costs its own job and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};
use wan_animate::video::{Frames, open_image};

use crate::config::Config;
use crate::error::{Failure, Result};
use crate::generate::Files;

/// What the process ends with where the file is at fault, and says why.
const AT_FAULT: u8 = 3;
/// What it says of it at most, in bytes.
const WORDS: usize = 2000;

/// The command of the process.
#[derive(Args, Clone, Debug)]
pub struct Examination {
    /// Bytes of address space.
    #[arg(long)]
    memory: u64,
    /// Seconds of the processor.
    #[arg(long)]
    seconds: u64,
    /// Frames to decode at most.
    #[arg(long)]
    frames: usize,
    /// One picture, of a character.
    #[arg(long)]
    picture: bool,
    file: PathBuf,
}

impl Examination {
    /// In the process: limits first. Nothing is told of what is in order.
    pub fn run(&self) -> u8 {
        let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
        let limits = [(Resource::As, self.memory), (Resource::Cpu, self.seconds), (Resource::Core, 0)];
        if let Some(error) = limits.into_iter().find_map(|(resource, value)| limit(resource, value).err()) {
            println!("no limits can be set: {error}");
            return 1;
        }
        accidents(&self.file);
        match self.decode() {
            Ok(()) => 0,
            Err(error) => {
                println!("{error}");
                AT_FAULT
            }
        }
    }

    fn decode(&self) -> wan_animate::Result<()> {
        if self.picture {
            return open_image(self.file.as_path()).map(drop);
        }
        let frames = Frames::open(self.file.as_path())?;
        (0..frames.num_frames().min(self.frames)).try_for_each(|frame| frames.read(frame).map(drop))
    }
}

/// Looks at all files of a job.
pub async fn examine(config: &Config, files: &Files) -> Result<()> {
    for (field, path) in files {
        look(config, field, path).await?;
    }
    Ok(())
}

async fn look(config: &Config, field: &str, path: &Path) -> Result<()> {
    let mut command = tokio::process::Command::new(program().map_err(Failure::internal)?);
    command.arg("examine").args(["--memory", &config.decode_memory.to_string(), "--seconds", &config.decode_seconds.to_string()]);
    command.args(["--frames", &config.max_frames.to_string()]).args((field == "image").then_some("--picture")).arg(path);
    // Nothing of what the server knows: no credentials of its database or its store.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    // Where it sleeps, its time does not pass.
    let time = Duration::from_secs(config.decode_seconds.saturating_mul(2));
    let Ok(done) = tokio::time::timeout(time, command.output()).await else {
        return Err(at_fault(field, &format!("it is not decoded within {} s", time.as_secs())));
    };
    let done = done.map_err(Failure::internal)?;
    let words: String = String::from_utf8_lossy(&done.stdout).trim().chars().take(WORDS).collect();
    match done.status.code() {
        Some(0) => Ok(()),
        Some(code) if code == i32::from(AT_FAULT) => Err(at_fault(field, &words)),
        Some(1) => Err(Failure::internal(words)),
        _ => Err(at_fault(
            field,
            &format!("its decoder died ({}) with {} bytes and {} s", ended(done.status), config.decode_memory, config.decode_seconds),
        )),
    }
}

/// The one that runs, even where another release was put in its place meanwhile.
fn program() -> io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.into()) } else { std::env::current_exe() }
}

fn at_fault(field: &str, why: &str) -> Failure {
    Failure { code: "unsupported_media", ..Failure::field(field, format!("`{field}`: {why}")) }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"))
}

/// What tests ask for by the end of a file, in builds that are made for them.
#[cfg(feature = "accidents")]
fn accidents(file: &Path) {
    let bytes = std::fs::read(file).unwrap_or_default();
    let ends = |words: &str| bytes.ends_with(words.as_bytes());
    if ends("abort the decoder") {
        std::process::abort();
    }
    let mut held = Vec::new();
    while ends("fill the memory") {
        held.push(vec![1_u8; 1 << 24]);
    }
    while ends("never end") {
        std::hint::spin_loop();
    }
}

#[cfg(not(feature = "accidents"))]
fn accidents(_: &Path) {}
