//! Every op on a GPU against a naive evaluation in f64: within bounds that follow from the formula, with nothing unwritten and
//! nothing written elsewhere. Then the same table under other conditions: parameters in uniform buffers, a device of the host
//! application's with small limits, shaders without checks, dispatches in slices.

#![allow(unreachable_pub, reason = "nothing of a test is reachable")]

mod approx;
mod case;
mod cases;
mod host;
mod quantized;
mod support;

use std::collections::HashSet;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Kernel, Needs, PipelineKey, Probe, Recorder};
use wan_animate::unversioned::ops::lincomb::{activate, add};
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::unversioned::ops::matrix::SCRATCH_BYTES;
use wan_animate::unversioned::ops::{Activation, KERNELS};
use wan_animate::unversioned::ops::{epilogue::Epilogue, matmul::matmul};
use wan_animate::{Cancel, Device, Error, Family, Tune};

use approx::Approx;
use case::{Case, Output, Sizes};

/// With the checks on, an access out of bounds is turned into one at the end of the buffer, where the guard shows it.
fn checked_device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| Device::builder().shader_checks(true).build().expect("a GPU or a software driver"))
}

/// The table with its exact results, which take a while.
fn table() -> &'static [(Case, Vec<Approx>)] {
    static TABLE: OnceLock<Vec<(Case, Vec<Approx>)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        cases::cases().into_iter().map(|case| (case.oracle)()).zip(cases::cases()).map(|(exact, case)| (case, exact)).collect()
    })
}

fn run(device: &Device, case: &Case, slice: u32) -> Output {
    let mut rec = Recorder::new(device, Cancel::new()).with_probe(Probe { guards: true, slice, ..Probe::default() });
    let tensor = case.run(&mut rec).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    Output::download(&mut rec, &tensor).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// All cases whose results the device takes in one binding.
fn check_all(device: &Device) {
    let fits = |exact: &[Approx]| 4 * exact.len() as u64 <= device.limits().max_storage_buffer_binding_size;
    let cases = table().iter().filter(|(_, exact)| fits(exact));
    let faults: Vec<_> = cases.filter_map(|(case, exact)| case.fault(&run(device, case, 0), exact)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn results_are_within_their_bounds() {
    assert!(checked_device().shader_checks());
    check_all(checked_device());
}

/// Beside the family that the adapter gets, which is that of all other tests; with the built-in tiles, and with tiles that were timed.
#[test]
fn every_family_that_runs_here() {
    let families = checked_device().families();
    let dispatched: HashSet<_> = families.iter().flat_map(|&family| check_family(family)).collect();
    let runs = |kernel: &&Kernel| only_family(kernel).is_none_or(|family| families.contains(&family));
    let known = KERNELS.iter().copied().filter(runs).flat_map(all_traits);
    let missed: Vec<_> = known.filter(|known| !dispatched.contains(known)).collect();
    assert!(missed.is_empty(), "no case of the table dispatches\n{}", missed.join("\n"));
}

/// The family without which a kernel is not used; none where every adapter uses it.
fn only_family(kernel: &Kernel) -> Option<Family> {
    match kernel.needs {
        Needs::CooperativeMatrix => Some(Family::Coop),
        Needs::Subgroups => Some(Family::Sg),
        Needs::Nothing if kernel.name == "cast_f16" => Some(Family::Coop),
        Needs::Nothing if ["channelwise_sg", "matmul_pack"].contains(&kernel.name) => Some(Family::Sg),
        Needs::Nothing => None,
    }
}

/// What was dispatched for the whole table.
fn check_family(family: Family) -> Vec<String> {
    let builder = || Device::builder().shader_checks(true).family(family);
    let device = builder().build().expect("a device");
    check_all(&device);
    assert_eq!(device.failed_families(), [], "{family}");
    let tuned = builder().tune(Tune::Force).build().expect("a device");
    let products = table().iter().filter(|(case, _)| case.name.starts_with("matmul"));
    let faults: Vec<_> = products.filter_map(|(case, exact)| case.fault(&run(&tuned, case, 0), exact)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    [device, tuned].iter().flat_map(Device::compiled).flat_map(|key| traits(&key)).collect()
}

/// What a variant of a kernel may have that others do not: a tile, the value of a constant, the format of a slot. No adapter takes all tiles
/// of cooperative matrices.
fn all_traits(kernel: &Kernel) -> Vec<String> {
    let of_kernel = |what: String| format!("{} with {what}", kernel.name);
    let tiles = kernel.tiles.iter().filter(|_| kernel.needs != Needs::CooperativeMatrix).map(|tile| of_kernel(format!("{tile:?}")));
    let values = kernel.variants.iter().copied().flatten().flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)));
    let formats = kernel.slots.iter().enumerate().flat_map(|(i, slot)| slot.elements.iter().map(move |element| (i, *element)));
    let (values, formats) = (values.map(|value| of_kernel(format!("{value:?}"))), formats.map(|format| of_kernel(format!("{format:?}"))));
    tiles.chain(values).chain(formats).collect()
}

/// Those that a compiled variant has.
fn traits(key: &PipelineKey) -> Vec<String> {
    let kernel = KERNELS.iter().find(|kernel| kernel.name == key.kernel).expect("all kernels are listed");
    let tile = kernel
        .tiles
        .iter()
        .copied()
        .filter(|tile| key.constants.starts_with(tile))
        .max_by_key(|tile| tile.len())
        .expect("one of its tiles");
    let values = key.constants[tile.len()..].iter().map(|value| format!("{value:?}"));
    let formats = key.elements.iter().enumerate().map(|format| format!("{format:?}"));
    [format!("{tile:?}")].into_iter().chain(values).chain(formats).map(|what| format!("{} with {what}", key.kernel)).collect()
}

/// Products are the same bits in every family without cooperative matrices, whatever its tiles, and row by row.
#[test]
fn products_sum_in_one_order() {
    let (rows, cols, inner) = (37, 90, 77);
    let values = |seed, count| host::Host::random(seed, &[count], 1.0).values;
    let product = |family: Family, rows: usize| {
        let device = Device::builder().family(family).build().expect("a device");
        let mut rec = Recorder::new(&device, Cancel::new());
        let w =
            Matrix::upload(&device, "w", [cols, inner], DType::F32, &|| Ok(bytemuck::cast_slice(&values(2, cols * inner)).to_vec().into()))
                .expect("w");
        let x = rec.upload(&[rows, inner], &values(1, 37 * inner)[..rows * inner]).expect("x");
        let out = matmul(&mut rec, &x, &w, Default::default(), DType::F32).expect("runs");
        rec.download(&out).expect("the product")
    };
    let families: Vec<_> = checked_device().families().into_iter().filter(|&family| family != Family::Coop).collect();
    let whole = product(families[0], rows);
    for &family in &families {
        for rows in [1, 16, 17, rows] {
            assert!(product(family, rows) == whole[..rows * cols], "{family}, {rows} rows");
        }
    }
}

/// The bench goes by these figures.
#[test]
fn what_is_timed_has_a_cost() {
    for case in cases::timed(Sizes::Small).chain(cases::dequantize::timed(Sizes::Wan).take(1)) {
        let dry = checked_device().dry(checked_device().limits().clone());
        let mut rec = Recorder::new(&dry, Cancel::new());
        case.run(&mut rec).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let cost = dry.rehearsal().expect("dry").cost();
        assert!(case.name.len() <= 52, "{} does not fit in its column", case.name);
        assert!(cost.work() > 0.0, "{}: {cost:?}", case.name);
    }
}

#[test]
fn shaders_without_checks() {
    check_all(&Device::builder().shader_checks(false).build().expect("a device"));
}

/// A device as a host application might have opened it: no features, so no immediates; and limits so small that matrices are
/// cut into shards and dispatches are folded.
#[test]
fn a_device_of_the_host_application() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).expect("an adapter");
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: 256 << 10,
            max_compute_workgroups_per_dimension: 11,
            ..wgpu::Limits::default()
        },
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    let device = Device::from_wgpu(device, queue).expect("shares it");
    assert!(!device.immediates());
    check_all(&device);
}

#[test]
fn slices_change_nothing() {
    for (case, _) in table() {
        assert!(run(checked_device(), case, 1) == run(checked_device(), case, 0), "{}: slices make a difference", case.name);
    }
}

#[test]
fn wrong_inputs_are_refused() {
    for refusal in cases::refusals() {
        let mut rec = Recorder::new(checked_device(), Cancel::new());
        let error = (refusal.prepare)(&mut rec).and_then(|op| op(&mut rec)).expect_err(refusal.says);
        assert!(matches!(error, Error::Input(_) | Error::Unsupported(_)), "{error}");
        assert!(error.to_string().contains(refusal.says), "`{error}` does not say `{}`", refusal.says);
        rec.finish().expect("what was recorded before the refusal is sound");
    }
}

/// To the last bit, as the host would have rounded: a quantised checkpoint gives what its dequantized twin does. What is below f32's normal
/// range may be flushed to zero.
#[test]
fn expansions_are_exact() {
    for device in [checked_device(), &Device::builder().shader_checks(false).build().expect("a device")] {
        for case in cases::dequantize::all_codes().into_iter().chain(cases::dequantize::scales()) {
            let got = run(device, &case, 0);
            for (i, (got, exact)) in got.values.iter().zip((case.oracle)()).enumerate() {
                let is_flushed = *got == 0.0 && exact.value.abs() < f64::from(f32::MIN_POSITIVE);
                assert!(*got == exact.value || is_flushed, "{}: element {i} is {got}, expected {}", case.name, exact.value);
            }
        }
    }
}

/// As much memory as the file takes, and for dequantizing it no more than is said, however large it is.
#[test]
fn quantised_matrices_take_their_stored_size() {
    let device = Device::builder().build().expect("a device");
    let mut rec = Recorder::new(&device, Cancel::new());
    let x = rec.upload(&[1, 8192], &vec![0.5; 8192]).expect("an upload");
    let before = device.memory_use().current;
    // 32 MiB of bytes, 128 MiB and more as f32.
    let stored = quantized::Stored::new(quantized::PLAIN[0], [4100, 8192]).scaled(&[0.01]);
    let w = stored.upload(&device, DType::F32).expect("uploads");
    let size = device.memory_use().current - before;
    assert_eq!(size, 4100 * 8192);
    device.reset_peak();
    let out = matmul(&mut rec, &x, &w, Epilogue::default(), DType::F32).expect("a product");
    rec.finish().expect("runs");
    let scratch = device.memory_use().peak - before - size - out.buffer().size();
    assert!(scratch <= SCRATCH_BYTES && scratch > SCRATCH_BYTES / 2, "{scratch} bytes to dequantize");
}

/// The last op of a decoder: what went wrong before it must still show.
#[test]
fn hard_tanh_keeps_nan() {
    for device in [checked_device(), &Device::builder().shader_checks(false).build().expect("a device")] {
        let mut rec = Recorder::new(device, Cancel::new());
        let x = rec.upload(&[5], &[f32::NAN, -f32::NAN, f32::INFINITY, -3.0, 0.5]).expect("an upload");
        let got = activate(&mut rec, &x, Activation::HardTanh, DType::F32).and_then(|y| rec.download(&y)).expect("an activation");
        assert!(got[0].is_nan() && got[1].is_nan() && got[2..] == [1.0, -1.0, 0.5], "{got:?}");
    }
}

#[test]
fn what_no_kernel_can_count_is_refused() {
    let mut rec = Recorder::new(checked_device(), Cancel::new());
    for shape in [&[1 << 20, 1 << 20][..], &[usize::MAX, 2], &[usize::MAX]] {
        assert!(matches!(rec.alloc(shape, DType::F16), Err(Error::Limits { .. })), "{shape:?}");
        assert!(matches!(rec.upload(shape, &[]), Err(Error::Limits { .. })), "{shape:?}");
    }
}

/// Free buffers that fit no request are given back rather than counted against it.
#[test]
fn memory_of_other_sizes_is_given_back_when_there_is_none_left() {
    let device = Device::builder().memory_limit(12 << 20).build().expect("a device");
    let mut rec = Recorder::new(&device, Cancel::new());
    drop(rec.upload(&[2 << 20], &vec![1.0; 2 << 20]).expect("8 MiB"));
    let halves = rec.upload(&[1 << 20], &vec![1.0; 1 << 20]).expect("4 MiB");
    let sum = add(&mut rec, &halves, &halves).expect("4 MiB more, where 8 are free");
    assert!(matches!(rec.alloc(&[2 << 20], DType::F32), Err(Error::Limits { .. })), "8 MiB beside 8 that are in use");
    assert_eq!(rec.download(&sum).expect("the sum")[..2], [2.0, 2.0]);
}

#[test]
fn cancelling_stops_between_submissions() {
    let cancel = Cancel::new();
    let mut rec = Recorder::new(checked_device(), cancel.clone()).with_probe(Probe { slice: 1, ..Probe::default() });
    let mut sum = rec.upload(&[1 << 16], &vec![1.0; 1 << 16]).expect("an upload");
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        cancel.cancel();
    });
    let error = loop {
        match add(&mut rec, &sum, &sum) {
            Ok(next) => sum = next,
            Err(error) => break error,
        }
    };
    canceller.join().expect("the thread ends");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(matches!(rec.download(&sum), Err(Error::Cancelled) | Ok(_)));
}
