//! Files of kinds that people have: all models in one, Quanto's numbers, text encoders with their decoder, decoders of larger frames.

use std::path::Path;

use crate::common::golden_path;
use crate::published::{Named, fill, write_safetensors};
use crate::tiny::{Quantised, Values, frames, part, renamed, rows, save, save_quantised, tensors};
use tempfile::TempDir;
use wan_animate::unversioned::models::dit::names::OFFICIAL as TRANSFORMER;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1 as VAE_2_1;
use wan_animate::{AnimatePipeline, Conversion, Error, Storage, inspect_weights};

fn prefixed(prefix: &str, tensors: &[Values]) -> Vec<Values> {
    tensors.iter().map(|tensor| Values { name: format!("{prefix}{}", tensor.name), ..tensor.clone() }).collect()
}

fn values(name: &str, shape: &[usize]) -> Values {
    Values { name: name.into(), shape: shape.to_vec(), data: vec![0.25; shape.iter().product()] }
}

/// The tiny transformer, text encoder, image encoder and VAE in one file, by the prefixes that ComfyUI gives them.
fn all_in_one(path: &Path, vae: &str) {
    let image_encoder = tensors("image_encoder").into_iter().map(|tensor| match tensor.name.strip_prefix("vision_model.") {
        Some(_) => tensor,
        None => Values { name: format!("vision_model.{}", tensor.name), ..tensor },
    });
    let all = [
        prefixed("model.diffusion_model.", &renamed(&TRANSFORMER, &tensors("transformer"))),
        prefixed(vae, &renamed(&VAE_2_1, &tensors("vae"))),
        prefixed("text_encoders.umt5xxl.transformer.", &tensors("text_encoder")),
        prefixed("clip_vision.", &image_encoder.collect::<Vec<_>>()),
    ];
    save(path, &all.concat());
}

#[test]
fn parts_are_taken_from_files_of_all() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("rapid.safetensors");
    let expected = frames(|builder| builder).expect("frames");
    for vae in ["vae.", "first_stage_model."] {
        all_in_one(&path, vae);
        let got = frames(|builder| builder.transformer(&path).vae(&path).text_encoder(&path)).expect("frames");
        assert!(got == expected, "{vae}");
        let reports = inspect_weights(&path).expect("reads");
        let kinds: Vec<_> = reports.iter().map(|report| report.kind.as_str()).collect();
        assert_eq!(kinds.len(), 4, "{kinds:?}");
        for kind in ["an Animate transformer", "a UMT5 text encoder", "a CLIP image encoder", "a VAE 2.1"] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        assert!(reports.iter().all(|report| report.unknown.is_empty() && report.missing.is_empty()), "{reports:?}");
    }
    // In the folder of a release it is each of the parts, and by itself none.
    let release = AnimatePipeline::builder(&crate::tiny::DEVICE).checkpoint(folder.path()).tokenizer(golden_path("tiny/tokenizer"));
    let error = release.build().expect_err("nothing tells the image encoder's heads").to_string();
    assert!(error.contains("heads of 80 or 64"), "{error}");
    let error = Conversion::new(&path).write(folder.path().join("output")).expect_err("which").to_string();
    assert!(error.contains("a UMT5 text encoder") && error.contains("in one"), "{error}");
    let error = frames(|builder| builder.vae(golden_path("tiny/text_encoder"))).expect_err("no VAE").to_string();
    assert!(error.contains("give it as `text_encoder`"), "{error}");
}

/// What [`rows`] makes, by Quanto's names.
fn quanto(tensor: &Values) -> Option<Quantised> {
    let layer = tensor.name.trim_end_matches(".weight");
    let mut parts = rows(tensor)?;
    for (named, _) in &mut parts {
        named.name = match named.name.strip_suffix("_scale") {
            Some(weight) => format!("{weight}._scale"),
            None => format!("{}._data", named.name),
        };
    }
    let one = |name: &str| (part(&format!("{layer}.{name}"), "F32", &[]), 1f32.to_le_bytes().to_vec());
    Some([parts, vec![one("input_scale"), one("output_scale")]].concat())
}

/// Quanto's int8 is that of others under other names: the same frames, whatever the names of the layers.
#[test]
fn quanto_files_make_the_same_frames() {
    let folder = TempDir::new().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let (here, there) = (tensors("transformer"), renamed(&TRANSFORMER, &tensors("transformer")));
    for (layout, tensors) in [("diffusers", here), ("official", there)] {
        let expected = save_quantised(&place("rows.safetensors"), &tensors, rows);
        let got = save_quantised(&place("quanto.safetensors"), &tensors, quanto);
        let [got, expected] = [got, expected].map(|path| frames(|builder| builder.transformer(&path)).expect(layout));
        assert!(got == expected, "{layout}");
    }
    let report = &inspect_weights(place("quanto.safetensors")).expect("reads")[0];
    assert!(report.unknown.is_empty() && report.missing.is_empty() && report.encodings["i8"].0 > 5, "{report}");
    Conversion::new(place("quanto.safetensors")).storage(Storage::Bf16).write(place("converted")).expect("converts");
    frames(|builder| builder.transformer(place("converted"))).expect("runs");
}

#[test]
fn decoders_of_text_are_ignored() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("umt5.safetensors");
    let mut all = tensors("text_encoder");
    for name in [
        "decoder.embed_tokens.weight",
        "decoder.block.0.layer.1.EncDecAttention.q.weight",
        "decoder.final_layer_norm.weight",
        "lm_head.weight",
    ] {
        all.push(values(name, &[16]));
    }
    save(&path, &all);
    let got = frames(|builder| builder.text_encoder(&path).tokenizer(golden_path("tiny/tokenizer"))).expect("frames");
    assert!(got == frames(|builder| builder).expect("frames"));
    let report = &inspect_weights(&path).expect("reads")[0];
    assert!(report.unknown.is_empty() && report.missing.is_empty(), "{report}");
    // What is converted is the encoder.
    let output = folder.path().join("converted");
    Conversion::new(&path).write(&output).expect("converts");
    assert_eq!(inspect_weights(&output).expect("reads")[0].tensors, tensors("text_encoder").len());
    // Any other leftover is unknown still.
    all.push(values("encoder.something", &[1]));
    save(&path, &all);
    let error = frames(|builder| builder.text_encoder(&path)).expect_err("unknown").to_string();
    assert!(error.contains("1 of ") && error.contains("`encoder.something`"), "{error}");
}

/// A decoder of 12 channels makes frames twice as high and wide.
#[test]
fn decoders_of_larger_frames_are_refused_by_name() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("upscale2x.safetensors");
    let mut all = tensors("vae");
    for tensor in &mut all {
        if let "decoder.conv_out.weight" | "decoder.conv_out.bias" = tensor.name.as_str() {
            tensor.shape[0] = 12;
            tensor.data = tensor.data.repeat(4);
        }
    }
    save(&path, &all);
    let error = AnimatePipeline::builder(&crate::tiny::DEVICE).checkpoint(golden_path("tiny")).vae(&path).build().expect_err("12 channels");
    assert!(
        matches!(&error, Error::Unsupported(message) if message.contains("`out_channels` is 12") && message.contains("upscale 2x")),
        "{error}"
    );
    let report = &inspect_weights(&path).expect("reads")[0];
    assert!(report.failure.as_ref().is_some_and(|failure| failure.contains("upscale 2x")), "{report}");
    assert!(report.to_string().contains("cannot be loaded: "), "{report}");
}

/// A file without tensors is told by name too.
#[test]
fn nothing_in_one_is_nothing() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("empty.safetensors");
    fill(&path, &write_safetensors(&path, &[] as &[Named]), &[]);
    let error = frames(|builder| builder.vae(&path)).expect_err("empty").to_string();
    assert!(error.contains("empty.safetensors"), "{error}");
}
