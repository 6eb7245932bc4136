//! The video autoencoder against diffusers 0.42.1 `AutoencoderKLWan`, and what must hold of it by itself.
//!
//! `tiny` has widths that are multiples of four, so that f16 storage is at work; `odd` has none, and other multipliers.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models::vae::Vae;
use wan_animate::unversioned::models::vae::config::Config;
use wan_animate::unversioned::ops::copy::concat;
use wan_animate::unversioned::tensor::Tensor;
use wan_animate::unversioned::weights::Weights;
use wan_animate::{Cancel, Device, Error, Result};

/// Sums of some hundred f32 products in another order than the reference's, through some twenty layers: values of about 1 differ
/// by a few 1e-6.
const F32_BOUND: f32 = 1e-5;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn golden(part: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(goldens().join("parts").join(format!("{part}_vae.safetensors"))).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensor = file.tensor(name).expect("a golden tensor");
    (tensor.shape().to_vec(), bytemuck::pod_collect_to_vec(tensor.data()))
}

/// [C, F, H, W] as [F, H, W, C].
fn channels_last((shape, values): (Vec<usize>, Vec<f32>)) -> (Vec<usize>, Vec<f32>) {
    let (channels, pixels) = (shape[0], shape[1..].iter().product::<usize>());
    let moved = (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| channel * pixels + pixel)).map(|i| values[i]).collect();
    (vec![shape[1], shape[2], shape[3], channels], moved)
}

fn config(part: &str) -> Config {
    let text = std::fs::read(goldens().join(part).join("vae/config.json")).expect("a config file");
    serde_json::from_slice(&text).expect("a config")
}

struct Setup {
    rec: Recorder,
    vae: Vae,
}

fn setup(part: &str, precision: Precision) -> Setup {
    let device = Device::builder().build().expect("a device");
    let weights = Weights::open(&goldens().join(part).join("vae")).expect("weights");
    let vae = Vae::load(&Loader::new(&device, &weights, precision), &config(part)).expect("a model");
    weights.finish().expect("all tensors are used");
    Setup { rec: Recorder::new(&device, Cancel::new()), vae }
}

impl Setup {
    fn upload(&mut self, (shape, values): &(Vec<usize>, Vec<f32>)) -> Tensor {
        self.rec.upload(shape, values).expect("an upload")
    }

    fn download(&mut self, tensor: &Tensor) -> Vec<f32> {
        self.rec.download(tensor).expect("a download")
    }

    /// The first `count` golden frames.
    fn frames(&mut self, part: &str, count: usize) -> Tensor {
        let (mut shape, mut values) = channels_last(golden(part, "frames"));
        values.truncate(values.len() / shape[0] * count);
        shape[0] = count;
        self.upload(&(shape, values))
    }
}

fn largest_difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    // A NaN must not vanish in `max`.
    assert!(actual.iter().all(|value| value.is_finite()));
    actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn encoding_equals_the_reference() {
    for part in ["tiny", "odd"] {
        let mut setup = setup(part, Precision::F32);
        for count in [1, 5, 9] {
            let frames = setup.frames(part, count);
            let latents = setup.vae.encode(&mut setup.rec, &frames).expect("latents");
            let (shape, expected) = golden(part, &format!("encode_{count}.latents"));
            assert_eq!(latents.shape(), shape);
            let difference = largest_difference(&setup.download(&latents), &expected);
            assert!(difference < F32_BOUND, "{part}, {count} frames: {difference}");
        }
    }
}

#[test]
fn decoding_equals_the_reference() {
    for part in ["tiny", "odd"] {
        let mut setup = setup(part, Precision::F32);
        let latents = setup.upload(&golden(part, "decode.latents"));
        let frames = setup.vae.decode(&mut setup.rec, &latents).expect("frames");
        let (shape, expected) = channels_last(golden(part, "decode.frames"));
        assert_eq!(frames.shape(), shape);
        let difference = largest_difference(&setup.download(&frames), &expected);
        assert!(difference < F32_BOUND, "{part}: {difference}");
    }
}

/// f16 has 11 bits: each operand is off by up to 2.4e-4 of itself, and the sum of many such errors through twenty layers stays
/// below ten times that. Encoding is in f32 whatever the precision.
#[test]
fn f16_stays_near_the_reference() {
    for part in ["tiny", "odd"] {
        let mut setup = setup(part, Precision::F16);
        let latents = setup.upload(&golden(part, "decode.latents"));
        let frames = setup.vae.decode(&mut setup.rec, &latents).expect("frames");
        let difference = largest_difference(&setup.download(&frames), &channels_last(golden(part, "decode.frames")).1);
        println!("f16 {part} {difference}");
        assert!(difference < 5e-3, "{part}: {difference}");
        let frames = setup.frames(part, 5);
        let latents = setup.vae.encode(&mut setup.rec, &frames).expect("latents");
        let difference = largest_difference(&setup.download(&latents), &golden(part, "encode_5.latents").1);
        assert!(difference < F32_BOUND, "{part}: {difference}");
    }
}

/// One after another, two videos decoded in turns give what each gives alone: the state is the stream's, not the model's.
#[test]
fn streams_are_apart_and_equal_the_whole() {
    let mut setup = setup("tiny", Precision::F32);
    let (shape, values) = golden("tiny", "decode.latents");
    let negated: Vec<f32> = values.iter().map(|value| -value).collect();
    let videos = [values, negated].map(|values| setup.upload(&(shape.clone(), values)));
    let Setup { rec, vae } = &mut setup;
    let latents = videos.each_ref().map(|video| vae.latent_frames(rec, video).expect("latent frames"));
    let mut decoders = [vae.decoder(), vae.decoder()];
    let mut frames = [vec![], vec![]];
    for index in 0..shape[1] {
        for video in 0..2 {
            let chunk = decoders[video].next(rec, &latents[video][index]).expect("frames");
            assert_eq!(chunk.shape(), [if index == 0 { 1 } else { 4 }, 16, 24, 3]);
            frames[video].push(chunk);
        }
    }
    for (video, frames) in videos.iter().zip(&frames) {
        let whole = vae.decode(rec, video).expect("frames");
        let streamed = concat(rec, &frames.iter().collect::<Vec<_>>()).expect("frames");
        assert_eq!(rec.download(&streamed).expect("values"), rec.download(&whole).expect("values"));
    }
}

#[test]
fn encoding_gives_a_latent_at_the_first_and_every_fourth_frame() {
    let mut setup = setup("tiny", Precision::F32);
    let (shape, values) = channels_last(golden("tiny", "frames"));
    let Setup { rec, vae } = &mut setup;
    let mut encoder = vae.encoder();
    for (index, frame) in values.chunks(values.len() / shape[0]).enumerate() {
        let frame = rec.upload(&shape[1..], frame).expect("an upload");
        let latent = encoder.next(rec, &frame).expect("a step");
        assert_eq!(latent.map(|latent| latent.shape().to_vec()), (index % 4 == 0).then(|| vec![2, 3, 16]));
    }
}

/// The later frames of a longer video need no memory that the first ones did not.
#[test]
fn memory_does_not_grow_with_length() {
    let mut setup = setup("tiny", Precision::F32);
    let latents = setup.upload(&golden("tiny", "decode.latents"));
    let Setup { rec, vae } = &mut setup;
    let latents = vae.latent_frames(rec, &latents).expect("latent frames");
    let mut decoder = vae.decoder();
    let mut peaks = vec![];
    for index in 0..12 {
        decoder.next(rec, &latents[index % latents.len()]).expect("frames");
        peaks.push(rec.device().memory_use().peak);
    }
    assert_eq!(peaks[3], peaks[11], "{peaks:?}");
}

#[test]
fn results_lie_within_one() {
    let mut setup = setup("odd", Precision::F32);
    let (shape, values) = golden("odd", "decode.latents");
    let latents = setup.upload(&(shape, values.iter().map(|value| value * 1e3).collect()));
    let frames = setup.vae.decode(&mut setup.rec, &latents).expect("frames");
    let values = setup.download(&frames);
    assert!(values.iter().all(|value| (-1.0..=1.0).contains(value)));
    assert!(values.iter().any(|value| value.abs() == 1.0));
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.expect_err("must be refused") {
        Error::Device(text) => panic!("left to the device: {text}"),
        error => error.to_string(),
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let Setup { mut rec, vae } = setup("tiny", Precision::F32);
    for (shape, expected) in [
        ([4, 16, 24, 3], "input: a video of 4 frames cannot be encoded, only 4n + 1 frames"),
        ([0, 16, 24, 3], "input: a video of 0 frames cannot be encoded, only 4n + 1 frames"),
        ([1, 12, 24, 3], "input: a frame of 24 x 12 pixels: both must be multiples of 8"),
        ([1, 0, 24, 3], "input: a frame of 24 x 0 pixels: both must be multiples of 8"),
        ([1, 16, 24, 4], "input: weight: C is 3, was 4"),
    ] {
        let frames = rec.upload(&shape, &vec![0.0; shape.iter().product()]).expect("an upload");
        assert_eq!(message(vae.encode(&mut rec, &frames)), expected);
    }
    for shape in [&[15, 1, 2, 2][..], &[16, 2, 2], &[16, 0, 2, 2]] {
        let latents = rec.upload(shape, &vec![0.0; shape.iter().product()]).expect("an upload");
        assert!(message(vae.decode(&mut rec, &latents)).starts_with("input: latents: shape ["));
    }
    let mut decoder = vae.decoder();
    for (size, ok) in [(2, true), (3, false)] {
        let latent = rec.upload(&[size, 2, 16], &vec![0.0; size * 32]).expect("an upload");
        assert_eq!(decoder.next(&mut rec, &latent).is_ok(), ok);
    }
}

#[test]
fn configurations_that_cannot_be_run_are_refused() {
    let unsupported = |change: fn(&mut Config)| {
        let mut config = config("tiny");
        change(&mut config);
        message(config.check())
    };
    assert!(unsupported(|config| config.is_residual = true).starts_with("unsupported: vae config: this value of `is_residual`"));
    assert!(unsupported(|config| config.patch_size = Some(2)).starts_with("unsupported: vae config: this value of `patch_size`"));
    assert!(unsupported(|config| config.attn_scales = vec![1.0]).starts_with("unsupported: vae config: this value of `attn_scales`"));
    let temporal = unsupported(|config| config.temperal_downsample = vec![false, false, true]);
    assert!(temporal.starts_with("unsupported: vae config: this value of `scale_factor_temporal`"), "{temporal}");
    assert_eq!(unsupported(|config| config.base_dim = 0), "input: vae config: `base_dim` is 0");
    assert_eq!(unsupported(|config| config.dim_mult[1] = usize::MAX), format!("input: vae config: `dim_mult` is {}", usize::MAX));
    assert_eq!(unsupported(|config| config.dim_mult = vec![]), "input: vae config: `dim_mult` has 0 entries, expected 1");
    let steps = unsupported(|config| config.temperal_downsample.truncate(2));
    assert_eq!(steps, "input: vae config: `temperal_downsample` has 2 entries, expected 3");
    assert_eq!(unsupported(|config| config.z_dim = 8), "input: vae config: `latents_mean` has 16 entries, expected 8");
    assert!(unsupported(|config| config.latents_std[3] = 0.0).contains("`latents_std` has a zero"));
}

#[test]
fn tensors_that_disagree_with_the_configuration_are_named() {
    let device = Device::builder().build().expect("a device");
    let weights = Weights::open(&goldens().join("tiny/vae")).expect("weights");
    let config = Config { base_dim: 5, ..config("tiny") };
    let error = message(Vae::load(&Loader::new(&device, &weights, Precision::F32), &config));
    assert!(error.contains("`encoder.conv_in.weight`") && error.contains("[4, 3, 3, 3, 3]"), "{error}");
}
