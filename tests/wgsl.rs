//! Every kernel through naga, without a GPU: each element format of each slot, each pair of formats of two slots and each set
//! of constants that the ops choose, with parameters as immediates and as uniforms, to SPIR-V, MSL and HLSL. What the modules
//! need must be within what every adapter has.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use naga::back::{hlsl, msl, spv};
use naga::proc::Layouter;
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage, TypeInner};
use wan_animate::unversioned::gpu::{Access, Dialect, Element, Kernel, Needs};
use wan_animate::unversioned::ops::KERNELS;

/// One composition of a kernel file.
struct Composed {
    what: String,
    text: String,
    dialect: Dialect,
    needs: Needs,
    /// Whether it is for Metal, where cooperative matrices are 8x8 and loaded from arrays of single numbers.
    for_metal: bool,
}

impl Composed {
    fn new(kernel: &'static Kernel, elements: &[Element], constants: &[(&'static str, u32)], dialect: Dialect) -> Self {
        let what = format!("{} of {elements:?} with {constants:?}, {dialect:?}", kernel.name);
        let for_metal = kernel.needs != Needs::CooperativeMatrix || constants.contains(&("VEC4_ARRAYS", 0));
        Self { what, text: kernel.compose(elements, constants, dialect), dialect, needs: kernel.needs, for_metal }
    }

    /// The module, valid without any optional capability but those of its dialect and what the kernel needs. (`unpack2x16float` is called a capability too,
    /// but only WebGL lacks it.)
    fn parse(&self) -> (naga::Module, ModuleInfo) {
        let module = naga::front::wgsl::parse_str(&self.text).unwrap_or_else(|e| panic!("{}: {}", self.what, e.emit_to_string(&self.text)));
        let immediates = if self.dialect.immediates { Capabilities::IMMEDIATES } else { Capabilities::empty() };
        let long = if self.dialect.long { Capabilities::SHADER_INT64 } else { Capabilities::empty() };
        let needs = match self.needs {
            Needs::Nothing => Capabilities::empty(),
            Needs::Subgroups => Capabilities::SUBGROUP,
            Needs::CooperativeMatrix => Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX,
        };
        let info = Validator::new(ValidationFlags::all(), immediates | long | needs | Capabilities::SHADER_FLOAT16_IN_FLOAT32)
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}: {}", self.what, e.emit_to_string(&self.text)));
        (module, info)
    }
}

/// All products of the values of each variant.
fn constants(kernel: &Kernel) -> Vec<Vec<(&'static str, u32)>> {
    let mut all = Vec::new();
    for (tile, variants) in kernel.tiles.iter().flat_map(|tile| kernel.variants.iter().map(move |variants| (tile, variants))) {
        let mut products = vec![tile.to_vec()];
        for &(name, values) in *variants {
            products =
                products.into_iter().flat_map(|set| values.iter().map(move |&value| [&set[..], &[(name, value)]].concat())).collect();
        }
        all.extend(products);
    }
    all
}

/// Element formats so that each pair of formats of two slots occurs, the other slots being in their first format.
fn element_sets(kernel: &Kernel) -> BTreeSet<Vec<usize>> {
    let sizes: Vec<_> = kernel.slots.iter().map(|slot| slot.elements.len()).collect();
    let mut sets = BTreeSet::new();
    for i in 0..sizes.len() {
        for j in 0..i {
            for (a, b) in (0..sizes[i]).flat_map(|a| (0..sizes[j]).map(move |b| (a, b))) {
                let mut set = vec![0; sizes.len()];
                (set[i], set[j]) = (a, b);
                sets.insert(set);
            }
        }
    }
    sets
}

/// Element sets of which at most `varied` slots are not in their first format, with one set of constants; and all sets of constants with one element set: neither knows of the other.
fn compositions(varied: usize) -> Vec<Composed> {
    let mut all = Vec::new();
    for &kernel in KERNELS {
        let constants = constants(kernel);
        let formats = |set: &[usize]| kernel.slots.iter().zip(set).map(|(slot, &i)| slot.elements[i]).collect::<Vec<_>>();
        for (immediates, long) in [(true, false), (false, false), (true, true)] {
            let dialect = Dialect { immediates, long };
            let few = |set: &Vec<usize>| set.iter().filter(|&&i| i > 0).count() <= varied;
            let of_elements = element_sets(kernel).into_iter().filter(few).map(|set| (formats(&set), &constants[0]));
            let last = formats(&kernel.slots.iter().map(|slot| slot.elements.len() - 1).collect::<Vec<_>>());
            let of_constants = constants.iter().map(|constants| (last.clone(), constants));
            all.extend(of_elements.chain(of_constants).map(|(elements, set)| Composed::new(kernel, &elements, set, dialect)));
        }
    }
    all
}

/// Runs `check` on every item, on all processors.
fn for_each<T: Sync>(items: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            check(item);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("a module failed");
        }
    });
}

#[test]
fn every_composition_translates() {
    let all = compositions(2);
    assert!(all.len() > 500, "only {} compositions", all.len());
    for_each(&all, |composed| {
        let (module, info) = composed.parse();
        fits_every_adapter(composed, &module);
        let what = &composed.what;
        let entry = (ShaderStage::Compute, "main".to_string());
        let options = spv::PipelineOptions { shader_stage: entry.0, entry_point: entry.1.clone() };
        let version = spv::Options { lang_version: (1, 3), ..Default::default() };
        spv::write_vec(&module, &info, &version, Some(&options)).unwrap_or_else(|e| panic!("{what}: SPIR-V: {e}"));
        if composed.for_metal && !composed.dialect.long {
            let options = msl::Options { lang_version: (2, 4), ..Default::default() };
            let pipeline = msl::PipelineOptions { entry_point: Some(entry), ..Default::default() };
            let (text, _) = msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|e| panic!("{what}: MSL: {e}"));
            assert!(!text.contains("simdgroup_half16x16") && !text.contains("simdgroup_float16x16"), "{what}: Metal has no such matrices");
        }
        if composed.needs != Needs::CooperativeMatrix && !composed.dialect.long {
            to_hlsl(what, &module, &info);
        }
    });
}

fn to_hlsl(what: &str, module: &naga::Module, info: &ModuleInfo) -> String {
    let options = hlsl::Options {
        // Without it the writer panics on immediates; wgpu always gives one.
        immediates_target: Some(hlsl::BindTarget { space: 1, ..Default::default() }),
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
    let mut text = String::new();
    let reflection = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    let reflection = reflection.unwrap_or_else(|e| panic!("{what}: HLSL: {e}"));
    for name in reflection.entry_point_names {
        name.unwrap_or_else(|e| panic!("{what}: HLSL: {e}"));
    }
    text
}

/// Limits of WebGPU, which every adapter has: 8 storage buffers a stage, 256 invocations and 16 KiB of workgroup memory; and
/// 128 bytes of immediates, the least of any adapter that has them.
fn fits_every_adapter(composed: &Composed, module: &naga::Module) {
    let what = &composed.what;
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).expect("a valid module has a layout");
    let bytes_in = |space: AddressSpace| -> u32 {
        module.global_variables.iter().filter(|(_, g)| g.space == space).map(|(_, g)| layouter[g.ty].to_stride()).sum()
    };
    // Of 32 lanes or more and matrices of 16x16, as only NVIDIA and AMD have them, 48 KiB; Metal has 32 KiB, and so has lavapipe.
    let most = match composed.needs {
        Needs::CooperativeMatrix if composed.for_metal || composed.text.contains("const SIZE: u32 = 8u") => 32 << 10,
        Needs::CooperativeMatrix => 48 << 10,
        _ => 16 << 10,
    };
    // Other sizes have been seen to move the arrays behind them off the alignment that cooperative loads need.
    let workgroup = || module.global_variables.iter().filter(|(_, global)| global.space == AddressSpace::WorkGroup);
    if composed.needs == Needs::CooperativeMatrix {
        for (_, global) in workgroup() {
            assert!(layouter[global.ty].size.is_multiple_of(16), "{what}: {:?} is no multiple of 16 bytes", global.name);
        }
    }
    assert!(bytes_in(AddressSpace::WorkGroup) <= most, "{what}: {} bytes of workgroup memory", bytes_in(AddressSpace::WorkGroup));
    let invocations: u32 = module.entry_points[0].workgroup_size.iter().product();
    assert!(invocations <= 256, "{what}: {invocations} invocations");
    let parameters = if composed.dialect.immediates { AddressSpace::Immediate } else { AddressSpace::Uniform };
    let bytes = bytes_in(parameters);
    assert!(bytes > 16 && bytes <= 128, "{what}: {bytes} bytes of parameters");
    let buffers = module.global_variables.iter().filter(|(_, g)| matches!(g.space, AddressSpace::Storage { .. })).count();
    assert!(buffers <= 8, "{what}: {buffers} storage buffers");
}

#[test]
fn params_are_the_same_in_rust_and_wgsl() {
    for &kernel in KERNELS {
        let elements: Vec<_> = kernel.slots.iter().map(|slot| slot.elements[0]).collect();
        let (module, _) = Composed::new(kernel, &elements, &constants(kernel)[0], Dialect { immediates: true, long: false }).parse();
        let (_, params) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).expect("a kernel has Params");
        let TypeInner::Struct { members, span } = &params.inner else { panic!("Params of {} is no struct", kernel.name) };
        assert_eq!(*span as usize, kernel.params_bytes, "{}", kernel.name);
        for (member, offset) in members.iter().zip((0..).step_by(4)) {
            let scalar = matches!(module.types[member.ty].inner, TypeInner::Scalar(scalar) if scalar.width == 4);
            assert!(scalar && member.offset == offset, "{}: {:?} at {}", kernel.name, member.name, member.offset);
        }
    }
}

#[test]
fn outputs_take_formats_that_can_be_stored() {
    for &kernel in KERNELS {
        let storable = [Element::F32, Element::F32x4, Element::F16x4, Element::U32x4, Element::U32];
        for slot in kernel.slots.iter().filter(|slot| slot.access == Access::Write) {
            assert!(slot.elements.iter().all(|element| storable.contains(element)), "{} of {}", slot.name, kernel.name);
        }
    }
}

/// For whoever wants to see one: `make wgsl KERNEL=...`.
#[test]
#[ignore = "prints"]
fn a_kernel_is_printed() {
    let name = std::env::var("WAN_ANIMATE_KERNEL").expect("WAN_ANIMATE_KERNEL names a kernel");
    let kernel = KERNELS.iter().find(|kernel| kernel.name == name).unwrap_or_else(|| panic!("no kernel is called `{name}`"));
    let tile = std::env::var("WAN_ANIMATE_TILE").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    let constants = constants(kernel);
    let first = constants.iter().find(|constants| constants.starts_with(kernel.tiles[tile])).expect("a tile has constants");
    let elements: Vec<_> = kernel.slots.iter().map(|slot| slot.elements[slot.elements.len() - 1]).collect();
    let composed = Composed::new(kernel, &elements, first, Dialect { immediates: true, long: false });
    composed.parse();
    println!("{}", composed.text);
}

#[test]
fn lines_of_kernels_are_short() {
    const MOST: usize = 140;
    for (name, text) in texts("wgsl").into_iter().chain(texts("wgsl/lib")) {
        let long = text.lines().zip(1..).find(|(line, _)| line.len() > MOST);
        assert!(long.is_none(), "{name} has a line of over {MOST} columns: {long:?}");
    }
}

/// Names and texts of the files of a folder.
fn texts(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder is there");
    let files =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"));
    files.map(|path| (path.file_stem().expect("a stem").display().to_string(), fs::read_to_string(&path).expect("text"))).collect()
}

#[test]
fn no_file_is_an_orphan() {
    let names: HashSet<_> = KERNELS.iter().map(|kernel| kernel.name.to_string()).collect();
    assert_eq!(texts("wgsl").into_iter().map(|(name, _)| name).collect::<HashSet<_>>(), names);
    let all: Vec<_> = texts("wgsl").into_iter().chain(texts("wgsl/lib")).map(|(_, text)| text).collect();
    let lines = all.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("// #import "));
    let imported: HashSet<_> = lines.flat_map(|names| names.split(", ").map(str::to_string)).collect();
    let made_of_formulas = "activate".to_string();
    let files: HashSet<_> = texts("wgsl/lib").into_iter().map(|(name, _)| name).chain([made_of_formulas]).collect();
    assert_eq!(files, imported);
}

/// Zeroed arrays, `(float[8])0` in naga's HLSL, are the one thing that glslang cannot read: here they are left as they come.
fn without_array_casts(text: &str) -> String {
    let line = |line: &str| match line.split_once("])0;").and_then(|(head, _)| head.rsplit_once('(')) {
        Some((head, array)) if head.ends_with("return ") => {
            let (element, count) = array.split_once('[').expect("an array type");
            format!("{element} zeros[{count}]; return zeros;\n")
        }
        Some((head, _)) => format!("{};\n", head.trim_end_matches([' ', '='])),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// HLSL as an independent compiler reads it. Skipped, and said so, where that is missing.
#[test]
fn hlsl_compiles() {
    if Command::new("glslangValidator").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no glslangValidator (Debian: apt-get install glslang-tools)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<_> = compositions(1)
        .into_iter()
        .filter(|composed| composed.dialect.immediates && !composed.dialect.long && composed.needs != Needs::CooperativeMatrix)
        .enumerate()
        .collect();
    for_each(&all, |(number, composed)| {
        let (module, info) = composed.parse();
        let file = folder.path().join(format!("{number}.hlsl"));
        fs::write(&file, without_array_casts(&to_hlsl(&composed.what, &module, &info))).expect("a file");
        let output = Command::new("glslangValidator")
            .args(["-D", "-S", "comp", "-e", "main", "-V", "--target-env", "vulkan1.2", "-o"])
            .args([file.with_extension("spv"), file])
            .output()
            .expect("glslangValidator runs");
        assert!(output.status.success(), "{}: {}", composed.what, String::from_utf8_lossy(&output.stdout));
    });
}
