//! The image encoder against transformers.

use crate::common::{Golden, assert_close, device, golden_json, golden_path, golden_weights};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::clip::VisionModel;
use wan_animate::unversioned::models::clip::config::Config;
use wan_animate::{Cancel, Device, Error};

/// Sums in another order than the reference's, in two layers.
const F32: f64 = 1e-5;
/// Operands of products in f16, which has 11 bits: 5e-4 for each, over two layers whose errors add up.
const F16: f64 = 4e-3;

fn check(model: &VisionModel, device: &Device, golden: &Golden, tolerance: f64) {
    let mut rec = Recorder::new(device, Cancel::new());
    let pixels = golden.upload(&mut rec, "pixel_values");
    let embeds = model.forward(&mut rec, &pixels).expect("encodes");
    assert_eq!(embeds.shape(), golden.shape("image_embeds"));
    assert_close("image_embeds", &rec.download(&embeds).expect("reads back"), golden.values("image_embeds"), tolerance);
}

/// `tiny` has names without a prefix, `odd` with one; no tensor of either is left over.
#[test]
fn embeddings_agree() {
    let (device, _) = device();
    for checkpoint in ["tiny", "odd"] {
        let weights = golden_weights(&format!("{checkpoint}/image_encoder"));
        let config: Config = golden_json(&format!("{checkpoint}/image_encoder/config.json"));
        let golden = Golden::open(&format!("parts/{checkpoint}_image_encoder.safetensors"));
        for (precision, tolerance) in [(Precision::F32, F32), (Precision::F16, F16)] {
            let model = VisionModel::load(&Loader::new(&device, &weights, precision), &config).expect("loads");
            check(&model, &device, &golden, tolerance);
        }
        weights.finish().expect("every tensor is used");
    }
}

/// Patches that leave a border of the image unseen, heads of six in rows of twelve, another activation and epsilon.
#[test]
fn a_border_beyond_whole_patches_is_left_unseen() {
    let (device, _) = device();
    let weights = golden_weights("variants/clip.safetensors");
    let golden = Golden::open("variants/clip.safetensors");
    for (precision, tolerance) in [(Precision::F32, F32), (Precision::F16, F16)] {
        let loader = Loader::new(&device, &weights, precision).scope("weights");
        check(&VisionModel::load(&loader, &golden_json("variants/clip.json")).expect("loads"), &device, &golden, tolerance);
    }
    ["pixel_values", "image_embeds"].iter().for_each(|name| weights.ignore(name));
    weights.finish().expect("the numbers of positions count as used");
}

/// Without the last layer's tensors a checkpoint is damaged, although they are never uploaded.
#[test]
fn missing_tensors_are_named() {
    let file = golden_path("tiny/image_encoder/model.safetensors");
    let data = std::fs::read(&file).expect("the golden is there");
    let all = safetensors::SafeTensors::deserialize(&data).expect("the golden is whole");
    let folder = tempfile::tempdir().expect("a folder");
    let (device, _) = device();
    for missing in ["encoder.layers.2.mlp.fc2.bias", "post_layernorm.weight", "embeddings.class_embedding"] {
        let kept = all.iter().filter(|(name, _)| *name != missing);
        safetensors::serialize_to_file(kept, None, &folder.path().join("model.safetensors")).expect("writes");
        let weights = models::open(folder.path()).expect("opens");
        let loaded = VisionModel::load(&Loader::new(&device, &weights, Precision::F32), &golden_json("tiny/image_encoder/config.json"));
        assert!(matches!(loaded, Err(Error::Weights { tensor: Some(name), .. }) if name == missing), "{missing}");
    }
}

#[test]
fn wrong_configurations_and_images_are_refused() {
    let (device, mut rec) = device();
    let weights = golden_weights("tiny/image_encoder");
    let loader = Loader::new(&device, &weights, Precision::F32);
    let good: Config = golden_json("tiny/image_encoder/config.json");
    let config = |change: fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        VisionModel::load(&loader, &config).map(|_| ())
    };
    assert!(matches!(config(|c| c.num_hidden_layers = 4), Err(Error::Weights { .. })));
    assert!(matches!(config(|c| c.image_size = 42), Err(Error::Weights { .. })));
    assert!(matches!(config(|c| c.num_hidden_layers = 0), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.intermediate_size = usize::MAX), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.num_attention_heads = 3), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.patch_size = 29), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.num_channels = 4), Err(Error::Unsupported(_))));
    assert!(matches!(config(|c| c.hidden_act = "mish".into()), Err(Error::Unsupported(_))));

    let model = VisionModel::load(&loader, &good).expect("loads");
    let small = rec.upload(&[3, 14, 14], &[0.0; 588]).expect("uploads");
    assert!(matches!(model.forward(&mut rec, &small), Err(Error::Input(_))));
}
