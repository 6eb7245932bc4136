//! What all tests share: goldens, and the comparison with them.
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::tensor::Tensor;
use wan_animate::{Cancel, Device};

/// A file or folder under `tests/goldens`.
pub fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// The default device, and a recorder on it.
pub fn device() -> (Device, Recorder) {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    let recorder = Recorder::new(&device, Cancel::new());
    (device, recorder)
}

/// Tensors of a golden file, as f32; integers are converted.
pub struct Golden(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Golden {
    pub fn open(name: &str) -> Self {
        Self::read(&golden_path(name))
    }

    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a golden is a valid file");
        let values = |view: &safetensors::tensor::TensorView| match view.dtype() {
            safetensors::Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
            safetensors::Dtype::I64 => bytemuck::pod_collect_to_vec::<u8, i64>(view.data()).into_iter().map(|v| v as f32).collect(),
            other => panic!("a golden of {other:?}"),
        };
        Self(file.iter().map(|(name, view)| (name.to_string(), (view.shape().to_vec(), values(&view)))).collect())
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.entry(name).0
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.entry(name).1
    }

    pub fn upload(&self, rec: &mut Recorder, name: &str) -> Tensor {
        rec.upload(self.shape(name), self.values(name)).expect("a golden fits")
    }

    fn entry(&self, name: &str) -> &(Vec<usize>, Vec<f32>) {
        self.0.get(name).unwrap_or_else(|| panic!("the golden has no `{name}`"))
    }
}

/// Mean and largest absolute difference.
pub fn difference(got: &[f32], want: &[f32]) -> (f64, f64) {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(a, b)| f64::from((a - b).abs()));
    let most = differences.clone().fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most });
    (differences.sum::<f64>() / got.len() as f64, most)
}

/// Fails if the largest difference is more than `bound` times the largest wanted magnitude.
pub fn assert_close(what: &str, got: &[f32], want: &[f32], bound: f64) {
    let scale = want.iter().fold(0f32, |most, value| most.max(value.abs()));
    let (mean, most) = difference(got, want);
    println!("{what}: mean {mean:.2e}, largest {most:.2e} of {scale:.2e}");
    assert!(scale > 0.0, "{what}: the golden is all zero");
    assert!(most <= bound * f64::from(scale), "{what}: off by {most:.3e}, largest value {scale:.3e}, bound {bound:e} of it");
}
