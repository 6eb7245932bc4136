//! Scales that lie beside quantised tensors, in the dialects of ComfyUI's, Kijai's and Quanto's files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::{encoding::Encoding, entry::Metadata, rotation, tensor::Tensor};
use crate::error::{Error, Result};

/// What ComfyUI's single files put before every name of the model.
pub(super) const SINGLE_FILE: &str = "model.diffusion_model.";

/// What a layer's scale is called, beside `weight`.
const SCALES: [&str; 2] = ["scale_weight", "weight_scale"];

/// What else a quantised layer may have, for computing in eight bits.
const INPUT_SCALES: [&str; 3] = ["scale_input", "input_scale", "output_scale"];

/// Says of the whole file that it has scales.
const MARKER: &str = "scaled_fp8";

/// How a layer is quantised, as JSON.
const FORMAT: &str = "comfy_quant";

/// The formats that are read.
const KNOWN: [&str; 3] = ["float8_e4m3fn", "float8_e5m2", "int8_tensorwise"];

/// Parts of encodings that this crate cannot read, with their names.
const UNSUPPORTED: [(&str, &str); 2] = [("weight_scale_2", "nvfp4"), ("pre_quant_scale", "awq")];

/// How layers are quantised, as JSON for the whole file, in its metadata.
const METADATA: &str = "_quantization_metadata";

/// Quanto's names of a weight's numbers and of their scale; it has a third part where several numbers share a byte.
const QUANTO: [&str; 3] = ["._data", "._scale", "._shift"];

/// Gives what Quanto stores the names that others have.
fn rename_quanto(tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let weights: Vec<String> = tensors.keys().filter_map(|name| Some(name.strip_suffix(QUANTO[0])?.into())).collect();
    for weight in weights {
        let [data, scale, shift] = QUANTO.map(|part| tensors.remove(&format!("{weight}{part}")));
        let Some(data) = data else { continue };
        if shift.is_some() || !matches!(data.stored.info.encoding, Encoding::I8 | Encoding::F8E4M3 | Encoding::F8E5M2) {
            let file = data.stored.info.file.display();
            return Err(Error::Unsupported(format!(
                "{file}: tensor `{weight}` is stored as Quanto's int4 or int2; give a file in int8 or fp8"
            )));
        }
        let fail = |message: &str| Error::tensor(&data.stored.info.file, &weight, message);
        let scale = scale.ok_or_else(|| fail("Quanto's numbers without their `_scale`: the file is damaged"))?;
        let taken = [tensors.insert(format!("{weight}_scale"), scale), tensors.insert(weight.clone(), data)];
        if let Some(other) = taken.into_iter().flatten().next() {
            return Err(Error::tensor(&other.stored.info.file, &weight, "it is in this file twice, quantised and not"));
        }
    }
    Ok(())
}

/// Takes the scales out of the tensors of `file` and gives each to the weight that it belongs to.
pub(super) fn attach_scales(file: &Path, tensors: &mut BTreeMap<String, Tensor>, metadata: &Metadata) -> Result<()> {
    tensors.retain(|name, _| name.rsplit('.').next() != Some(MARKER));
    rename_quanto(tensors)?;
    let mut formats = formats(file, metadata)?;
    let layers: Vec<String> = tensors.keys().filter_map(|name| name.strip_suffix(".weight")).map(String::from).collect();
    for layer in layers {
        let bare = layer.strip_prefix(SINGLE_FILE).unwrap_or(&layer);
        let format = take_format(tensors, &layer)?.or_else(|| formats.remove(bare)).or_else(|| formats.remove(&layer));
        check_known(tensors, &layer, format.as_ref())?;
        let mut take = |ending: &str| tensors.remove(&format!("{layer}.{ending}"));
        INPUT_SCALES.iter().for_each(|ending| drop(take(ending)));
        let scale = SCALES.iter().find_map(|ending| take(ending));
        let Some(weight) = tensors.get_mut(&format!("{layer}.weight")) else { continue };
        let fail = |message| Error::tensor(&weight.stored.info.file, &format!("{layer}.weight"), message);
        if let Some(scale) = &scale {
            let (count, rows) = (scale.stored.count(), weight.stored.info.shape.first().copied().unwrap_or(1));
            if count != 1 && (count != rows || scale.stored.info.shape[0] != rows) {
                return Err(fail(format!("{count} scales for {rows} rows: scales of blocks (mxfp8 and the like) are not supported")));
            }
        }
        if let Some(Format { convrot: true, convrot_groupsize: group, .. }) = format {
            let cols = weight.stored.info.shape.last().copied().unwrap_or(1);
            if !rotation::fits(group, cols) {
                return Err(fail(format!(
                    "rows of {cols} numbers rotated (convrot) in groups of {group}: no power of four that divides them"
                )));
            }
            weight.stored.rotation = Some(group);
        }
        weight.stored.scale = scale.map(|scale| Arc::new(scale.stored));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Format {
    format: String,
    #[serde(default)]
    convrot: bool,
    #[serde(default = "usual_group")]
    convrot_groupsize: usize,
}

fn usual_group() -> usize {
    256
}

/// What the file's metadata says, by layer.
fn formats(file: &Path, metadata: &Metadata) -> Result<BTreeMap<String, Format>> {
    #[derive(Deserialize)]
    struct Layers {
        layers: BTreeMap<String, Format>,
    }
    let Some(text) = metadata.get(METADATA) else { return Ok(BTreeMap::new()) };
    let layers: Layers =
        serde_json::from_str(text).map_err(|error| Error::weights(file, format!("its metadata `{METADATA}` is damaged: {error}")))?;
    Ok(layers.layers)
}

/// What lies beside a layer's weight.
fn take_format(tensors: &mut BTreeMap<String, Tensor>, layer: &str) -> Result<Option<Format>> {
    let name = format!("{layer}.{FORMAT}");
    let Some(tensor) = tensors.remove(&name) else { return Ok(None) };
    let damaged = |error| Error::tensor(&tensor.stored.info.file, &name, format!("its description is damaged: {error}"));
    serde_json::from_slice(&tensor.stored.dense_bytes()?).map(Some).map_err(damaged)
}

/// Makes sure that a layer's numbers times its scales are its weights.
fn check_known(tensors: &BTreeMap<String, Tensor>, layer: &str, format: Option<&Format>) -> Result<()> {
    let by_part = UNSUPPORTED.iter().find(|(ending, _)| tensors.contains_key(&format!("{layer}.{ending}"))).map(|&(_, name)| name);
    let by_name = format.map(|format| format.format.as_str()).filter(|name| !KNOWN.contains(name));
    let (Some(name), Some(weight)) = (by_part.or(by_name), tensors.get(&format!("{layer}.weight"))) else { return Ok(()) };
    Err(Error::Unsupported(format!(
        "{}: tensor `{layer}.weight` is stored as {name}; give a file in fp8, int8, GGUF or 16 bits",
        weight.stored.info.file.display()
    )))
}
