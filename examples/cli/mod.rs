//! The command line that the examples share.
#![allow(dead_code, unused_imports, reason = "each example uses its own part")]

mod animate;
mod animate2;
mod cache;
mod checkpoint;
mod contact_sheet;
mod demo;
mod destination;
mod driving;
mod growth;
mod kept;
mod lora;
mod masks;
mod output;
mod safety;
mod settings;
mod sound;
mod video;
mod warnings;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use wan_animate::{Builder, Device, MemoryBudget, Pipeline, Plan, Precision, Result};

pub use animate::{Arguments, Task, run};
pub use animate2::{Animate2Arguments, run_animate2};
pub use checkpoint::Checkpoint;
pub use destination::Destination;
pub use lora::LoraFile;
pub use output::Output;
pub use settings::Settings;
pub use video::{VideoArguments, run_video};

/// What every example is told of the checkpoint and the machine.
#[derive(Args, Debug)]
pub struct Engine {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// f32 agrees with the reference; f16 needs half the memory; int8 multiplies in 8 bits, which is faster where there are no matrix cores.
    #[arg(long, value_name = "f32|f16|int8", default_value = "f16")]
    precision: Precision,
    /// Part of the name of the adapter to use; by default the fastest.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// A LoRA for the transformer, or for both experts; :WEIGHT is from -4 to 4, 1 if left out. May be given several times.
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora: Vec<LoraFile>,
    /// Measures every kernel, which makes all work slower: prints a table by stage, and writes a trace for chrome://tracing or
    /// ui.perfetto.dev.
    #[arg(long, value_name = "JSON")]
    profile: Option<PathBuf>,
    /// GPU memory that may be taken, in GiB, or auto for nine tenths of the adapter's; what does not fit is streamed. By default all weights stay.
    #[arg(long, value_name = "GIB", value_parser = memory_budget)]
    memory_budget: Option<MemoryBudget>,
    /// Says what the request will take, stage by stage, and makes nothing; needs no --out.
    #[arg(long)]
    plan: bool,
}

fn memory_budget(text: &str) -> Result<MemoryBudget, String> {
    match text.parse::<f64>() {
        _ if text == "auto" => Ok(MemoryBudget::auto()),
        Ok(gib) if gib > 0.0 => Ok(MemoryBudget::gib(gib)),
        _ => Err("a number of GiB above 0, or auto".into()),
    }
}

impl Engine {
    /// Gives back the request, unless a plan is all that was asked for: then it is printed.
    fn planned<R>(&self, request: R, plan: impl FnOnce(&R) -> Result<Plan>) -> Result<Option<R>> {
        if self.plan {
            println!("{}", plan(&request)?);
            return Ok(None);
        }
        Ok(Some(request))
    }
}

/// A pipeline that is ready.
struct Loaded<P> {
    pipeline: P,
    device: Device,
    begun: Instant,
    loading: Duration,
    profile: Option<PathBuf>,
}

impl Engine {
    fn load<P: Pipeline>(&self, builder: impl for<'a> Fn(&'a Device) -> Builder<'a, P>) -> Result<Loaded<P>> {
        let begun = Instant::now();
        let loras = self.lora.iter().map(LoraFile::open).collect::<Result<Vec<_>>>()?;
        let mut chosen = Device::builder();
        if let Some(name) = &self.adapter {
            chosen = chosen.adapter_name(name);
        }
        let mut device = chosen.profile(self.profile.is_some()).build()?;
        eprintln!("{}", device.adapter());
        if self.plan {
            // Loads nothing.
            device = device.dry(device.limits().clone());
        }
        let budget = self.memory_budget.unwrap_or_default();
        let builder = self.checkpoint.apply(builder(&device)).precision(self.precision).memory_budget(budget);
        let pipeline = loras.into_iter().fold(builder, Builder::lora).build()?;
        Ok(Loaded { pipeline, device, begun, loading: begun.elapsed(), profile: self.profile.clone() })
    }
}

/// Runs an example, and prints warnings and an error as a person wants to read them.
pub fn report(example: impl FnOnce() -> Result<()>) -> ExitCode {
    warnings::print();
    match example() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
