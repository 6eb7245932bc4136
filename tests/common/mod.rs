//! What all tests share: goldens, and the comparison with them.
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::SessionOptions;
use wan_animate::unversioned::models::dit::animate::{Animate, Driving};
use wan_animate::unversioned::models::dit::animate2::{Animate2, Look};
use wan_animate::unversioned::weights::Weights;
use wan_animate::{Cancel, Device};

/// A file or folder under `tests/goldens`.
pub fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// Bytes of this process that belong to no file: the driver's buffers too, where it is a software one.
pub fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// Processor time of this thread, which other work on the machine does not lengthen; none but on Linux.
pub fn processor_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    std::time::Duration::from_nanos(text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// What a refusal for want of memory says.
pub fn refusal<T: std::fmt::Debug>(outcome: wan_animate::Result<T>) -> String {
    match outcome {
        Err(wan_animate::Error::Limits { message, .. }) => message,
        outcome => panic!("not refused for its budget: {outcome:?}"),
    }
}

/// The budget that a refusal names.
pub fn named_budget<T: std::fmt::Debug>(outcome: wan_animate::Result<T>) -> u64 {
    match outcome {
        Err(wan_animate::Error::Limits { smallest, needed, message, .. }) => {
            let bytes = smallest.or(needed).unwrap_or_else(|| panic!("no budget is named: {message}"));
            assert!(message.contains(&format!("memory budget of {bytes} bytes")), "{message}");
            bytes
        }
        outcome => panic!("not refused for its budget: {outcome:?}"),
    }
}

/// The default device, and a recorder on it.
pub fn device() -> (Device, Recorder) {
    let device = Device::builder().shader_checks(true).build().expect("an adapter (`make test` installs a software one)");
    let recorder = Recorder::new(&device, Cancel::new());
    (device, recorder)
}

/// A configuration under `tests/goldens`.
pub fn golden_json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read(golden_path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A checkpoint under `tests/goldens`, a folder or a file.
pub fn golden_weights(name: &str) -> Weights {
    models::open(golden_path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What Animate's transformer of a checkpoint makes, with these weights of it, of the inputs in a golden of parts.
pub fn sample(checkpoint: &str, weights: &Weights, precision: Precision, golden: &Golden) -> Vec<f32> {
    let (device, mut rec) = device();
    let rec = &mut rec;
    let config = golden_json(&format!("{checkpoint}/transformer/config.json"));
    let model = Animate::load(&Loader::new(&device, weights, precision), &config).expect("loads");
    let text_dim = model.config().text_dim;
    let mut text = golden.values("encoder_hidden_states").to_vec();
    text.resize(512 * text_dim, 0.0);
    let text = rec.upload(&[512, text_dim], &text).expect("text");
    let image = golden.upload(rec, "encoder_hidden_states_image");
    let mut session = model.dit().session(SessionOptions::default());
    model.dit().add_prompt(rec, &mut session, &text, Some(&image)).expect("prompt");
    let pose = golden.upload(rec, "pose_hidden_states");
    let pose = model.pose(rec, &pose).expect("pose");
    let face = golden.upload(rec, "face_encoder");
    let mut face = model.face_keys(rec, &face).expect("face");
    let latents = golden.upload(rec, "hidden_states");
    let timestep = f64::from(golden.values("timestep")[0]);
    let driving = Driving { pose: &pose, face: &mut face };
    let out = model.forward(rec, &mut session, 0, &latents, timestep, driving).expect("forward");
    assert_eq!(out.shape(), golden.shape("sample"));
    rec.download(&out).expect("download")
}

/// What Animate-2's transformer predicts of drawn numbers, with so many blocks that stay; memory is counted from the prediction on.
pub fn sample_2(rec: &mut Recorder, model: &Animate2, options: SessionOptions, quantizes: bool, resident: usize) -> Vec<f32> {
    let config = model.dit().config();
    let mut session = model.dit().session(options);
    session.keep(resident);
    let upload = |rec: &mut Recorder, seed: usize, shape: &[usize]| {
        let value = |i: usize| ((i * 7919 + seed * 104_729) % 997) as f32 / 300.0 - 1.6;
        rec.upload(shape, &(0..shape.iter().product()).map(value).collect::<Vec<_>>()).expect("fits")
    };
    let (text, image) = (upload(rec, 1, &[config.text_len, config.text_dim]), upload(rec, 2, &[5, config.image_dim.expect("CLIP")]));
    model.dit().add_prompt(rec, &mut session, &text, Some(&image)).expect("a prompt");
    model.add_driving_prompt(rec, &mut session, &text, Some(&image)).expect("a prompt");
    let (shown, latents) = (upload(rec, 3, &[36, 2, 4, 6]), upload(rec, 4, &[36, 3, 4, 6]));
    let driving = model.watch(rec, &mut session, 1, &shown, quantizes).expect("watches");
    rec.device().reset_peak();
    let look = Look { log_scale: -1.3, is_unconditional: false };
    let out = model.forward(rec, &mut session, 0, &latents, 500.0, (&driving, look)).expect("predicts");
    rec.download(&out).expect("read back")
}

/// Tensors of a golden file, as f32; integers are converted, and 16-bit tensors, which are weights, left out.
pub struct Golden(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Golden {
    pub fn open(name: &str) -> Self {
        Self::read(&golden_path(name))
    }

    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a golden is a valid file");
        let values = |view: &safetensors::tensor::TensorView| match view.dtype() {
            safetensors::Dtype::F32 => Some(bytemuck::pod_collect_to_vec(view.data())),
            safetensors::Dtype::I64 => Some(bytemuck::pod_collect_to_vec::<u8, i64>(view.data()).into_iter().map(|v| v as f32).collect()),
            safetensors::Dtype::F16 | safetensors::Dtype::BF16 => None,
            other => panic!("a golden of {other:?}"),
        };
        Self(file.iter().filter_map(|(name, view)| Some((name.to_string(), (view.shape().to_vec(), values(&view)?)))).collect())
    }

    /// Of numbers that no file has.
    pub fn of(tensors: impl Iterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Self {
        Self(tensors.map(|(name, shape, values)| (name, (shape, values))).collect())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.entry(name).0
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.entry(name).1
    }

    pub fn integers(&self, name: &str) -> Vec<u32> {
        self.values(name).iter().map(|&value| value as u32).collect()
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
