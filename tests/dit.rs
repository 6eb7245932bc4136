//! The diffusion transformer against goldens of diffusers' `WanAnimateTransformer3DModel`.

mod common;

use common::{Golden, assert_close, device, golden_path};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models::dit::animate::Animate;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::weights::Weights;

/// Both sides round to f32 at every step of a few hundred operations in different orders.
const F32: f64 = 2e-5;
/// Operands are rounded to 11 bits; two to four blocks add up their errors.
const F16: f64 = 2e-3;

fn load(checkpoint: &str, precision: Precision) -> (Animate, Recorder) {
    let (device, rec) = device();
    let folder = golden_path(checkpoint).join("transformer");
    let config: Config = serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("config")).expect("config");
    let weights = Weights::open(&folder).expect("weights");
    (Animate::load(&Loader::new(&device, &weights, precision), &config).expect("loads"), rec)
}

fn sample(checkpoint: &str, precision: Precision) -> (Vec<f32>, Golden) {
    let (model, mut rec) = load(checkpoint, precision);
    let golden = Golden::open(&format!("parts/{checkpoint}_transformer.safetensors"));
    let rec = &mut rec;
    let text_dim = model.config().text_dim;
    let mut text = golden.values("encoder_hidden_states").to_vec();
    text.resize(512 * text_dim, 0.0);
    let text = rec.upload(&[512, text_dim], &text).expect("text");
    let image = golden.upload(rec, "encoder_hidden_states_image");
    let context = model.context(rec, &text, Some(&image)).expect("context");
    let pose = golden.upload(rec, "pose_hidden_states");
    let pose = model.pose(rec, &pose).expect("pose");
    let face = golden.upload(rec, "face_encoder");
    let face = model.face_keys(rec, &face).expect("face");
    let latents = golden.upload(rec, "hidden_states");
    let timestep = f64::from(golden.values("timestep")[0]);
    let out = model.forward(rec, &latents, timestep, &context, &pose, &face).expect("forward");
    assert_eq!(out.shape(), golden.shape("sample"));
    (rec.download(&out).expect("download"), golden)
}

#[test]
fn forward_equals_diffusers() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F32);
        assert_close(checkpoint, &got, golden.values("sample"), F32);
    }
}

#[test]
fn f16_stays_near() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F16);
        assert_close(checkpoint, &got, golden.values("sample"), F16);
    }
}
