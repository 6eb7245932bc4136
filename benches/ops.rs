//! The ops that nearly all time goes to. Throughput is in operations: "Gelem/s" reads as GFLOP/s.
//! `WGPU_ADAPTER_NAME` chooses the adapter.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wan_animate::unversioned::gpu::{Recorder, Sink};
use wan_animate::unversioned::ops::attention::{Heads, attention};
use wan_animate::unversioned::ops::conv::{ConvOptions, ConvWeight, conv};
use wan_animate::unversioned::ops::expand::{Scales, expand};
use wan_animate::unversioned::ops::matmul::{Epilogue, matmul};
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::unversioned::tensor::Tensor;
use wan_animate::unversioned::weights::{Block, Encoding};
use wan_animate::{Cancel, DType, Device, Result};

struct Bench<'a> {
    criterion: &'a mut Criterion,
    rec: Recorder,
}

impl<'a> Bench<'a> {
    fn new(criterion: &'a mut Criterion) -> Result<Self> {
        let device = Device::builder().build()?;
        println!("{}, shader checks {}", device.adapter(), device.shader_checks());
        Ok(Self { criterion, rec: Recorder::new(&device, Cancel::new()) })
    }

    /// Times `op`, which takes `work` operations, from recording to the end on the GPU.
    fn time(&mut self, name: &str, work: usize, op: impl Fn(&mut Recorder) -> Result<Tensor>) -> Result<()> {
        op(&mut self.rec)?;
        self.rec.finish()?;
        let rec = &mut self.rec;
        self.criterion.benchmark_group("ops").throughput(Throughput::Elements(work as u64)).bench_function(name, |bencher| {
            bencher.iter(|| {
                let done = op(rec).and_then(|tensor| rec.finish().map(|()| tensor));
                black_box(done.expect("the first run succeeded"))
            });
        });
        Ok(())
    }

    fn tensor(&mut self, shape: &[usize]) -> Result<Tensor> {
        self.rec.upload(shape, &values(shape.iter().product()))
    }

    fn matmul(&mut self, [rows, cols, inner]: [usize; 3], dtype: DType) -> Result<()> {
        let x = self.tensor(&[rows, inner])?;
        let values = values(cols * inner);
        let halves: Vec<_> = values.iter().map(|&value| half::f16::from_f32(value)).collect();
        let bytes = if dtype == DType::F32 { bytemuck::cast_slice(&values) } else { bytemuck::cast_slice(&halves) };
        let w = Matrix::upload(self.rec.device(), "w", [cols, inner], dtype, bytes)?;
        let name = format!("matmul {rows}x{cols}x{inner}, {dtype} weights");
        self.time(&name, 2 * rows * cols * inner, |rec| matmul(rec, &x, &w, Epilogue::default(), DType::F32))
    }

    /// What it costs to expand a matrix for a product of `rows` rows; throughput is that of the stored bytes.
    fn expand(&mut self, encoding: Encoding, rows: usize, cols: usize) -> Result<()> {
        let size = encoding.bytes((rows * cols) as u64).unwrap_or_default() as usize;
        // Small codes, and small scales in blocks.
        let bytes: Vec<u8> = (0..size).map(|i| (i % 11) as u8).collect();
        let stored = self.rec.device().upload_stored("w", &bytes)?;
        let name = format!("expand {encoding} {rows}x{cols} to f16");
        self.time(&name, size, |rec| expand(rec, &stored, encoding, [rows, cols], &Scales::One(0.5), DType::F16))
    }

    fn attention(&mut self, tokens: usize, heads: usize, dim: usize) -> Result<()> {
        let x = self.tensor(&[tokens, heads * dim])?;
        let name = format!("attention of {tokens} tokens, {heads} heads of {dim}");
        let how = Heads::scaled(heads, heads * dim);
        self.time(&name, 4 * tokens * tokens * heads * dim, |rec| attention(rec, &x, &x, &x, how, DType::F32))
    }

    /// A causal convolution of 3x3x3.
    fn conv(&mut self, x: [usize; 4], outs: usize) -> Result<()> {
        let input = self.tensor(&x)?;
        let weight = ConvWeight::upload(self.rec.device(), "w", [outs, x[3], 3, 3, 3], &values(outs * x[3] * 27), DType::F32)?;
        let options = ConvOptions { pad: [(2, 0), (1, 1), (1, 1)], ..Default::default() };
        let work = 2 * x.iter().product::<usize>() * outs * 27;
        self.time(&format!("conv {x:?} to {outs}"), work, |rec| conv(rec, &input, &weight, options, DType::F32))
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 * 0.002 - 1.0).collect()
}

fn ops(criterion: &mut Criterion) {
    let run = |bench: &mut Bench| {
        bench.matmul([512; 3], DType::F32)?;
        bench.matmul([1024; 3], DType::F32)?;
        bench.matmul([1024; 3], DType::F16)?;
        bench.matmul([1, 1024, 1024], DType::F32)?;
        for encoding in
            [Encoding::F8E4M3, Encoding::I8, Encoding::Block(Block::Q8_0), Encoding::Block(Block::Q4K), Encoding::Block(Block::Q6K)]
        {
            bench.expand(encoding, 1024, 1024)?;
        }
        bench.attention(1024, 4, 128)?;
        bench.attention(1024, 4, 64)?;
        bench.conv([3, 32, 32, 64], 64)
    };
    Bench::new(criterion).and_then(|mut bench| run(&mut bench)).expect("a GPU that runs the ops");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = ops
}
criterion_main!(benches);
