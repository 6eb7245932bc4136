//! burn's products and convolutions on the adapter that wgpu gives it, autotuned: one JSON object a line, {"name", "operations", "seconds"},
//! where the seconds are those of a processor on software drivers, shared among all, and else the wall's.

use std::time::Instant;

use burn_tensor::module::conv3d;
use burn_tensor::ops::ConvOptions;
use burn_tensor::{Distribution, Tensor};
use burn_wgpu::{Wgpu, WgpuDevice};

type Backend = Wgpu<f32, i32, u32>;

fn main() {
    let device = WgpuDevice::default();
    for size in [512, 1024] {
        let [x, w] = [(); 2].map(|()| Tensor::<Backend, 2>::random([size; 2], Distribution::Default, &device));
        time(&format!("matmul {size}x{size}x{size}"), 2 * size * size * size, || x.clone().matmul(w.clone()).into_data());
    }
    let x = Tensor::<Backend, 5>::random([1, 128, 3, 32, 32], Distribution::Default, &device);
    let w = Tensor::<Backend, 5>::random([128, 128, 3, 3, 3], Distribution::Default, &device);
    let work = 2 * 3 * 32 * 32 * 128 * 128 * 27;
    let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    time("conv [3, 32, 32, 128] to 128", work, || conv3d(x.clone(), w.clone(), None, options.clone()).into_data());
}

/// The best of three, after the run that tunes.
fn time<T>(name: &str, operations: usize, work: impl Fn() -> T) {
    work();
    let run = || {
        let (processor, wall) = (processor_seconds(), Instant::now());
        work();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let processor = (processor_seconds() - processor) / cores;
        if std::env::var_os("BENCH_PROCESSOR_TIME").is_some() { processor } else { wall.elapsed().as_secs_f64() }
    };
    let seconds = (0..3).map(|_| run()).fold(f64::INFINITY, f64::min);
    println!(r#"{{"name": "{name}", "operations": {operations}, "seconds": {seconds}}}"#);
}

/// User and system time of this process, in hundredths.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    fields.get(11..13).map_or(0.0, |times| times.iter().sum::<f64>() / 100.0)
}
