//! The motion and face encoders against diffusers.

use crate::common::{Golden, assert_close, device, golden_json, golden_path, golden_weights};
use wan_animate::Error;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::face_encoder::FaceEncoder;
use wan_animate::unversioned::models::dit::motion_encoder::MotionEncoder;

/// A dozen layers in f32, whose sums are in another order than the reference's.
const TOLERANCE: f64 = 1e-5;

fn config(name: &str) -> Config {
    golden_json(name)
}

/// [3, F, S, S] to [F, S, S, 3]
fn channels_last(values: &[f32], frames: usize, size: usize) -> Vec<f32> {
    let plane = size * size;
    let value = |frame: usize, pixel: usize, channel: usize| values[(channel * frames + frame) * plane + pixel];
    let pixels = (0..frames).flat_map(|frame| (0..plane).map(move |pixel| (frame, pixel)));
    pixels.flat_map(|(frame, pixel)| (0..3).map(move |channel| value(frame, pixel, channel))).collect()
}

#[test]
fn checkpoints_agree() {
    let (device, mut rec) = device();
    for checkpoint in ["tiny", "odd"] {
        let weights = golden_weights(&format!("{checkpoint}/transformer"));
        let config = config(&format!("{checkpoint}/transformer/config.json"));
        let loader = Loader::new(&device, &weights, Precision::F32);
        let golden = Golden::open(&format!("parts/{checkpoint}_transformer.safetensors"));

        let &[_, frames, size, _] = golden.shape("face_pixel_values") else { panic!("a video") };
        let pixels = channels_last(golden.values("face_pixel_values"), frames, size);
        let pixels = rec.upload(&[frames, size, size, 3], &pixels).expect("uploads");
        let encoder = MotionEncoder::load(&loader.scope("motion_encoder"), &config).expect("loads");
        let motion = encoder.forward(&mut rec, &pixels).expect("encodes");
        assert_eq!(motion.shape(), golden.shape("motion_encoder"));
        assert_close("motion", &rec.download(&motion).expect("reads back"), golden.values("motion_encoder"), TOLERANCE);

        let encoder = FaceEncoder::load(&loader.scope("face_encoder"), &config).expect("loads");
        let motion = golden.upload(&mut rec, "motion_encoder");
        let tokens = encoder.forward(&mut rec, &motion).expect("encodes");
        assert_eq!(tokens.shape(), golden.shape("face_encoder"));
        assert_close("tokens", &rec.download(&tokens).expect("reads back"), golden.values("face_encoder"), TOLERANCE);
    }
}

/// 19 pixels halve to 9 and 4; 9 frames are worked on two at a time.
#[test]
fn odd_sizes_and_counts_agree() {
    let (device, mut rec) = device();
    let golden = Golden::open("variants/face.safetensors");
    let weights = golden_weights("variants/face.safetensors");
    let config = config("variants/face.json");
    let loader = Loader::new(&device, &weights, Precision::F32).scope("weights");
    let frames = golden.upload(&mut rec, "frames");
    let encoder = MotionEncoder::load(&loader.scope("motion_encoder"), &config).expect("loads");
    let motion = encoder.forward(&mut rec, &frames).expect("encodes");
    assert_close("motion", &rec.download(&motion).expect("reads back"), golden.values("motion"), TOLERANCE);

    let encoder = FaceEncoder::load(&loader.scope("face_encoder"), &config).expect("loads");
    for count in [1, 2, 5, 9] {
        let width = config.motion_encoder_dim;
        let motion = rec.upload(&[count, width], &golden.values("motion")[..count * width]).expect("uploads");
        let tokens = encoder.forward(&mut rec, &motion).expect("encodes");
        let name = format!("tokens_{count}");
        assert_eq!(tokens.shape(), golden.shape(&name));
        assert_close(&name, &rec.download(&tokens).expect("reads back"), golden.values(&name), TOLERANCE);
    }
}

#[test]
fn wrong_configurations_and_frames_are_refused() {
    let (device, mut rec) = device();
    let weights = golden_weights("tiny/transformer");
    let loader = Loader::new(&device, &weights, Precision::F32);
    let good = config("tiny/transformer/config.json");
    let motion = |change: fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        MotionEncoder::load(&loader.scope("motion_encoder"), &config).map(|_| ())
    };
    assert!(matches!(motion(|c| c.motion_style_dim = 17), Err(Error::Weights { .. })));
    assert!(matches!(motion(|c| c.motion_encoder_channel_sizes = None), Err(Error::Weights { .. })), "512 channels");
    assert!(matches!(motion(|c| c.motion_encoder_size = 32), Err(Error::Input(_))), "no entry");
    assert!(matches!(motion(|c| c.motion_encoder_size = 20), Err(Error::Input(_))), "halves to 5");
    assert!(matches!(motion(|c| c.motion_encoder_size = 2), Err(Error::Input(_))));
    assert!(matches!(motion(|c| c.motion_encoder_size = 0), Err(Error::Input(_))));
    assert!(matches!(motion(|c| c.motion_encoder_dim = 5), Err(Error::Input(_))), "more directions than dimensions");
    let none = Config { face_encoder_hidden_dim: 0, ..good.clone() };
    assert!(matches!(none.check(), Err(Error::Input(_))));

    let encoder = MotionEncoder::load(&loader.scope("motion_encoder"), &good).expect("loads");
    for shape in [[1, 8, 16, 3], [1, 16, 8, 3], [1, 16, 16, 4]] {
        let frames = rec.upload(&shape, &vec![0.0; shape.iter().product()]).expect("uploads");
        assert!(matches!(encoder.forward(&mut rec, &frames), Err(Error::Input(_))), "{shape:?}");
    }
    let encoder = FaceEncoder::load(&loader.scope("face_encoder"), &good).expect("loads");
    let narrow = rec.upload(&[5, 11], &[0.0; 55]).expect("uploads");
    assert!(matches!(encoder.forward(&mut rec, &narrow), Err(Error::Input(_))));
}

/// The published table of channels: a size of 512 begins with 32.
#[test]
fn without_a_table_the_published_channels_are_expected() {
    let (device, _) = device();
    let file = golden_path("tiny/transformer/diffusion_pytorch_model.safetensors");
    let weights = models::open(&file).expect("opens");
    let loader = Loader::new(&device, &weights, Precision::F32).scope("motion_encoder");
    for (size, channels) in [(4, 512), (32, 512), (64, 256), (512, 32), (1024, 16)] {
        let config = Config { motion_encoder_size: size, motion_encoder_channel_sizes: None, ..Config::default() };
        let error = MotionEncoder::load(&loader, &config).expect_err("the checkpoint is smaller").to_string();
        assert!(error.contains(&format!("shape [{channels}]")), "{size}: {error}");
    }
}
