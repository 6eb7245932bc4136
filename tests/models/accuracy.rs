//! How far what a transformer predicts is from what it predicts in f32: in the default precision, with quantised weights, in 8 bits and by
//! radial attention, beside what PyTorch's bf16 does of the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Recorder, Tensor};
use wan_animate::unversioned::layers::Loader;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::animate::{Animate, Driving};
use wan_animate::unversioned::models::dit::block::Block;
use wan_animate::unversioned::models::dit::cache::work::Work;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::{Dit, SessionOptions, Timestep};
use wan_animate::unversioned::models::spec::Sizes;
use wan_animate::unversioned::weights::{NewTensor, Weights, write_safetensors};
use wan_animate::{Cancel, Device, Precision, RadialAttention};

use crate::common::{Golden, golden_path};
use crate::published::{Named, fill, tensors, write_gguf};
use crate::tiny::{Values, bytes, described, named, q8_0, read, rows, save_quantised};

/// A transformer, what it is given, and the distance of diffusers' bf16 from its f32 with that, as `tests/reference/accuracy.py` has it on a
/// CPU, where it was measured.
struct Subject {
    name: &'static str,
    folder: PathBuf,
    inputs: Golden,
    bf16: Option<f64>,
    /// Where the folder is made for the test.
    _made: Option<TempDir>,
}

/// How much of bf16's distance the default may have.
const DEFAULT: f64 = 0.15;

/// The root of the mean square of a difference, in parts of that of what is wanted.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = squares(&mut got.iter().zip(want).map(|(a, b)| f64::from(a - b)));
    (difference / squares(&mut want.iter().map(|&value| f64::from(value)))).sqrt()
}

impl Subject {
    fn golden(name: &'static str, bf16: f64) -> Self {
        let inputs = Golden::open(&format!("parts/{name}_transformer.safetensors"));
        Self { name, folder: golden_path(name).join("transformer"), inputs, bf16: Some(bf16), _made: None }
    }

    /// The demo's checkpoint on drawn numbers: a segment as long as it was trained with.
    fn demo(bf16: f64) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model/transformer");
        let inputs = [
            ("hidden_states", &[36, 6, 12, 12][..]),
            ("pose_hidden_states", &[16, 5, 12, 12]),
            ("face_pixel_values", &[3, 17, 32, 32]),
            ("encoder_hidden_states", &[20, 32]),
            ("encoder_hidden_states_image", &[17, 32]),
        ];
        Self { name: "demo", folder, inputs: drawn(&inputs), bf16: Some(bf16), _made: None }
    }

    /// The first layers of Wan2.1-T2V-1.3B's shape, of random numbers in bf16.
    fn wide() -> Self {
        let made = tempfile::tempdir().expect("a folder");
        let folder = made.path().to_path_buf();
        std::fs::write(folder.join("config.json"), WIDE_CONFIG).expect("written");
        write_wide(&folder.join("diffusion_pytorch_model.safetensors"));
        let inputs = drawn(&[("hidden_states", &[16, 3, 20, 20][..]), ("encoder_hidden_states", &[64, 4096])]);
        Self { name: "1.3B, 4 layers", folder, inputs, bf16: None, _made: Some(made) }
    }

    /// What the model predicts with these weights.
    fn predict(&self, weights: &Weights, precision: Precision) -> Vec<f32> {
        self.predict_as(weights, precision, Work::default())
    }

    fn predict_as(&self, weights: &Weights, precision: Precision, work: Work) -> Vec<f32> {
        let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
        let mut rec = Recorder::new(&device, Cancel::new());
        let rec = &mut rec;
        let loader = Loader::new(&device, weights, precision);
        // What a quantised twin does not tell.
        let config = Config::of(&self.weights()).expect("a configuration");
        let mut text = self.inputs.values("encoder_hidden_states").to_vec();
        text.resize(config.text_len * config.text_dim, 0.0);
        let text = rec.upload(&[config.text_len, config.text_dim], &text).expect("fits");
        let out = match self.inputs.names().any(|name| name == "pose_hidden_states") {
            true => self.animate(rec, &loader, &config, &text, work),
            false => self.text_to_video(rec, &loader, &config, &text, work),
        };
        rec.download(&out).expect("read back")
    }

    fn text_to_video(&self, rec: &mut Recorder, loader: &Loader, config: &Config, text: &Tensor, work: Work) -> Tensor {
        let model = Dit::<Block>::load(loader, config).expect("loads");
        let mut session = model.session(SessionOptions::default());
        model.add_prompt(rec, &mut session, text, None).expect("a prompt");
        let latents = self.inputs.upload(rec, "hidden_states");
        model.predict(rec, &mut session, 0, &latents, Timestep::Of(self.timestep()), work, &mut ()).expect("predicts").velocity
    }

    fn animate(&self, rec: &mut Recorder, loader: &Loader, config: &Config, text: &Tensor, work: Work) -> Tensor {
        let model = Animate::load(loader, config).expect("loads");
        let mut session = model.dit().session(SessionOptions::default());
        let [image, pose, latents] =
            ["encoder_hidden_states_image", "pose_hidden_states", "hidden_states"].map(|name| self.inputs.upload(rec, name));
        model.dit().add_prompt(rec, &mut session, text, Some(&image)).expect("a prompt");
        let pose = model.pose(rec, &pose).expect("a pose");
        let faces = self.faces(rec);
        let motion = model.motion(rec, &faces).expect("a motion");
        let tokens = model.face_tokens(rec, &motion).expect("faces");
        let mut face = model.face_keys(rec, &tokens).expect("faces");
        let driving = Driving { pose: &pose, face: &mut face };
        model.predict(rec, &mut session, 0, &latents, self.timestep(), work, driving).expect("predicts").velocity
    }

    fn timestep(&self) -> f64 {
        f64::from(self.inputs.values("timestep")[0])
    }

    /// [F, S, S, 3], where diffusers has [3, F, S, S].
    fn faces(&self, rec: &mut Recorder) -> Tensor {
        let (values, shape) = (self.inputs.values("face_pixel_values"), self.inputs.shape("face_pixel_values"));
        let plane = values.len() / 3;
        let pixels: Vec<f32> = (0..plane).flat_map(|i| (0..3).map(move |c| values[c * plane + i])).collect();
        rec.upload(&[shape[1], shape[2], shape[3], 3], &pixels).expect("fits")
    }

    fn weights(&self) -> Weights {
        models::open(&self.folder).expect("opens")
    }

    /// Diffusers' own predictions, where `WAN_ANIMATE_PYTHON` is a Python that has it: in f32 and in bf16.
    fn reference(&self) -> Option<[Vec<f32>; 2]> {
        let python = std::env::var_os("WAN_ANIMATE_PYTHON")?;
        let folder = tempfile::tempdir().expect("a folder");
        let [inputs, out] = ["inputs.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
        write(&self.inputs, &inputs);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/accuracy.py");
        let status = Command::new(python).arg(script).args([&self.folder, &inputs, &out]).status().expect("a Python");
        assert!(status.success(), "{}: diffusers failed", self.name);
        let golden = Golden::read(&out);
        Some(["f32", "bf16"].map(|name| golden.values(name).to_vec()))
    }
}

const WIDE_CONFIG: &str = r#"{ "_class_name": "WanTransformer3DModel", "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960,
    "num_layers": 4, "in_channels": 16, "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "image_dim": null, "added_kv_proj_dim": null,
    "patch_size": [1, 2, 2], "cross_attn_norm": true, "qk_norm": "rms_norm_across_heads", "eps": 1e-06, "rope_max_seq_len": 1024,
    "pos_embed_seq_len": null }"#;

/// Uniform random numbers with a variance of 1.
struct Numbers(u64);

impl Iterator for Numbers {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(((self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0) * 3f32.sqrt())
    }
}

/// Inputs of random numbers, at a timestep in the middle.
fn drawn(shapes: &[(&str, &[usize])]) -> Golden {
    let values = |(seed, (name, shape)): (usize, &(&str, &[usize]))| {
        let numbers = Numbers(seed as u64).take(shape.iter().product());
        (name.to_string(), shape.to_vec(), numbers.collect())
    };
    let timestep = ("timestep".to_string(), vec![1], vec![737.0]);
    Golden::of(shapes.iter().enumerate().map(values).chain([timestep]))
}

fn write(inputs: &Golden, path: &Path) {
    let tensors: Vec<NewTensor> = inputs
        .names()
        .map(|name| {
            let bytes = bytemuck::cast_slice(inputs.values(name));
            NewTensor { name, encoding: DType::F32.into(), shape: inputs.shape(name), bytes }
        })
        .collect();
    write_safetensors(path, &tensors).expect("written");
}

/// Signals keep their size: variances of 1 / inputs for matrices, norms around 1, and modulations as diffusers draws them.
fn write_wide(path: &Path) {
    let is_deep =
        |name: &str| name.strip_prefix("blocks.").and_then(|rest| rest.split('.').next()?.parse().ok()).is_some_and(|i: usize| i >= 4);
    let mut all = tensors("diffusers_t2v_1_3b", "BF16");
    all.retain(|tensor| !is_deep(&tensor.name));
    let data = |(seed, tensor): (usize, &Named)| {
        let count: usize = tensor.shape.iter().product();
        let inputs = count / tensor.shape[0];
        let (mean, deviation) = match tensor.shape[..] {
            [_] if tensor.name.contains("norm") && tensor.name.ends_with("weight") => (1.0, 0.1),
            [_] => (0.0, 0.1),
            [1, _, width] => (0.0, (width as f32).powf(-0.5)),
            _ => (0.0, (inputs as f32).powf(-0.5)),
        };
        let numbers = Numbers(1000 + seed as u64).take(count);
        numbers.flat_map(|number| half::bf16::from_f32(mean + deviation * number).to_le_bytes()).collect::<Vec<u8>>()
    };
    let places = crate::published::write_safetensors(path, &all);
    for (i, (tensor, place)) in all.iter().zip(places).enumerate() {
        fill(path, &[place], &[data((i, tensor))]);
    }
}

/// The same weights, the matrices of blocks quantised.
fn quantised(tensors: &[Values], folder: &Path, form: &str) -> Weights {
    let path = match form {
        "int8" => save_quantised(&folder.join("int8.safetensors"), tensors, rows),
        "fp8" => save_quantised(&folder.join("fp8.safetensors"), tensors, described),
        "q8_0" => save_q8_0(&folder.join("q8_0.gguf"), tensors),
        _ => panic!("{form}"),
    };
    models::open(path).expect("opens")
}

fn save_q8_0(path: &Path, tensors: &[Values]) -> PathBuf {
    let is_matrix = |name: &str, shape: &[usize]| name.starts_with("blocks.") && shape.len() == 2 && shape[1].is_multiple_of(32);
    let all: Vec<Named> = named(tensors)
        .into_iter()
        .map(|tensor| if is_matrix(&tensor.name, &tensor.shape) { Named { dtype: "Q8_0", ..tensor } } else { tensor })
        .collect();
    let kind = |tensor: &Named| if tensor.dtype == "Q8_0" { (8, 32, 34) } else { (0, 1, 4) };
    let places = write_gguf(path, &all, kind);
    for ((tensor, values), place) in all.iter().zip(tensors).zip(places) {
        let data = if tensor.dtype == "Q8_0" { q8_0(values) } else { bytes(std::slice::from_ref(values)).remove(0) };
        fill(path, &[place], &[data]);
    }
    path.into()
}

/// On goldens of diffusers.
#[test]
fn the_default_is_far_nearer_to_f32_than_bf16() {
    for (name, bf16) in [("tiny", BF16[0]), ("odd", BF16[1])] {
        let subject = Subject::golden(name, bf16);
        let off = distance(&subject.predict(&subject.weights(), Precision::F16), subject.inputs.values("sample"));
        println!("{name}: {off:.2e}, {:.3} of bf16", off / bf16);
        assert!(off < DEFAULT * bf16, "{name}: {off:.2e}, bf16 {bf16:.2e}");
    }
}

/// Prints the table. Where `WAN_ANIMATE_PYTHON` is a Python that has diffusers, f32 is compared with its, and bf16 computed anew.
#[test]
#[ignore = "takes a minute, with a Python several"]
fn distances_from_f32() {
    let subjects = [Subject::golden("tiny", BF16[0]), Subject::golden("odd", BF16[1]), Subject::demo(BF16[2]), Subject::wide()];
    println!("{:16} {:24} {:>10} {:>10}", "", "", "distance", "of bf16");
    for subject in &subjects {
        let name = subject.name;
        let reference = subject.reference();
        let now = reference.as_ref().map(|[f32, bf16]| distance(bf16, f32));
        let Some(bf16) = now.or(subject.bf16) else {
            println!("{name:16} left out: there is no Python to compute its bf16");
            continue;
        };
        let row = |what: &str, off: f64| println!("{name:16} {what:24} {off:10.2e} {:10.3}", off / bf16);
        row("PyTorch's bf16", bf16);
        let exact = subject.predict(&subject.weights(), Precision::F32);
        if let Some([f32, _]) = &reference {
            row("f32, to PyTorch's", distance(&exact, f32));
            assert!(distance(&exact, f32) < 1e-5, "{name}: other inputs");
            assert!(subject.bf16.is_none_or(|stored| (bf16 / stored - 1.0).abs() < 0.1), "{name}: bf16 is {bf16:.3e} off");
        }
        let default = distance(&subject.predict(&subject.weights(), Precision::F16), &exact);
        row("f16, the default", default);
        assert!(default < DEFAULT * bf16, "{name}: {default:.2e}");
        let (tensors, folder) = (read(&subject.folder), tempfile::tempdir().expect("a folder"));
        for form in ["q8_0", "int8", "fp8"] {
            let weights = quantised(&tensors, folder.path(), form);
            row(&format!("f16, weights in {form}"), distance(&subject.predict(&weights, Precision::F16), &exact));
        }
        let int8 = distance(&subject.predict(&subject.weights(), Precision::Int8), &exact);
        row("int8", int8);
        assert!(int8 <= bf16, "{name}: {int8:.2e}");
        // Of frames of few tokens, that is: what it is for has thousands.
        let radial = Work { radial: Some(RadialAttention::default()), ..Work::default() };
        row("f32, radial attention", distance(&subject.predict_as(&subject.weights(), Precision::F32, radial), &exact));
    }
}

/// Of the tiny and the odd checkpoint, and the demo's, by PyTorch 2.9.1 and diffusers 0.42.1.
const BF16: [f64; 3] = [6.22e-3, 8.08e-3, 1.006e-2];
