//! A chip's Vulkan driver, asked what it makes of modules: they are compiled as wgpu has them compiled, and never dispatched.

#![allow(unsafe_code, reason = "Vulkan is reached through raw calls")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

use ash::vk;

pub struct Driver {
    device: ash::Device,
    statistics: ash::khr::pipeline_executable_properties::Device,
    /// Whether there are cooperative matrices.
    pub cooperative: bool,
    /// Name and version.
    pub name: String,
    // Unloads Vulkan when it goes.
    _entry: ash::Entry,
}

/// What the driver says of one module.
pub struct Compiled {
    statistics: BTreeMap<String, String>,
    /// The instructions, as text.
    pub listing: String,
    pub lanes: u32,
}

impl Compiled {
    pub fn get(&self, name: &str) -> Option<u64> {
        self.statistics.get(name)?.parse().ok()
    }

    /// The first of these that the driver tells.
    pub fn first(&self, names: &[&str]) -> u64 {
        names.iter().find_map(|name| self.get(name)).unwrap_or_default()
    }
}

fn text(chars: &[c_char]) -> String {
    // SAFETY: Vulkan's names end with a zero.
    unsafe { CStr::from_ptr(chars.as_ptr()) }.to_string_lossy().into_owned()
}

impl Driver {
    /// Of the only chip there is. Buffers are checked as wgpu has them checked, but not on NVK, which does it in code of its own, and so
    /// would hide what the kernels cost.
    pub fn open() -> Self {
        // SAFETY: plain Vulkan, with structures that outlive the calls; nothing is submitted.
        unsafe {
            let entry = ash::Entry::load().expect("a Vulkan loader");
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None).expect("an instance");
            let physical = instance.enumerate_physical_devices().expect("devices")[0];
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(physical, &mut properties);
            let name = format!("{}, {}", text(&properties.properties.device_name), text(&driver.driver_info));
            let known = instance.enumerate_device_extension_properties(physical).expect("extensions");
            let has = |name: &CStr| known.iter().any(|extension| text(&extension.extension_name).as_bytes() == name.to_bytes());
            let cooperative = has(ash::khr::cooperative_matrix::NAME);
            let robust = driver.driver_id != vk::DriverId::MESA_NVK && has(ash::ext::robustness2::NAME);
            let device = device(&instance, physical, cooperative, robust);
            let statistics = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Self { device, statistics, cooperative, name, _entry: entry }
        }
    }

    /// A module whose buffers are bindings 0.. of group 0.
    pub fn compile(&self, spirv: &[u32], buffers: u32) -> Compiled {
        // SAFETY: as above; the module has been validated by naga.
        unsafe {
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None).expect("a module");
            let binding = |number| {
                let kind = vk::DescriptorType::STORAGE_BUFFER;
                let binding = vk::DescriptorSetLayoutBinding::default().binding(number).descriptor_count(1).descriptor_type(kind);
                binding.stage_flags(vk::ShaderStageFlags::COMPUTE)
            };
            let bindings: Vec<_> = (0..buffers).map(binding).collect();
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&set, None).expect("a set layout")];
            let ranges = [vk::PushConstantRange::default().stage_flags(vk::ShaderStageFlags::COMPUTE).size(128)];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets).push_constant_ranges(&ranges);
            let layout = self.device.create_pipeline_layout(&layout, None).expect("a layout");
            let stage = vk::PipelineShaderStageCreateInfo::default().stage(vk::ShaderStageFlags::COMPUTE).module(module).name(c"main");
            let stage = stage.flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE);
            let capture = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let pipeline = vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage).flags(capture);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[pipeline], None);
            self.told(pipelines.expect("a pipeline")[0])
        }
    }

    // SAFETY: for a pipeline of this device.
    unsafe fn told(&self, pipeline: vk::Pipeline) -> Compiled {
        // SAFETY: the lengths are those that the driver gave.
        unsafe {
            let executables = self.statistics.get_pipeline_executable_properties(&vk::PipelineInfoKHR::default().pipeline(pipeline));
            let lanes = executables.expect("executables")[0].subgroup_size;
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
            let told = self.statistics.get_pipeline_executable_statistics(&info).expect("statistics");
            let value = |told: &vk::PipelineExecutableStatisticKHR| match told.format {
                vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => told.value.f64.to_string(),
                _ => told.value.u64.to_string(),
            };
            let statistics = told.iter().map(|told| (text(&told.name), value(told))).collect();
            let read = self.statistics.fp().get_pipeline_executable_internal_representations_khr;
            let mut count = 0;
            read(self.device.handle(), &info, &mut count, std::ptr::null_mut()).result().expect("listings");
            let mut parts = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            read(self.device.handle(), &info, &mut count, parts.as_mut_ptr()).result().expect("listings");
            let mut texts: Vec<Vec<u8>> = parts.iter().map(|part| vec![0; part.data_size.max(1)]).collect();
            for (part, text) in parts.iter_mut().zip(&mut texts) {
                part.p_data = text.as_mut_ptr().cast();
            }
            read(self.device.handle(), &info, &mut count, parts.as_mut_ptr()).result().expect("listings");
            // The last stage is the machine's own instructions.
            let last = texts.pop().unwrap_or_default();
            let listing = String::from_utf8_lossy(&last).trim_end_matches('\0').to_string();
            self.device.destroy_pipeline(pipeline, None);
            Compiled { statistics, listing, lanes }
        }
    }
}

// SAFETY: for a physical device of the instance.
unsafe fn device(instance: &ash::Instance, physical: vk::PhysicalDevice, cooperative: bool, robust: bool) -> ash::Device {
    let mut names = vec![ash::khr::pipeline_executable_properties::NAME.as_ptr()];
    names.extend(cooperative.then_some(ash::khr::cooperative_matrix::NAME.as_ptr()));
    names.extend(robust.then_some(ash::ext::robustness2::NAME.as_ptr()));
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let mut v11 =
        vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(true).uniform_and_storage_buffer16_bit_access(true);
    let v12 = vk::PhysicalDeviceVulkan12Features::default().shader_float16(true).vulkan_memory_model(true);
    let mut v12 = v12.vulkan_memory_model_device_scope(true).shader_subgroup_extended_types(true);
    let v13 = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true).compute_full_subgroups(true);
    let mut v13 = v13.shader_integer_dot_product(true).shader_zero_initialize_workgroup_memory(true).maintenance4(true);
    let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(cooperative);
    let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
    let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(robust).shader_int16(true);
    let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names).enabled_features(&core);
    let mut info = info.push_next(&mut v11).push_next(&mut v12).push_next(&mut v13).push_next(&mut executables);
    if cooperative {
        info = info.push_next(&mut matrices);
    }
    if robust {
        info = info.push_next(&mut robustness);
    }
    // SAFETY: the structures live to the end of the call.
    unsafe { instance.create_device(physical, &info, None).expect("a device") }
}
