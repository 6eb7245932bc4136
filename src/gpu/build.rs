//! From a kernel's WGSL to a pipeline of a device.

use crate::error::Result;
use crate::gpu::pipeline::{Element, Pipeline, PipelineKey};
use crate::gpu::{command::IMMEDIATE_BYTES, device::Device, kernel::Access, kernel::Kernel};

impl Kernel {
    pub(crate) fn build(&self, device: &Device, key: &PipelineKey) -> Result<Pipeline> {
        let text = self.compose(&key.elements, &key.constants, device.dialect());
        device.checked(&format!("compiling the kernel `{}`", self.name), || {
            let gpu = device.wgpu_device();
            let module = shader_module(device, self.name, text);
            let layout = self.layout(device, &key.elements);
            let pipeline_layout = gpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(self.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: if device.immediates() { IMMEDIATE_BYTES as u32 } else { 0 },
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
