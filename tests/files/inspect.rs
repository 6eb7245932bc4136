//! What the example `inspect_weights` says of files, and that a name which is nearly right is answered with the right one.

#[allow(dead_code, reason = "its main function is not a test's")]
#[path = "../../examples/inspect_weights.rs"]
mod inspect_weights;

use std::fs;
use std::path::Path;

use crate::common::golden_path;
use crate::published::{fill, write_gguf, write_torch};
use crate::tiny::{Values, bytes, legacy, named, renamed, rows, save, save_quantised, tensors};
use tempfile::TempDir;
use wan_animate::unversioned::models::dit::names::{MODULAR_2, OFFICIAL as TRANSFORMER, OFFICIAL_2};
use wan_animate::unversioned::models::umt5::names::GGUF as UMT5_GGUF;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1 as VAE_2_1;
use wan_animate::{AnimatePipeline, Conversion};

/// What the example prints, with a folder's name left out.
fn describe(path: &Path, folder: &Path) -> String {
    let text = inspect_weights::describe(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace(folder.to_str().expect("text"), "FOLDER")
}

/// Every line of it, for each format and layout.
#[test]
fn reports_are_complete() {
    let folder = TempDir::new().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let official = renamed(&TRANSFORMER, &tensors("transformer"));
    save_quantised(&place("a.safetensors"), &official, legacy);
    let vae = renamed(&VAE_2_1, &tensors("vae"));
    fill(&place("b.pth"), &write_torch(&place("b.pth"), &named(&vae), false), &bytes(&vae));
    let text = renamed(&UMT5_GGUF, &tensors("text_encoder"));
    fill(&place("c.gguf"), &write_gguf(&place("c.gguf"), &named(&text), |_| (0, 1, 4)), &bytes(&text));
    fs::create_dir(place("d")).expect("a folder");
    save_quantised(&place("d/d.safetensors"), &official, rows);
    assert_eq!(
        describe(folder.path(), folder.path()),
        "\
FOLDER/a.safetensors
  an Animate transformer: safetensors, transformer, official names
  142 tensors, 41926 parameters, 121.6 kB
    f32: 118 tensors, 106.3 kB
    f8_e4m3: 24 tensors, 15.4 kB
  unknown: none
  missing: none

FOLDER/b.pth
  a VAE 2.1: torch archive, VAE 2.1, official names
  146 tensors, 61887 parameters, 247.5 kB
    f32: 146 tensors, 247.5 kB
  unknown: none
  missing: none

FOLDER/c.gguf
  a UMT5 text encoder: GGUF, UMT5 encoder, GGUF names
  22 tensors, 6496 parameters, 26.0 kB
    f32: 22 tensors, 26.0 kB
  unknown: none
  missing: none

FOLDER/d/d.safetensors
  an Animate transformer: safetensors, transformer, official names
  142 tensors, 41926 parameters, 121.6 kB
    f32: 118 tensors, 106.3 kB
    i8: 24 tensors, 15.4 kB
  unknown: none
  missing: none

0.001 GB in 4 checkpoints
"
    );
    assert_eq!(
        describe(&golden_path("tiny/image_encoder"), &golden_path("tiny")),
        "\
FOLDER/image_encoder/model.safetensors
  a CLIP image encoder: safetensors, names as in diffusers or transformers
  55 tensors, 16240 parameters, 65.0 kB
    f32: 55 tensors, 65.0 kB
  unknown: none
  missing: none

0.000 GB in 1 checkpoints
"
    );
    let error = inspect_weights::describe(&place("none")).expect_err("nothing there").to_string();
    assert!(error.contains("none: No such file"), "{error}");
}

/// By the names that tell it; a single file in those of Wan2.1's I2V does not.
#[test]
fn animate_2_is_told_by_its_names() {
    let (folder, all) = (TempDir::new().expect("a folder"), crate::tiny::read(&golden_path("animate2/base/transformer")));
    let described = |name: &str, layout: &str| {
        let text = describe(&folder.path().join(name), folder.path());
        let head = format!("FOLDER/{name}\n  a video transformer: safetensors, {layout}\n");
        assert!(text.starts_with(&head) && text.contains("  unknown: none\n  missing: none\n"), "{text}");
    };
    save(&folder.path().join("a.safetensors"), &renamed(&OFFICIAL_2, &all));
    described("a.safetensors", "Animate-2's transformer, official names");
    save(&folder.path().join("b.safetensors"), &renamed(&MODULAR_2, &all));
    described("b.safetensors", "Animate-2's transformer, diffusers' names");
    save(&folder.path().join("c.safetensors"), &renamed(&TRANSFORMER, &all));
    described("c.safetensors", "transformer, official names");
    let whole = inspect_weights::describe(&golden_path("animate2/base")).expect("a checkpoint");
    assert!(whole.ends_with("0.001 GB in 4 checkpoints\n"), "{whole}");
}

/// In the report and, where a model is to be made of it, as the reason to refuse it.
#[test]
fn names_that_are_nearly_right_are_answered() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let mut all = tensors("transformer");
    let (wrong, right) = ("blocks.1.atn1.to_q.weight", "blocks.1.attn1.to_q.weight");
    all.iter_mut().find(|tensor| tensor.name == right).expect("there").name = wrong.into();
    all.push(Values { name: "something.else".into(), shape: vec![1], data: vec![0.0] });
    save(&path, &all);
    assert_eq!(
        describe(&path, folder.path()),
        "\
FOLDER/model.safetensors
  an Animate transformer: safetensors, names as in diffusers or transformers
  143 tensors, 41927 parameters, 167.7 kB
    f32: 143 tensors, 167.7 kB
  unknown: 2
    blocks.1.atn1.to_q.weight (near blocks.1.attn1.to_q.weight)
    something.else
  missing: 1
    blocks.1.attn1.to_q.weight

0.000 GB in 1 checkpoints
"
    );
    let refused = |error: wan_animate::Error| {
        let message = error.to_string();
        assert!(message.contains("model.safetensors: 2 ") && message.contains(&format!("`{wrong}`")), "{message}");
        assert!(message.contains("unknown") && message.contains(&format!("near `{right}`")), "{message}");
    };
    refused(Conversion::new(&path).write(folder.path().join("output")).expect_err("unknown"));
    // With a tensor that is there by its right name too, all that the model needs is found, and still it is refused.
    let mut twice = tensors("transformer");
    let copies: Vec<Values> = twice.iter().filter(|tensor| tensor.name == right).cloned().collect();
    twice.extend(copies.into_iter().map(|tensor| Values { name: wrong.into(), ..tensor }));
    twice.push(Values { name: "something.else".into(), shape: vec![1], data: vec![0.0] });
    save(&path, &twice);
    let builder = AnimatePipeline::builder(&crate::tiny::DEVICE).checkpoint(golden_path("tiny")).transformer(&path);
    refused(builder.build().expect_err("unknown"));
}

/// Shapes that do not belong together, and settings that no model has, are found without reading a number.
#[test]
fn what_a_run_would_refuse_is_found_by_headers_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let changed = |part: &str, name: &str, change: fn(&mut Values)| {
        let mut all = tensors(part);
        change(all.iter_mut().find(|tensor| tensor.name == name).expect("there"));
        save(&path, &all);
        let text = describe(&path, folder.path());
        let refused = Conversion::new(&path).write(folder.path().join("output")).expect_err(name).to_string();
        (text, refused)
    };
    let shape = |tensor: &mut Values| tensor.shape = vec![tensor.data.len()];
    // Nothing in its tensors tells how many heads the small image encoder has.
    fs::copy(golden_path("tiny/image_encoder/config.json"), folder.path().join("config.json")).expect("copied");
    let cases = [
        ("transformer", "blocks.1.attn2.to_v.weight", "[576], needed [24, 24]"),
        ("transformer", "face_encoder.out_proj.weight", "needed [24,"),
        ("text_encoder", "encoder.block.1.layer.1.DenseReluDense.wo.weight", "[384], needed [16, 24]"),
        ("image_encoder", "encoder.layers.2.mlp.fc2.weight", "needed [16, 32]"),
        ("vae", "decoder.up_blocks.1.resnets.0.conv1.weight", "3, 3, 3]"),
    ];
    for (part, name, words) in cases {
        let (text, refused) = changed(part, name, shape);
        assert!(text.contains("  of another shape: 1\n") && text.contains(name) && text.contains(words), "{text}");
        assert!(refused.contains(&format!("`{name}`")), "{refused}");
    }
    // A configuration can say anything; what it comes to is not tried out.
    let json = |text: &str| fs::write(folder.path().join("config.json"), text).expect("written");
    for (field, words) in [
        (r#""num_layers": 1048576"#, "after 131072 others"),
        (r#""image_dim": 9223372036854775807"#, "image_embedder"),
        (r#""in_channels": 4611686018427387904"#, "patch_embedding"),
        (r#""num_attention_heads": 0"#, "`num_attention_heads` is 0"),
    ] {
        json(
            &format!(r#"{{"_class_name": "WanTransformer3DModel", "num_attention_heads": 2, "attention_head_dim": 12, {field}}}"#)
                .replace(r#""num_attention_heads": 2, "attention_head_dim": 12, "num_attention_heads": 0"#, r#""num_attention_heads": 0"#),
        );
        let plain: Vec<Values> = tensors("transformer").into_iter().filter(|tensor| tensor.name.starts_with("blocks.")).collect();
        save(&path, &plain);
        let text = describe(&path, folder.path());
        assert!(text.contains("cannot be loaded: ") && text.contains(words), "{text}");
    }
    fs::remove_file(folder.path().join("config.json")).expect("there");
    // Without the tensor that tells a size, there is no saying what is missing.
    let (text, refused) = changed("transformer", "patch_embedding.weight", |tensor| tensor.name = "patch.weight".into());
    assert!(text.contains("cannot be loaded: ") && text.contains("`patch_embedding.weight`: missing"), "{text}");
    assert!(refused.contains("`patch_embedding.weight`"), "{refused}");
    let (text, _) = changed("vae", "quant_conv.bias", |tensor| tensor.name = "encoder.conv_in.gamma".into());
    assert!(text.contains("missing: 1\n    quant_conv.bias") && text.contains("unknown: 1\n    encoder.conv_in.gamma"), "{text}");
}
