//! What compilers of real GPUs make of the kernels, without a GPU: `.ci/gpu-compiler CHIP cargo test --test gpu_compilers -- --nocapture`
//! prints the table of one chip, `make gpu-report` those of all. Passed over where no such compiler is set up. `WAN_ANIMATE_LISTING=NAME` prints what
//! the compiler makes of the kernels whose names in the table begin so.

mod driver;
mod listing;

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use driver::{Compiled, Driver};
use listing::Loop;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use wan_animate::unversioned::gpu::{Dialect, Element, Kernel, Needs};
use wan_animate::unversioned::ops::KERNELS;

type Constants = Vec<(&'static str, u32)>;

/// A chip that is named by `.ci/gpu-compiler`.
#[derive(Clone, Copy, PartialEq)]
enum Chip {
    /// RDNA2 to RDNA4.
    Amd {
        generation: u32,
    },
    Nvidia,
    Apple,
}

impl Chip {
    fn named(name: &str) -> Self {
        match name {
            "navi21" => Self::Amd { generation: 10 },
            "navi31" => Self::Amd { generation: 11 },
            "gfx1201" => Self::Amd { generation: 12 },
            "ampere" => Self::Nvidia,
            "m1" => Self::Apple,
            _ => panic!("WAN_ANIMATE_CHIP is {name}, not a chip that .ci/gpu-compiler knows"),
        }
    }

    /// Whether the engine may run a kernel with these constants on the chip.
    fn is_offered(self, kernel: &Kernel, constants: &Constants) -> bool {
        let value = |name| constants.iter().find(|(known, _)| *known == name).map(|&(_, value)| value);
        match (kernel.needs, self) {
            // For software drivers.
            (Needs::Nothing, _) if kernel.name == "channelwise_sg" => false,
            (Needs::Nothing, _) if kernel.name == "conv_reg" => (value("TM"), value("TN")) != (Some(8), Some(8)),
            (Needs::Nothing, _) if kernel.name == "attention_reg" => (value("BR"), value("VECS")) != (Some(32), Some(2)),
            (Needs::Nothing, Self::Apple) if kernel.name == "conv_tiled" => value("BN") != Some(96),
            // It has no products of bytes.
            (Needs::Nothing, Self::Apple) if kernel.name == "matmul_int8" => false,
            (Needs::Nothing, _) => true,
            // For software drivers.
            (Needs::Subgroups, _) => false,
            (Needs::CooperativeMatrix, _) if (value("FD"), value("RANGED")) == (Some(16), Some(1)) => false,
            (Needs::CooperativeMatrix, Self::Amd { generation }) => {
                let wide = kernel.name == "attention_coop" && value("FM") == Some(2);
                value("SIZE") == Some(16) && value("LANES") == Some(64) && (!wide || generation > 11)
            }
            (Needs::CooperativeMatrix, _) => value("SIZE") == Some(16) && value("LANES") == Some(32),
        }
    }
}

/// A kernel as it was compiled for a chip.
struct Report {
    name: String,
    kernel: &'static Kernel,
    registers: u64,
    spills: u64,
    workgroup_bytes: u64,
    /// Waves a SIMD, or warps a multiprocessor.
    waves: u64,
    hot: Loop,
}

impl Report {
    fn new(chip: Chip, kernel: &'static Kernel, name: String, compiled: &Compiled) -> Self {
        let hot = match chip {
            Chip::Amd { generation } => listing::aco(&compiled.listing, compiled.lanes, generation),
            Chip::Nvidia => listing::nak(&compiled.listing),
            Chip::Apple => Loop::default(),
        };
        // RADV counts waves of 32 lanes.
        let halves = if matches!(chip, Chip::Amd { .. }) { u64::from(compiled.lanes / 32) } else { 1 };
        Self {
            name,
            kernel,
            registers: compiled.first(&["VGPRs", "Number of GPRs", "GPRs"]),
            spills: ["Spilled VGPRs", "Scratch size", "Spills to memory", "Spills", "Fills"]
                .iter()
                .filter_map(|name| compiled.get(name))
                .sum(),
            workgroup_bytes: compiled.first(&["LDS size", "Shared memory"]),
            waves: compiled.first(&["Subgroups per SIMD", "Max warps/SM", "Threads"]) / halves,
            hot,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { name, registers, spills, workgroup_bytes, waves, hot, .. } = self;
        let Loop { instructions, matrix, fma, lds_loads, narrow_lds_loads, loads, serial_loads, .. } = hot;
        let share = 100.0 * hot.share();
        write!(
            f,
            "{name:60} {registers:4} registers, {spills:5} spilled, {workgroup_bytes:6} bytes, {waves:3} waves | \
             {instructions:5} instructions: {matrix:3} matrix, {fma:4} fma, {lds_loads:3} LDS loads ({narrow_lds_loads} of 16 bits), \
             {loads:3} loads ({serial_loads} serial) | {share:3.0} %"
        )
    }
}

/// The values by which compositions of a kernel differ.
fn name_of(kernel: &Kernel, constants: &Constants) -> String {
    const SAME: [&str; 10] = ["SIZE", "BK", "LANES", "VEC4_ARRAYS", "WG", "LX", "LW", "LV", "PAD", "RUN"];
    let shown = constants.iter().filter(|(name, _)| *name != "ACT" && (kernel.needs == Needs::Nothing || !SAME.contains(name)));
    let shown: Vec<_> = shown.map(|(name, value)| format!("{name}{value}")).collect();
    [&[kernel.name.to_string()], &shown[..]].concat().join(" ")
}

/// All tiles, with the last of the values of other constants (as the real model has them), but without an activation.
fn constants_of(kernel: &Kernel) -> Vec<Constants> {
    let last = |&(name, values): &(&'static str, &'static [u32])| match name {
        "ACT" => (name, values[0]),
        _ => (name, values[values.len() - 1]),
    };
    let tiles = kernel.tiles.iter().flat_map(|tile| kernel.variants.iter().map(move |variants| (tile, variants)));
    tiles.map(|(tile, variants)| tile.iter().copied().chain(variants.iter().map(last)).collect()).collect()
}

/// As the engine has wgpu compile its modules: no checks, no zeroing, no bounds of loops.
fn spirv(what: &str, text: &str) -> Vec<u32> {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(text)));
    let half = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let capabilities = Capabilities::IMMEDIATES | Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX | half;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(text)));
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: (1, 6),
        bounds_check_policies: BoundsCheckPolicies { index: unchecked, buffer: unchecked, image_load: unchecked, binding_array: unchecked },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let entry = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module, &info, &options, Some(&entry)).unwrap_or_else(|e| panic!("{what}: {e}"))
}

fn reports(chip: Chip, driver: &Driver) -> Vec<Report> {
    let mut reports = Vec::new();
    for &kernel in KERNELS.iter().filter(|kernel| kernel.needs != Needs::CooperativeMatrix || driver.cooperative) {
        // f16 where there is a choice, and all that may be left out.
        let elements: Vec<_> = kernel.slots.iter().map(|slot| slot.elements[slot.elements.len() - 1]).collect();
        for constants in constants_of(kernel).into_iter().filter(|constants| chip.is_offered(kernel, constants)) {
            let name = name_of(kernel, &constants);
            let text = kernel.compose(&elements, &constants, Dialect { immediates: true, long: false });
            let buffers = elements.iter().filter(|&&element| element != Element::Absent).count();
            let compiled = driver.compile(&spirv(&name, &text), buffers as u32);
            if env::var("WAN_ANIMATE_LISTING").is_ok_and(|part| name.starts_with(&part)) {
                println!("{name}\n{}", compiled.listing);
            }
            reports.push(Report::new(chip, kernel, name, &compiled));
        }
    }
    reports
}

#[test]
fn kernels_suit_the_chip() {
    let Ok(name) = env::var("WAN_ANIMATE_CHIP") else {
        eprintln!("skipped: no compiler of a GPU is set up (.ci/gpu-compiler)");
        return;
    };
    let chip = Chip::named(&name);
    let driver = Driver::open();
    println!("{}", driver.name);
    let reports = reports(chip, &driver);
    for report in &reports {
        println!("{name:8} {report}");
    }
    let mut faults: Vec<_> = reports.iter().flat_map(|report| faults(chip, report)).collect();
    faults.extend(grown(&name, &driver.name, &reports));
    assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
}

/// Kernels whose hot loops are more than a tenth longer than `figures/CHIP.txt` says, which holds for one version of the compiler.
/// `WAN_ANIMATE_UPDATE=1` writes it anew.
fn grown(chip: &str, driver: &str, reports: &[Report]) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/gpu_compilers/figures/{chip}.txt"));
    let worth = |report: &&Report| report.kernel.needs == Needs::CooperativeMatrix || report.kernel.name.ends_with("_tiled");
    let worth: Vec<_> = reports.iter().filter(worth).filter(|report| report.hot.instructions > 0).collect();
    if env::var_os("WAN_ANIMATE_UPDATE").is_some() {
        let lines = worth.iter().map(|report| format!("{}: {}\n", report.name, report.hot.instructions));
        let text: String = [format!("{driver}\n")].into_iter().chain(lines).collect();
        fs::write(&path, text).expect("figures are written");
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(driver) {
        eprintln!("figures of hot loops are of another compiler, and not compared");
        return Vec::new();
    }
    let stored: HashMap<_, usize> =
        lines.filter_map(|line| line.split_once(": ")).filter_map(|(name, n)| Some((name, n.parse().ok()?))).collect();
    let fault = |report: &&Report| match stored.get(report.name.as_str()) {
        Some(&stored) if report.hot.instructions * 10 <= stored * 11 => None,
        Some(stored) => Some(format!("{}: {} instructions in the hot loop, {stored} before", report.name, report.hot.instructions)),
        None => Some(format!("{}: no figure is stored", report.name)),
    };
    worth.iter().filter_map(fault).collect()
}

/// What is held of hot loops: kernel, constants of the variants that are meant, and the least share of matrix work or multiply-adds on
/// RDNA2, RDNA3 and RDNA4. By Mesa 26.1.
const LEAST_SHARES: [(&str, &str, [f64; 3]); 5] = [
    ("matmul_coop", "TAIL0", [0.0, 0.9, 0.9]),
    ("attention_coop", "FD", [0.0, 0.65, 0.57]),
    ("conv_coop", "FN3", [0.0, 0.8, 0.7]),
    ("matmul_tiled", "TM8", [0.89, 0.0, 0.0]),
    ("attention_tiled", "VECS", [0.8, 0.0, 0.0]),
];

/// What a kernel falls short of on its chip.
fn faults(chip: Chip, report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    let mut hold = |holds: bool, what: String| faults.extend((!holds).then(|| format!("{}: {what}", report.name)));
    let (kernel, hot) = (report.kernel, &report.hot);
    hold(report.spills == 0, format!("{} registers or bytes spilled", report.spills));
    let cooperative = kernel.needs == Needs::CooperativeMatrix;
    match chip {
        Chip::Amd { generation } => {
            for (name, constants, least) in LEAST_SHARES {
                let least = least[generation as usize - 10];
                let is_meant = kernel.name == name && constants.split(' ').all(|constant| report.name.contains(constant));
                hold(
                    !is_meant || hot.share() >= least,
                    format!("{:.0} % of the hot loop is work, less than {:.0}", 100.0 * hot.share(), 100.0 * least),
                );
            }
            if cooperative {
                hold(hot.matrix > 0, "no matrix instruction in the hot loop".into());
                hold(hot.load_waits <= 2, format!("{} waits for all loads", hot.load_waits));
                hold(hot.serial_loads == 0, format!("{} of {} loads are waited for one by one", hot.serial_loads, hot.loads));
                hold(hot.narrow_lds_loads == 0, format!("{} loads of 16 bits from workgroup memory", hot.narrow_lds_loads));
                // Heads of 256 take all registers of RDNA3, whose fragments of queries are twice there.
                let wide = report.name.starts_with("attention_coop SG4 FM2") || (generation == 11 && report.name.contains("FD16"));
                hold(report.waves >= if wide { 2 } else { 3 }, format!("{} waves", report.waves));
            }
        }
        Chip::Nvidia if report.name.starts_with("matmul_coop") && report.name.contains("FM4") => {
            hold(hot.instructions * 32 <= 150 * hot.matrix, format!("{} instructions for {} of matrices", hot.instructions, hot.matrix));
        }
        Chip::Nvidia | Chip::Apple => {}
    }
    faults
}
