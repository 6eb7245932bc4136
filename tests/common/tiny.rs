//! The tiny checkpoint's tensors, and what makes checkpoints of other layouts and quantised ones of them.

#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use image::RgbImage;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::clip::names::OFFICIAL as CLIP;
use wan_animate::unversioned::weights::names::Table;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, Builder, Device, Event, Precision, Result};

use crate::common::golden_path;
use crate::published::{Named, fill, write_safetensors};

pub static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::builder().shader_checks(true).build().expect("an adapter"));

/// What the tiny checkpoint with other parts makes of a few drawn images.
pub fn frames(change: impl Fn(Builder<AnimatePipeline>) -> Builder<AnimatePipeline>) -> Result<Vec<f32>> {
    let builder = AnimatePipeline::builder(&DEVICE).checkpoint(golden_path("tiny")).precision(Precision::F32);
    let pipeline = change(builder).build()?;
    let image = |i: usize| RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]));
    let video = || Frames::from_images((0..5).map(image));
    let motion = Motion::new(video()?, video()?)?;
    let reference = image(9);
    let request = pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(1);
    let mut samples = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            samples.extend_from_slice(frame.samples());
        }
    }
    Ok(samples)
}

/// A tensor in f32.
#[derive(Clone)]
pub struct Values {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The tensors of a part of the tiny checkpoint, by diffusers' names.
pub fn tensors(part: &str) -> Vec<Values> {
    read(&golden_path("tiny").join(part))
}

pub fn read(path: &Path) -> Vec<Values> {
    let weights = models::open(path).expect("opens");
    let values = |name: &str, shape: &[usize]| weights.to_f32(name, shape).expect(name);
    weights.iter().map(|(name, info)| Values { name: name.into(), shape: info.shape.clone(), data: values(name, &info.shape) }).collect()
}

/// The same tensors by the names, and in the shapes, of another layout.
pub fn renamed(table: &Table, tensors: &[Values]) -> Vec<Values> {
    let mut parts: BTreeMap<String, BTreeMap<usize, &Values>> = BTreeMap::new();
    for tensor in tensors {
        let name = tensor.name.strip_prefix("vision_model.").unwrap_or(&tensor.name);
        let origin = table.to_origin(name).unwrap_or_else(|| panic!("{name} is unknown"));
        parts.entry(origin.name).or_default().insert(origin.part, tensor);
    }
    let joined = parts.into_iter().map(|(name, parts)| {
        let mut shape = parts[&0].shape.clone();
        shape[0] = parts.values().map(|part| part.shape[0]).sum();
        let data = parts.values().flat_map(|part| part.data.clone()).collect();
        if parts[&0].name.ends_with("act_fn.bias") {
            shape = vec![1, shape[0], 1, 1];
        }
        Values { name, shape, data }
    });
    joined.collect()
}

pub fn named(tensors: &[Values]) -> Vec<Named> {
    tensors.iter().map(|tensor| Named { name: tensor.name.clone(), dtype: "F32", shape: tensor.shape.clone() }).collect()
}

pub fn bytes(tensors: &[Values]) -> Vec<Vec<u8>> {
    tensors.iter().map(|tensor| bytemuck::cast_slice(&tensor.data).to_vec()).collect()
}

pub fn save(path: &Path, tensors: &[Values]) -> PathBuf {
    fill(path, &write_safetensors(path, &named(tensors)), &bytes(tensors));
    path.into()
}

pub fn prefixed(tensors: &[Values]) -> Vec<Values> {
    tensors.iter().map(|tensor| Values { name: format!("model.diffusion_model.{}", tensor.name), ..tensor.clone() }).collect()
}

pub fn official_clip() -> Vec<Values> {
    let mut tensors = renamed(&CLIP, &tensors("image_encoder"));
    for tensor in &mut tensors {
        match tensor.name.as_str() {
            "visual.cls_embedding" => tensor.shape = [vec![1, 1], tensor.shape.clone()].concat(),
            "visual.pos_embedding" => tensor.shape.insert(0, 1),
            _ => {}
        }
    }
    tensors
}

/// Writes a transformer whose blocks' matrices are quantised.
pub fn save_quantised(path: &Path, tensors: &[Values], quantise: fn(&Values) -> Option<Quantised>) -> PathBuf {
    let (mut all, mut data) = (Vec::new(), Vec::new());
    for tensor in tensors {
        let is_matrix = tensor.shape.len() == 2 && tensor.name.starts_with("blocks.") && tensor.name.ends_with(".weight");
        match is_matrix.then(|| quantise(tensor)).flatten() {
            Some(parts) => {
                for (named, bytes) in parts {
                    all.push(named);
                    data.push(bytes);
                }
            }
            None => {
                all.extend(named(std::slice::from_ref(tensor)));
                data.extend(bytes(std::slice::from_ref(tensor)));
            }
        }
    }
    fill(path, &write_safetensors(path, &all), &data);
    path.into()
}

/// The tensors that a quantised one becomes.
pub type Quantised = Vec<(Named, Vec<u8>)>;

/// The codes nearest to values, of those that stand for these numbers.
pub fn nearest(values: impl Iterator<Item = f32>, decode: fn(u8) -> f32) -> Vec<u8> {
    let codes: Vec<(u8, f32)> = (0..=255).map(|code| (code, decode(code))).filter(|(_, value)| value.is_finite()).collect();
    let distance = |value: f32, of: f32| (value - of).abs();
    values.map(|value| codes.iter().min_by(|a, b| distance(value, a.1).total_cmp(&distance(value, b.1))).expect("codes").0).collect()
}

pub fn e4m3(code: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(code >> 3 & 15), f32::from(code & 7));
    let magnitude = match code & 0x7f {
        0x7f => f32::NAN,
        _ if exponent == 0 => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if code < 0x80 { magnitude } else { -magnitude }
}

pub fn part(name: &str, dtype: &'static str, shape: &[usize]) -> Named {
    Named { name: name.into(), dtype, shape: shape.into() }
}

pub fn plain(tensor: &Values) -> Option<Quantised> {
    Some(vec![(part(&tensor.name, "F8_E4M3", &tensor.shape), nearest(tensor.data.iter().copied(), e4m3))])
}

pub fn e5m2(tensor: &Values) -> Option<Quantised> {
    let decode = |code: u8| half::f16::from_bits(u16::from(code) << 8).to_f32();
    Some(vec![(part(&tensor.name, "F8_E5M2", &tensor.shape), nearest(tensor.data.iter().copied(), decode))])
}

pub fn scaled(tensor: &Values, ending: &str, shape: &[usize]) -> Quantised {
    let scale = tensor.data.iter().fold(0f32, |most, value| most.max(value.abs())) / 448.0;
    let codes = nearest(tensor.data.iter().map(|value| value / scale), e4m3);
    let layer = tensor.name.trim_end_matches(".weight");
    vec![
        (part(&tensor.name, "F8_E4M3", &tensor.shape), codes),
        (part(&format!("{layer}.{ending}"), "F32", shape), scale.to_le_bytes().into()),
    ]
}

pub fn legacy(tensor: &Values) -> Option<Quantised> {
    Some(scaled(tensor, "scale_weight", &[1]))
}

pub fn described(tensor: &Values) -> Option<Quantised> {
    let json = br#"{"format": "float8_e4m3fn"}"#;
    let layer = tensor.name.trim_end_matches(".weight");
    let mut parts = scaled(tensor, "weight_scale", &[]);
    parts.push((part(&format!("{layer}.comfy_quant"), "U8", &[json.len()]), json.to_vec()));
    Some(parts)
}

pub fn rows(tensor: &Values) -> Option<Quantised> {
    let row = tensor.shape[1];
    let scale = |row: &[f32]| row.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
    let codes = tensor.data.chunks(row).flat_map(|row| {
        let scale = scale(row);
        row.iter().map(move |value| (value / scale).round() as i8 as u8)
    });
    let scales: Vec<f32> = tensor.data.chunks(row).map(scale).collect();
    let layer = tensor.name.trim_end_matches(".weight");
    Some(vec![
        (part(&tensor.name, "I8", &tensor.shape), codes.collect()),
        (part(&format!("{layer}.weight_scale"), "F32", &[tensor.shape[0], 1]), bytemuck::cast_slice(&scales).into()),
    ])
}

pub fn q8_0(tensor: &Values) -> Vec<u8> {
    let block = |values: &[f32]| {
        let scale = half::f16::from_f32(values.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0);
        let codes = values.iter().map(|value| (value / scale.to_f32()).round() as i8 as u8);
        scale.to_le_bytes().into_iter().chain(codes).collect::<Vec<u8>>()
    };
    tensor.data.chunks(32).flat_map(block).collect()
}
