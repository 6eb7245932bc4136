//! Goldens: tensors that the reference computed, and how far a result is from them.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs;
use std::path::PathBuf;

use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::tensor::Tensor;
use wan_animate::unversioned::weights::Weights;
use wan_animate::{Cancel, Device};

/// A file or folder in `tests/goldens`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

pub fn weights(name: &str) -> Weights {
    Weights::open(path(name)).expect("the golden opens")
}

pub fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fs::read(path(name)).expect("the golden is there")).expect("the golden is JSON")
}

pub fn device() -> Device {
    Device::builder().build().expect("an adapter")
}

pub fn recorder(device: &Device) -> Recorder {
    Recorder::new(device, Cancel::new())
}

pub fn read(rec: &mut Recorder, tensor: &Tensor) -> Vec<f32> {
    rec.download(tensor).expect("reads back")
}

/// A file of tensors.
pub struct Golden(Vec<u8>);

impl Golden {
    pub fn open(name: &str) -> Self {
        Self(fs::read(path(name)).expect("the golden is there"))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("the golden is whole")
    }

    pub fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(String::from).collect()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensors().tensor(name).expect(name).shape().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).expect(name);
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
        bytemuck::pod_collect_to_vec(tensor.data())
    }

    pub fn integers(&self, name: &str) -> Vec<u32> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).expect(name);
        assert_eq!(tensor.dtype(), safetensors::Dtype::I64, "{name}");
        bytemuck::pod_collect_to_vec::<u8, i64>(tensor.data()).into_iter().map(|value| value as u32).collect()
    }
}

/// The largest difference, relative to the largest expected value.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: number of values");
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
    let error = differences.fold(0.0, |most, difference| if difference <= most { most } else { difference });
    assert!(error <= tolerance, "{what}: differs by {error:e} of the largest value, allowed are {tolerance:e}");
}
