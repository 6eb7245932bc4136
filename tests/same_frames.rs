//! One tiny model, saved in every format and layout that users have, gives the frames of its twin in the layout of diffusers, bit for bit. A
//! quantised file's twin holds the numbers that its codes and scales stand for.

mod common;
#[path = "common/published.rs"]
mod published;
#[path = "common/tiny.rs"]
mod tiny;

use std::path::Path;
use std::sync::LazyLock;

use common::golden_path;
use published::{Named, fill, vocabulary, write_gguf, write_gguf_with, write_shards, write_torch};
use tempfile::TempDir;
use tiny::{
    Quantised, Values, bytes, described, e5m2, frames, legacy, named, official_clip, plain, prefixed, q8_0, read, renamed, rows, save,
    save_quantised, tensors,
};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::names::OFFICIAL as TRANSFORMER;
use wan_animate::unversioned::models::umt5::names::GGUF as UMT5_GGUF;
use wan_animate::unversioned::models::umt5::names::OFFICIAL as UMT5;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1 as VAE_2_1;
use wan_animate::unversioned::tokenizer::Tokenizer;
use wan_animate::unversioned::weights::NewTensor;
use wan_animate::{AnimatePipeline, Builder};

/// The frames of the model in the layout of diffusers.
static TWIN: LazyLock<Vec<f32>> = LazyLock::new(|| frames(|builder| builder).expect("the twin runs"));

fn assert_twin(what: &str, change: impl Fn(Builder<AnimatePipeline>) -> Builder<AnimatePipeline>) {
    let got = frames(change).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(got.iter().any(|&value| value != got[0]), "{what}: nothing to be seen");
    assert!(got == *TWIN, "{what}: other frames than the twin's");
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn transformers() {
    let folder = folder();
    let (here, there) = (tensors("transformer"), renamed(&TRANSFORMER, &tensors("transformer")));
    let place = |name: &str| folder.path().join(name);
    let single = save(&place("single.safetensors"), &here);
    assert_twin("one file, diffusers' names", |builder| builder.transformer(&single));
    let comfy = save(&place("comfy.safetensors"), &there);
    assert_twin("one file, official names", |builder| builder.transformer(&comfy));
    let prefix = save(&place("prefix.safetensors"), &prefixed(&there));
    assert_twin("one file, ComfyUI's prefix", |builder| builder.transformer(&prefix));

    let torch = place("transformer.pth");
    fill(&torch, &write_torch(&torch, &named(&there), true), &bytes(&there));
    assert_twin("a torch archive", |builder| builder.transformer(&torch));
    let gguf = place("transformer.gguf");
    fill(&gguf, &write_gguf(&gguf, &named(&there), |_| (0, 1, 4)), &bytes(&there));
    assert_twin("GGUF in f32", |builder| builder.transformer(&gguf));

    let shards = place("shards");
    std::fs::create_dir(&shards).expect("a folder");
    write_shards(&shards, &named(&there), 3);
    for (i, part) in there.chunks(there.len().div_ceil(3)).enumerate() {
        save(&shards.join(format!("diffusion_pytorch_model-{:05}-of-00003.safetensors", i + 1)), part);
    }
    assert_twin("official shards", |builder| builder.transformer(&shards));
}

#[test]
fn other_parts() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    let vae = save(&place("vae.safetensors"), &renamed(&VAE_2_1, &tensors("vae")));
    let vae_torch = place("vae.pth");
    let official = renamed(&VAE_2_1, &tensors("vae"));
    fill(&vae_torch, &write_torch(&vae_torch, &named(&official), false), &bytes(&official));
    // Nothing in its tensors tells how many heads this small encoder has.
    std::fs::copy(golden_path("tiny/image_encoder/config.json"), place("config.json")).expect("copied");
    let clip = save(&place("clip.safetensors"), &official_clip());
    let vision: Vec<Values> = tensors("image_encoder")
        .into_iter()
        .map(|tensor| Values { name: format!("vision_model.{}", tensor.name.trim_start_matches("vision_model.")), ..tensor })
        .chain([Values { name: "visual_projection.weight".into(), shape: vec![1, 2], data: vec![0.5; 2] }])
        .collect();
    let vision = save(&place("clip_vision_h.safetensors"), &vision);
    let text = save(&place("text.safetensors"), &renamed(&UMT5, &tensors("text_encoder")));
    for (what, vae, clip) in [("official names", &vae, &clip), ("a torch archive, transformers' names", &vae_torch, &vision)] {
        assert_twin(what, |builder| builder.vae(vae).image_encoder(clip).text_encoder(&text));
    }
}

/// ComfyUI's text encoder carries `spiece.model` as a tensor, GGUF its pieces as facts: no tokenizer is given.
#[test]
fn text_encoders_with_their_vocabulary() {
    let folder = folder();
    let model = std::fs::read(golden_path("tiny/tokenizer/spiece.model")).expect("there");
    let mut comfy: Vec<(String, Vec<usize>, Vec<u8>)> = tensors("text_encoder")
        .into_iter()
        .map(|tensor| (tensor.name, tensor.shape, bytemuck::cast_slice(&tensor.data).to_vec()))
        .collect();
    comfy.push(("spiece_model".into(), vec![model.len()], model.clone()));
    let entries: Vec<NewTensor> = comfy
        .iter()
        .map(|(name, shape, bytes)| {
            let encoding = if name == "spiece_model" { wan_animate::unversioned::weights::Encoding::U8 } else { DType::F32.into() };
            NewTensor { name, encoding, shape, bytes }
        })
        .collect();
    let path = folder.path().join("umt5.safetensors");
    wan_animate::unversioned::weights::write_safetensors(&path, &entries).expect("written");
    assert_twin("ComfyUI's text encoder", |builder| builder.text_encoder(&path));

    let (pieces, charsmap) = pieces(&model);
    let gguf = folder.path().join("umt5.gguf");
    let there = renamed(&UMT5_GGUF, &tensors("text_encoder"));
    fill(&gguf, &write_gguf_with(&gguf, &named(&there), |_| (0, 1, 4), &vocabulary(&pieces, &charsmap)), &bytes(&there));
    assert_twin("a text encoder in GGUF", |builder| builder.text_encoder(&gguf));
    let embedded = models::umt5::spec::tokenizer(&models::open(&gguf).expect("opens")).expect("whole").expect("there");
    let own = Tokenizer::open(golden_path("tiny/tokenizer/spiece.model")).expect("opens");
    for text in ["a person dances", "视频中的人在做动作", "ﬁne  ！ x</s>y", ""] {
        assert_eq!(embedded.encode(text, 512), own.encode(text, 512), "{text}");
    }
}

/// The pieces and the character map of a `spiece.model`: texts, scores, kinds.
fn pieces(model: &[u8]) -> (Vec<(String, f32, i32)>, Vec<u8>) {
    let (mut pieces, mut charsmap) = (Vec::new(), Vec::new());
    for (field, body) in fields(model) {
        match field {
            1 => {
                let mut piece = (String::new(), 0f32, 1);
                for (field, value) in fields(body) {
                    match field {
                        1 => piece.0 = String::from_utf8(value.into()).expect("text"),
                        2 => piece.1 = f32::from_le_bytes(value.try_into().expect("four bytes")),
                        _ => piece.2 = i32::from(value[0]),
                    }
                }
                pieces.push(piece);
            }
            3 => charsmap = fields(body).into_iter().find(|(field, _)| *field == 2).map(|(_, map)| map.to_vec()).unwrap_or_default(),
            _ => {}
        }
    }
    (pieces, charsmap)
}

/// The fields of a protobuf message, those that are numbers by their bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    fn number(bytes: &mut &[u8]) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let before = bytes;
        let length = match key & 7 {
            0 => {
                number(&mut bytes);
                let length = before.len() - bytes.len();
                bytes = before;
                length
            }
            2 => number(&mut bytes),
            5 => 4,
            _ => 8,
        };
        fields.push(((key >> 3) as u8, &bytes[..length]));
        bytes = &bytes[length..];
    }
    fields
}

/// Writes quantised matrices beside the rest, and holds the frames against those of a twin with the numbers that they stand for.
#[test]
fn quantised_transformers() {
    let there = renamed(&TRANSFORMER, &tensors("transformer"));
    for (what, quantise) in [
        ("fp8", plain as fn(&Values) -> Option<Quantised>),
        ("fp8 e5m2", e5m2),
        ("fp8 scaled, older", legacy),
        ("fp8 scaled, newer", described),
        ("int8 rows", rows),
    ] {
        let folder = folder();
        let path = save_quantised(&folder.path().join("quantised.safetensors"), &there, quantise);
        assert_own_twin(what, &path);
    }
    // Rows of whole blocks of 32 alone can be in q8_0.
    let folder = folder();
    let path = folder.path().join("quantised.gguf");
    let is_block = |tensor: &Named| tensor.shape.len() == 2 && tensor.shape[1].is_multiple_of(32);
    assert!(named(&there).iter().any(is_block));
    let kind = |tensor: &Named| if tensor.shape.len() == 2 && tensor.shape[1].is_multiple_of(32) { (8, 32, 34) } else { (0, 1, 4) };
    let data: Vec<Vec<u8>> = named(&there)
        .iter()
        .zip(&there)
        .map(|(named, tensor)| if is_block(named) { q8_0(tensor) } else { bytes(std::slice::from_ref(tensor)).remove(0) })
        .collect();
    fill(&path, &write_gguf(&path, &named(&there), kind), &data);
    assert_own_twin("q8_0", &path);
}

fn assert_own_twin(what: &str, path: &Path) {
    let folder = folder();
    let twin = save(&folder.path().join("twin.safetensors"), &read(path));
    let expected = frames(|builder| builder.transformer(&twin)).expect("the twin runs");
    let got = frames(|builder| builder.transformer(path)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(got == expected, "{what}: other frames than those of the numbers that the codes stand for");
    assert!(got != *TWIN, "{what}: nothing was quantised");
    let (mean, most) = common::difference(&got, &TWIN);
    println!("{what}: mean {mean:.1e}, largest {most:.1e} from the frames of the unquantised model");
    assert!(mean < 0.1, "{what}: {mean}");
}
