//! One table of the ops that nearly all time goes to, of a transformer's step and of the video autoencoder: operations and bytes a second, and
//! the fraction of the adapter's own peak of fused multiply-adds, measured in the same run; then the peers that are there, on the same
//! machine in the same run: PyTorch through the Python that `WAN_ANIMATE_PYTHON` names, and burn through the program that `WAN_ANIMATE_BURN`
//! names (`make bench-peer` builds it).
//!
//! Times are the best of several runs: on a GPU by the clock, on a software driver of the process's processor time shared among all
//! processors, which other programs disturb less (criterion knows the clock alone, and no table of rates). `WGPU_ADAPTER_NAME` chooses the
//! adapter, `WAN_ANIMATE_FAMILY` the kernels.

mod clock;
mod models;
mod networks;
mod peaks;
#[path = "../../tests/common/published.rs"]
mod published;

use std::process::Command;

use clock::Clock;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::{Recorder, Sink};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::attention::{Heads, attention};
use wan_animate::unversioned::ops::conv::{ConvOptions, ConvWeight, conv};
use wan_animate::unversioned::ops::dequantize::{Scales, dequantize};
use wan_animate::unversioned::ops::layer_norm::{Affine, layer_norm};
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::unversioned::ops::rms_norm::rms_norm;
use wan_animate::unversioned::ops::{epilogue::Epilogue, matmul::matmul};
use wan_animate::unversioned::weights::{BlockFormat, Encoding};
use wan_animate::{Cancel, Device, Result};

struct Bench {
    rec: Recorder,
    clock: Clock,
    /// Operations a second of nothing but fused multiply-adds.
    peak: f64,
}

impl Bench {
    fn new() -> Result<Self> {
        let device = Device::builder().shader_checks(false).build()?;
        let clock = Clock::new(device.adapter().kind == "Cpu");
        println!("{}\nfamilies {:?}, {clock}", device.adapter(), device.families());
        let mut rec = Recorder::new(&device, Cancel::new());
        let (peak, copied) = (peaks::operations(&mut rec, clock)?, peaks::copied_bytes(&mut rec, clock)?);
        println!("peaks: {:.1} GFLOP/s of fused multiply-adds, {:.1} GB/s read and written by copies\n", peak / 1e9, copied / 1e9);
        println!("{:<52} {:>10} {:>9} {:>8} {:>8}", "", "seconds", "GFLOP/s", "of peak", "GB/s");
        Ok(Self { rec, clock, peak })
    }

    /// Times `op`, which takes `work` operations and touches `bytes`, from recording to the end on the GPU.
    fn time<T>(&mut self, name: &str, work: usize, bytes: usize, mut op: impl FnMut(&mut Recorder) -> Result<T>) -> Result<()> {
        let rec = &mut self.rec;
        let seconds = self.clock.best(|repeats| {
            for _ in 0..repeats {
                op(rec)?;
            }
            rec.finish()
        })?;
        self.line(name, work, bytes, seconds);
        Ok(())
    }

    fn line(&self, name: &str, work: usize, bytes: usize, seconds: f64) {
        let rate = work as f64 / seconds;
        let bandwidth = if bytes == 0 { String::new() } else { format!("{:.2}", bytes as f64 / seconds / 1e9) };
        println!("{name:<52} {seconds:>10.5} {:>9.2} {:>8.3} {bandwidth:>8}", rate / 1e9, rate / self.peak);
    }

    fn tensor(&mut self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        self.rec.device().upload("bench", shape, dtype, &bytes(shape.iter().product(), dtype))
    }

    fn matmul(&mut self, [rows, cols, inner]: [usize; 3], dtype: DType) -> Result<()> {
        let x = self.tensor(&[rows, inner], if dtype == DType::F32 { DType::F32 } else { DType::F16 })?;
        let w = Matrix::upload(self.rec.device(), "w", [cols, inner], dtype, &|| Ok(bytes(cols * inner, dtype).into()))?;
        let touched = 4 * rows * cols + x.len() * x.dtype().bytes() as usize + cols * inner * dtype.bytes() as usize;
        let name = format!("matmul {rows}x{cols}x{inner} {dtype}");
        self.time(&name, 2 * rows * cols * inner, touched, |rec| matmul(rec, &x, &w, Epilogue::default(), DType::F32))
    }

    fn attention(&mut self, tokens: usize, heads: usize, dim: usize) -> Result<()> {
        let x = self.tensor(&[tokens, heads * dim], DType::F16)?;
        let name = format!("attention {tokens} tokens, {heads} heads of {dim}");
        let how = Heads::scaled(heads, heads * dim);
        self.time(&name, 4 * tokens * tokens * heads * dim, 0, |rec| attention(rec, &x, &x, &x, how, DType::F16))
    }

    /// A causal convolution of 3x3x3.
    fn conv(&mut self, x: [usize; 4], outs: usize, dtype: DType) -> Result<()> {
        let input = self.tensor(&x, DType::F32)?;
        let values: Vec<f32> = values(outs * x[3] * 27).collect();
        let weight = ConvWeight::upload(self.rec.device(), "w", [outs, x[3], 3, 3, 3], dtype, &|| Ok(values.clone()))?;
        let options = ConvOptions { pad: [(2, 0), (1, 1), (1, 1)], ..Default::default() };
        let work = 2 * x.iter().product::<usize>() * outs * 27;
        self.time(&format!("conv {x:?} to {outs} {dtype}"), work, 0, |rec| conv(rec, &input, &weight, options, DType::F32))
    }

    /// What it costs to dequantize a matrix before a product.
    fn dequantize(&mut self, encoding: Encoding, rows: usize, cols: usize) -> Result<()> {
        let size = encoding.bytes((rows * cols) as u64).unwrap_or_default() as usize;
        // Small codes, and small scales in blocks.
        let bytes: Vec<u8> = (0..size).map(|i| (i % 11) as u8).collect();
        let stored = self.rec.device().take("w", &[size.div_ceil(4)], DType::F32, size as u64, &|| Ok((&bytes[..]).into()))?;
        let name = format!("dequantize {encoding} {rows}x{cols} to f16");
        self.time(&name, rows * cols, size + 2 * rows * cols, |rec| {
            dequantize(rec, &stored, encoding, [rows, cols], &Scales::One(0.5), DType::F16)
        })
    }

    fn norms(&mut self, rows: usize, cols: usize) -> Result<()> {
        let (x, weight) = (self.tensor(&[rows, cols], DType::F32)?, self.tensor(&[cols], DType::F32)?);
        let bytes = rows * cols * 6;
        self.time(&format!("rms_norm {rows}x{cols} to f16"), 4 * x.len(), bytes, |rec| {
            rms_norm(rec, &x, &weight, 1e-6, Activation::None, DType::F16)
        })?;
        let affine = Affine::Modulation(&weight, &weight);
        self.time(&format!("layer_norm, modulated {rows}x{cols} to f16"), 8 * x.len(), bytes, |rec| {
            layer_norm(rec, &x, affine, 1e-6, DType::F16)
        })
    }

    /// Lines of `{"name", "operations", "seconds"}` that a peer prints.
    fn peer(&self, name: &str, mut command: Command) {
        if self.clock.is_processor() {
            command.env("BENCH_PROCESSOR_TIME", "1");
        }
        match command.output() {
            Ok(output) if output.status.success() => {
                for line in String::from_utf8_lossy(&output.stdout).lines() {
                    let Ok(row) = serde_json::from_str::<serde_json::Value>(line) else { continue };
                    let (work, seconds) = (row["operations"].as_u64().unwrap_or(0), row["seconds"].as_f64().unwrap_or(f64::NAN));
                    self.line(&format!("{name}: {}", row["name"].as_str().unwrap_or("?")), work as usize, 0, seconds);
                }
            }
            Ok(output) => println!("{name}: failed, {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default()),
            Err(error) => println!("{name}: cannot be run: {error}"),
        }
    }

    fn peers(&self) {
        match std::env::var_os("WAN_ANIMATE_BURN") {
            Some(program) => self.peer("burn", Command::new(program)),
            None => println!("burn: not measured, WAN_ANIMATE_BURN is not set"),
        }
        match std::env::var_os("WAN_ANIMATE_PYTHON") {
            Some(python) if !python.is_empty() => {
                let mut command = Command::new(python);
                command.arg("benches/ops/torch_peer.py").args(std::env::args().filter(|argument| argument == "--wan"));
                self.peer("torch", command);
            }
            _ => println!("torch: not measured, WAN_ANIMATE_PYTHON is not set"),
        }
    }
}

fn values(count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 * 0.002 - 1.0)
}

fn bytes(count: usize, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => values(count).flat_map(f32::to_le_bytes).collect(),
        DType::F16 => values(count).flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
        DType::Bf16 => values(count).flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect(),
    }
}

/// `--networks`: ONNX files alone. `--small`: in seconds on a software driver. `--wan`: what Wan's 14B
/// transformer and its autoencoder take at 480p and 720p, for a GPU; with `--ops` no models.
fn run(bench: &mut Bench) -> Result<()> {
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    if asked("--networks") {
        return networks::networks(bench);
    }
    if asked("--wan") {
        let small = asked("--small");
        let (rows, tokens) = if small { (128, vec![256]) } else { (32_768, vec![32_760, 75_600]) };
        for dtype in [DType::F16, DType::Bf16] {
            bench.matmul([rows, 5120, 5120], dtype)?;
            bench.matmul([rows, 13_824, 5120], dtype)?;
            bench.matmul([rows, 5120, 13_824], dtype)?;
        }
        tokens.into_iter().try_for_each(|tokens| bench.attention(tokens, 40, 128))?;
        // As many numbers as in SAM 2's memory attention.
        bench.attention(if small { 256 } else { 16_384 }, 1, 256)?;
        // The decoder's widest levels at 480p, one latent frame at a time.
        let [height, width] = if small { [8, 8] } else { [480, 832] };
        bench.conv([4, height / 4, width / 4, 384], 384, DType::F16)?;
        bench.conv([4, height, width, 96], 96, DType::F16)?;
        return if small || asked("--ops") { Ok(()) } else { models::wan(bench) };
    }
    bench.matmul([512; 3], DType::F32)?;
    for dtype in [DType::F32, DType::F16, DType::Bf16] {
        bench.matmul([1024; 3], dtype)?;
    }
    bench.matmul([1, 1024, 1024], DType::F16)?;
    bench.attention(1024, 4, 128)?;
    bench.attention(1024, 2, 256)?;
    bench.conv([3, 32, 32, 128], 128, DType::F16)?;
    for encoding in [
        Encoding::F8E4M3,
        Encoding::I8,
        Encoding::Block(BlockFormat::Q8_0),
        Encoding::Block(BlockFormat::Q4K),
        Encoding::Block(BlockFormat::Q6K),
    ] {
        bench.dequantize(encoding, 1024, 1024)?;
    }
    bench.norms(1024, 1536)?;
    models::all(bench)
}

fn main() {
    let mut bench = Bench::new().expect("a GPU");
    run(&mut bench).expect("a GPU that runs the ops");
    if !std::env::args().any(|argument| argument == "--networks") {
        bench.peers();
    }
}
