//! The ops that nearly all time goes to, a transformer's step and the video autoencoder, by criterion: `-- FILTER`, `-- --save-baseline NAME` and
//! `-- --baseline NAME` are its own. Ops are those of the tests' table, in the sizes that it has for this.
//!
//! At the end one table: operations and bytes a second, and the fraction of the adapter's own peak of fused multiply-adds, measured in the same
//! run; then the peers that are there, on the same machine in the same run: PyTorch through the Python that `WAN_ANIMATE_PYTHON` names, and burn
//! through the program that `WAN_ANIMATE_BURN` names (`make bench-peer` builds it). Its times are the best of all samples.
//!
//! `WAN_ANIMATE_BENCH=wan` takes what Wan's 14B transformer and its autoencoder take at 480p and 720p, for a GPU; `WAN_ANIMATE_NETWORKS` names a
//! folder whose ONNX files are timed instead. `WGPU_ADAPTER_NAME` chooses the adapter, `WAN_ANIMATE_FAMILY` the kernels.

mod clock;
mod models;
mod networks;
mod peaks;
mod peers;
#[path = "../../tests/common/published.rs"]
mod published;
mod table;

/// The tests' table of ops. Its oracles are not asked here.
#[allow(dead_code, unreachable_pub, reason = "the bench takes what is timed")]
#[path = "../../tests/ops"]
mod tested {
    pub mod approx;
    pub mod case;
    pub mod cases;
    pub mod host;
    pub mod quantized;
}

use std::time::Duration;

use criterion::{Criterion, Throughput};
use tested::{approx, case, cases, host, quantized};
use wan_animate::unversioned::gpu::{Cost, Recorder};
use wan_animate::{Cancel, Device, Result};

use case::Sizes;
use clock::Clock;
use table::{Row, Table};

/// What is timed, with all that it needs on the device.
type Run = Box<dyn FnMut(&mut Recorder) -> Result<()>>;

struct Bench {
    criterion: Criterion<Clock>,
    clock: Clock,
    rec: Recorder,
    table: Table,
}

impl Bench {
    fn new() -> Result<Self> {
        let device = Device::builder().shader_checks(false).build()?;
        let (clock, mut rec) = (Clock::new(&device), Recorder::new(&device, Cancel::new()));
        println!("{}\nfamilies {:?}, {clock}", device.adapter(), device.families());
        let table = Table::new(peaks::operations(&mut rec, &clock)?);
        println!(
            "peaks: {:.1} GFLOP/s, {:.1} GB/s read and written by copies",
            table.peak / 1e9,
            peaks::copied_bytes(&mut rec, &clock)? / 1e9
        );
        let criterion = Criterion::default()
            .with_measurement(clock.clone())
            // Of steady work in large pieces.
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(2))
            .configure_from_args();
        Ok(Self { criterion, clock, rec, table })
    }

    /// Times what `prepare` gives, from recording to the end on the GPU. A dry run of the same says what it costs.
    fn time(&mut self, group: &str, name: &str, prepare: &dyn Fn(&mut Recorder) -> Result<Run>) -> Result<()> {
        let Self { criterion, clock, rec, table } = self;
        let cost = dry_cost(rec.device(), prepare)?;
        let (mut prepared, mut best) = (None, f64::INFINITY);
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(cost.flops as u64)).sampling_mode(criterion::SamplingMode::Flat);
        group.bench_function(name, |bencher| {
            let run = prepared.get_or_insert_with(|| prepare(rec).expect("a GPU that has room for it"));
            bencher.iter_custom(|repeats| {
                let seconds = clock.seconds(|| {
                    (0..repeats).try_for_each(|_| run(rec)).expect("a GPU that runs the ops");
                    rec.finish().expect("a GPU that runs the ops");
                });
                best = best.min(seconds / repeats as f64);
                seconds
            });
        });
        group.finish();
        // What the filter leaves out has no time.
        if best.is_finite() {
            table.rows.push(Row { name: name.into(), flops: cost.flops, bytes: cost.bytes, seconds: best });
        }
        Ok(())
    }
}

/// What is computed once is no part of it.
fn dry_cost(device: &Device, prepare: &dyn Fn(&mut Recorder) -> Result<Run>) -> Result<Cost> {
    let dry = device.dry(device.limits().clone());
    let mut rec = Recorder::new(&dry, Cancel::new());
    let mut run = prepare(&mut rec)?;
    run(&mut rec)?;
    let cost = || dry.rehearsal().map(|rehearsal| rehearsal.cost()).unwrap_or_default();
    let before = cost();
    run(&mut rec)?;
    Ok(Cost { flops: cost().flops - before.flops, bytes: cost().bytes - before.bytes })
}

fn run(bench: &mut Bench) -> Result<()> {
    if let Some(folder) = std::env::var_os("WAN_ANIMATE_NETWORKS") {
        return networks::all(bench, folder.as_ref());
    }
    let sizes = if std::env::var("WAN_ANIMATE_BENCH").is_ok_and(|sizes| sizes == "wan") { Sizes::Wan } else { Sizes::Small };
    for case in cases::timed(sizes) {
        let name = case.name.clone();
        bench.time("op", &name, &|rec| {
            let op = (case.prepare)(rec)?;
            Ok(Box::new(move |rec| op(rec).map(drop)))
        })?;
    }
    match sizes {
        Sizes::Small => models::small(bench)?,
        Sizes::Wan => models::wan(bench)?,
    }
    peers::burn_and_torch(bench, sizes);
    Ok(())
}

fn main() {
    let mut bench = Bench::new().expect("a GPU");
    run(&mut bench).expect("a GPU that runs the ops");
    bench.criterion.final_summary();
    print!("\n{}", bench.table);
}
