//! WGSL kernel files, and the text around them.
//!
//! A file in `wgsl/` declares `struct Params` and a function named as the file, `fn NAME(group: u32, lane: u32, p: Params)`,
//! and reaches its tensors through accessors that are generated from each slot's element format:
//! `NAME_load(e, n) -> vec4<f32>` (elements e.. of which n are wanted; e is a multiple of four from the start of a row),
//! `NAME_get(e)` (one element), `NAME_store(e, n, v)` and, for f32, `NAME_set(e, v)`. Slots must not be called as
//! the accessors' own locals are: at, count, last, four, value, words, held.

use std::fmt::Write;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::gpu::accessors::accessors;
use crate::tensor::Tensor;

/// How a slot's elements lie in its buffer, and so how its accessors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// No tensor: loads give zeros.
    Absent,
    /// f32, read one by one: for rows that are no multiple of four.
    F32,
    /// f32 in fours.
    F32x4,
    /// f16 in fours, two to a word.
    F16x4,
    /// bf16 in fours, two to a word.
    Bf16x4,
    /// u32, read one by one: indices.
    U32,
    /// f16 in fours as such, in the array `NAME_data`: for kernels that need f16 anyway.
    Half4,
    /// u32 in fours, for the kernel to make of them what it will, in the array `NAME_data`.
    U32x4,
    /// 16-bit elements whose rows are no multiple of four. No slot takes it, so that [`Recorder`](crate::gpu::Recorder)
    /// refuses such a tensor.
    Odd16,
}

/// What a kernel does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it, and may read it too.
    Write,
}

/// One tensor of a kernel.
#[derive(Debug)]
pub struct Slot {
    /// Its name in the kernel file.
    pub name: &'static str,
    /// What the kernel does with it.
    pub access: Access,
    /// The element formats that the op may choose.
    pub elements: &'static [Element],
}

/// Constants and the values that each may have: all products of them.
pub type Variants = &'static [(&'static str, &'static [u32])];

/// One kernel file and what it needs around it.
#[derive(Debug)]
pub struct Kernel {
    /// The file's name without `.wgsl`, which is also the function's.
    pub name: &'static str,
    /// The file.
    pub source: &'static str,
    /// Shared functions of `wgsl/lib` that it calls.
    pub libs: &'static [&'static str],
    /// Lanes of a workgroup, where no constant `WG` says otherwise.
    pub workgroup: u32,
    /// Its tensors, in binding order.
    pub slots: &'static [Slot],
    /// Size of its `Params`, which are scalars of four bytes, in the same order in Rust and WGSL.
    pub params_bytes: usize,
    /// The constants that ops choose. Others are refused in debug builds, so that every module that runs is also one that the
    /// tests translate for every backend.
    pub variants: &'static [Variants],
    /// What it needs beyond what every adapter has.
    pub needs: Needs,
}

/// What a kernel needs of the adapter. All but [`Needs::Nothing`] adds an argument to the kernel's function:
/// `fn NAME(group: u32, lane: u32, p: Params, subgroup: Subgroup)`, where `Subgroup` holds the subgroup's number `id` in the
/// workgroup and the `lane` in the subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No more than every adapter has.
    Nothing,
    /// Subgroups.
    Subgroups,
    /// Cooperative matrices, and so f16 and subgroups. As fragments can be neither indexed nor passed on, each line of the file
    /// and its libraries with one of `MARKS` is repeated for all numbers below its constant, none at all where that is 0. `$size` stands for the
    /// constant `SIZE`.
    CooperativeMatrix,
}

/// Marks of lines that are repeated, and the constants that say how often.
const MARKS: [(&str, &str); 7] =
    [("$d", "FD"), ("$i", "FM"), ("$j", "FN"), ("$x", "LX"), ("$w", "LW"), ("$four", "FOURS"), ("$one", "ONES")];

/// Element formats of slots that are read row by row.
pub const READ: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4];
/// The same for slots that may be left out.
pub const READ_OPTIONAL: &[Element] = &[Element::Absent, Element::F32, Element::F32x4, Element::F16x4];
/// Element formats of weight matrices.
pub const WEIGHT: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4, Element::Bf16x4];
/// Element formats of vectors that stay in f32, such as biases.
pub const VECTOR: &[Element] = &[Element::F32, Element::F32x4];
/// The same for vectors that may be left out.
pub const VECTOR_OPTIONAL: &[Element] = &[Element::Absent, Element::F32, Element::F32x4];
/// Element formats of outputs.
pub const WRITE: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4];
/// f32 reached one element at a time.
pub const SCALAR: &[Element] = &[Element::F32];
/// Index tensors.
pub const INDEX: &[Element] = &[Element::U32];

impl Slot {
    /// A slot that is read.
    pub const fn read(name: &'static str, elements: &'static [Element]) -> Self {
        Self { name, access: Access::Read, elements }
    }

    /// A slot that is written, or updated in place.
    pub const fn write(name: &'static str, elements: &'static [Element]) -> Self {
        Self { name, access: Access::Write, elements }
    }
}

/// A tensor for a slot, with the element format chosen.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a> {
    pub(crate) tensor: Option<&'a Tensor>,
    pub(crate) element: Element,
}

impl<'a> Arg<'a> {
    /// No tensor.
    pub const ABSENT: Arg<'static> = Arg { tensor: None, element: Element::Absent };

    /// Read or written row by row: in fours if the last axis is a multiple of four.
    pub fn rows(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, tensor.cols().is_multiple_of(4))
    }

    /// Read or written as one long row.
    pub fn flat(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, true)
    }

    /// Read one element at a time.
    pub fn scalar(tensor: &'a Tensor) -> Self {
        Self::aligned(tensor, false)
    }

    /// Words to be read as u32.
    pub fn index(tensor: &'a Tensor) -> Self {
        Self { tensor: Some(tensor), element: Element::U32 }
    }

    /// f16 in fours, for kernels that need f16 anyway.
    pub fn halves(tensor: &'a Tensor) -> Self {
        let fours = tensor.dtype() == DType::F16 && tensor.cols().is_multiple_of(4);
        Self { tensor: Some(tensor), element: if fours { Element::Half4 } else { Element::Odd16 } }
    }

    /// Words in fours, whatever the tensor's type.
    pub fn words(tensor: &'a Tensor) -> Self {
        Self { tensor: Some(tensor), element: Element::U32x4 }
    }

    /// In fours if `fours` says that all accesses are aligned so.
    pub fn aligned(tensor: &'a Tensor, fours: bool) -> Self {
        let element = match (tensor.dtype(), fours) {
            (DType::F32, true) => Element::F32x4,
            (DType::F32, false) => Element::F32,
            (DType::F16, true) => Element::F16x4,
            (DType::Bf16, true) => Element::Bf16x4,
            (DType::F16 | DType::Bf16, false) => Element::Odd16,
        };
        Self { tensor: Some(tensor), element }
    }

    /// [`Arg::rows`] of a tensor that may be left out.
    pub fn optional_rows(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(Self::ABSENT, Self::rows)
    }
}

/// What tells one pipeline from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PipelineKey {
    pub(crate) kernel: &'static str,
    pub(crate) elements: Vec<Element>,
    pub(crate) constants: Vec<(&'static str, u32)>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

impl Kernel {
    /// Whether `constants` are among [`Kernel::variants`].
    pub fn has_variant(&self, constants: &[(&'static str, u32)]) -> bool {
        let among = |variants: &Variants| {
            let mut pairs = variants.iter().zip(constants);
            variants.len() == constants.len() && pairs.all(|(known, (name, value))| known.0 == *name && known.1.contains(value))
        };
        self.variants.iter().any(among)
    }

    /// Whether every slot takes its element format.
    pub(crate) fn check_elements(&self, args: &[Arg]) -> Result<()> {
        match self.slots.iter().zip(args).find(|(slot, arg)| !slot.elements.contains(&arg.element)) {
            None => Ok(()),
            Some((slot, arg)) => {
                let tensor = arg.tensor.map(|tensor| format!("a tensor of {} and shape {:?}", tensor.dtype(), tensor.shape()));
                let tensor = tensor.unwrap_or_else(|| "no tensor".into());
                Err(Error::Unsupported(format!("`{}` of the kernel `{}` cannot be {tensor}", slot.name, self.name)))
            }
        }
    }

    /// The whole WGSL module for the chosen element formats and constants. `immediates` says where parameters come from.
    pub fn compose(&self, elements: &[Element], constants: &[(&'static str, u32)], immediates: bool) -> String {
        let mut text = String::new();
        if self.needs == Needs::CooperativeMatrix {
            text.push_str("enable f16;\nenable wgpu_cooperative_matrix;\n");
        }
        for (name, value) in constants {
            line(&mut text, format_args!("const {name}: u32 = {value}u;"));
        }
        if !constants.iter().any(|(name, _)| *name == "WG") {
            line(&mut text, format_args!("const WG: u32 = {}u;", self.workgroup));
        }
        let mut binding = 0;
        for (slot, &element) in self.slots.iter().zip(elements) {
            text.push_str(&accessors(slot, element, binding));
            binding += u32::from(element != Element::Absent);
        }
        line(&mut text, format_args!("struct Immediates {{ first: u32, end: u32, width: u32, unused: u32, params: Params }}"));
        match immediates {
            true => line(&mut text, format_args!("var<immediate> immediates: Immediates;")),
            false => line(&mut text, format_args!("@group(0) @binding({binding}) var<uniform> immediates: Immediates;")),
        }
        for source in self.libs.iter().chain([&self.source]) {
            match self.needs {
                Needs::CooperativeMatrix => text.push_str(&unrolled(source, constants)),
                _ => text.push_str(source),
            }
        }
        text.push_str(&entry(self.name, self.needs));
        text
    }

    pub(crate) fn build(&self, device: &Device, key: &PipelineKey) -> Result<Pipeline> {
        let text = self.compose(&key.elements, &key.constants, device.immediates());
        device.checked(&format!("compiling the kernel `{}`", self.name), || {
            let gpu = device.wgpu_device();
            let module = shader_module(device, self.name, text);
            let layout = self.layout(device, &key.elements);
            let pipeline_layout = gpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(self.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: if device.immediates() { super::device::IMMEDIATE_BYTES } else { 0 },
            });
            let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(self.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
            Pipeline { pipeline, layout }
        })
    }

    fn layout(&self, device: &Device, elements: &[Element]) -> wgpu::BindGroupLayout {
        let storage = self
            .slots
            .iter()
            .zip(elements)
            .filter(|&(_, &element)| element != Element::Absent)
            .map(|(slot, _)| wgpu::BufferBindingType::Storage { read_only: slot.access == Access::Read });
        let uniform = (!device.immediates()).then_some(wgpu::BufferBindingType::Uniform);
        let entries: Vec<_> = storage.chain(uniform).zip(0..).map(|(ty, binding)| layout_entry(binding, ty)).collect();
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: Some(self.name), entries: &entries };
        device.wgpu_device().create_bind_group_layout(&descriptor)
    }
}

fn layout_entry(binding: u32, ty: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

#[expect(unsafe_code, reason = "only so can loops be left without bounds, and shaders without checks")]
fn shader_module(device: &Device, name: &str, text: String) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
    // Loops are never bounded: drivers could not unroll them, which would more than halve the speed.
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: device.shader_checks(),
        int_div_checks: device.shader_checks(),
        ..wgpu::ShaderRuntimeChecks::unchecked()
    };
    // SAFETY: the modules are this crate's own kernels, never a caller's text. Their loops end, their divisors are shapes that
    // the ops have checked not to be zero, and their indices stay within the shapes that the ops bind; the tests run every
    // kernel with the checks on and with guard bands around the outputs.
    unsafe { device.wgpu_device().create_shader_module_trusted(descriptor, checks) }
}

fn line(text: &mut String, arguments: std::fmt::Arguments) {
    writeln!(text, "{arguments}").expect("writing to a string cannot fail");
}

/// Workgroups are numbered in one line, whatever the limits of a dispatch: `first..end` may be one slice of the whole.
fn entry(name: &str, needs: Needs) -> String {
    let (declaration, builtins, argument) = match needs {
        Needs::Nothing => ("", "", ""),
        _ => (
            "struct Subgroup { id: u32, lane: u32 }\n",
            ", @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32",
            ", Subgroup(subgroup, subgroup_lane)",
        ),
    };
    format!(
        "{declaration}@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32{builtins}) {{
    let group = immediates.first + id.x + id.y * immediates.width;
    if (group < immediates.end) {{ {name}(group, lane, immediates.params{argument}); }}
}}
"
    )
}

/// See [`Needs::CooperativeMatrix`].
fn unrolled(source: &str, constants: &[(&'static str, u32)]) -> String {
    let value = |name| constants.iter().find(|(known, _)| *known == name).map_or(1, |&(_, value)| value);
    let size = value("SIZE").to_string();
    let code = source.lines().filter(|line| !line.starts_with("//"));
    code.flat_map(|line| {
        MARKS.iter().fold(vec![format!("{}\n", line.replace("$size", &size))], |lines, (mark, name)| {
            let repeat = |line: String| match line.contains(mark) {
                true => (0..value(name)).map(|number| line.replace(mark, &number.to_string())).collect(),
                false => vec![line],
            };
            lines.into_iter().flat_map(repeat).collect()
        })
    })
    .collect()
}
