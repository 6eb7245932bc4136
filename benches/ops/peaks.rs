//! What the adapter can do at most.

use wan_animate::Result;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Arg, Cost, Element, Kernel, Slot};
use wan_animate::unversioned::gpu::{Recorder, Sink};

use crate::clock::Clock;

const LANES: usize = 64;
/// Multiply-adds in a row of the loop, on twelve numbers in turn.
const UNROLLED: usize = 36;
const ROUNDS: u32 = 2000;

static SLOTS: &[Slot] = &[Slot::write("out", &[Element::F32])];

/// Operations a second of fused multiply-adds in registers.
pub fn operations(rec: &mut Recorder, clock: &Clock) -> Result<f64> {
    let groups = if matches!(clock, Clock::Processor) { 64 } else { 4096 };
    let body: String = (0..UNROLLED).map(|i| format!("v{0} = fma(v{0}, x, y);\n", i % 12)).collect();
    let numbers: String = (0..12).map(|i| format!("var v{i} = f32(lane + {i}u);\n")).collect();
    let sum = (0..12).map(|i| format!("v{i}")).collect::<Vec<_>>().join(" + ");
    let source = format!(
        "struct Params {{ rounds: u32, x: f32, y: f32 }}
fn peak(group: u32, lane: u32, p: Params) {{
let x = p.x;
let y = p.y;
{numbers}for (var i = 0u; i < p.rounds; i++) {{
{body}}}
out_set(group * WG + lane, {sum});
}}
"
    );
    let kernel: &'static Kernel =
        Box::leak(Box::new(Kernel { workgroup: LANES as u32, slots: SLOTS, ..Kernel::of("peak", source.leak(), 12) }));
    let out = rec.alloc(&[groups * LANES], DType::F32)?;
    let flops = (2 * groups * LANES * UNROLLED) as f64 * f64::from(ROUNDS);
    let params = [ROUNDS, 0.5f32.to_bits(), 1.0f32.to_bits()];
    let seconds = best(rec, clock, |rec| {
        let args = [Arg::scalar(&out)];
        rec.dispatch(kernel, &[], &params, &args, groups, Cost::of(flops, &args))
    })?;
    Ok(flops / seconds)
}

/// Bytes a second that are read and written while one buffer is copied to another.
pub fn copied_bytes(rec: &mut Recorder, clock: &Clock) -> Result<f64> {
    const COUNT: usize = 16 << 20;
    let from = rec.device().upload("bench", &[COUNT], DType::F32, &vec![0; COUNT * 4])?;
    let to = rec.device().upload("bench", &[COUNT], DType::F32, &vec![0; COUNT * 4])?;
    let seconds = best(rec, clock, |rec| rec.copy(&from, 0, &to, 0, COUNT))?;
    Ok((2 * 4 * COUNT) as f64 / seconds)
}

/// Seconds of one run at best, after one that has everything compiled. Each measurement takes half a second or longer.
fn best(rec: &mut Recorder, clock: &Clock, mut work: impl FnMut(&mut Recorder) -> Result<()>) -> Result<f64> {
    let mut measure = |repeats: usize| {
        let mut outcome = Ok(());
        let seconds = clock.seconds(|| outcome = (0..repeats).try_for_each(|_| work(rec)).and_then(|()| rec.finish()));
        outcome.map(|()| seconds / repeats as f64)
    };
    measure(1)?;
    let repeats = (0.5 / measure(1)?.max(1e-4)).ceil() as usize;
    (0..3).try_fold(f64::INFINITY, |best, _| measure(repeats).map(|seconds| seconds.min(best)))
}
