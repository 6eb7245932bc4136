//! Scales that lie beside quantised tensors, in the dialects of ComfyUI's and Kijai's files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::stored::Tensor;
use crate::{Error, Result};

/// What a layer's scale is called, beside `weight`.
const SCALES: [&str; 2] = ["scale_weight", "weight_scale"];

/// What else a quantised layer may have, for computing in eight bits.
const INPUT_SCALES: [&str; 2] = ["scale_input", "input_scale"];

/// Says of the whole file that it has scales.
const MARKER: &str = "scaled_fp8";

/// How a layer is quantised, as JSON.
const FORMAT: &str = "comfy_quant";

/// Parts of encodings that this crate cannot read, with their names.
const UNSUPPORTED: [(&str, &str); 2] = [("weight_scale_2", "nvfp4"), ("pre_quant_scale", "awq")];

/// Takes the scales out of the tensors and gives each to the weight that it belongs to.
pub(super) fn attach_scales(tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    tensors.retain(|name, _| name.rsplit('.').next() != Some(MARKER));
    let layers: Vec<String> = tensors.keys().filter_map(|name| name.strip_suffix(".weight")).map(String::from).collect();
    for layer in layers {
        check_format(tensors, &layer)?;
        let mut take = |ending: &str| tensors.remove(&format!("{layer}.{ending}"));
        INPUT_SCALES.iter().for_each(|ending| drop(take(ending)));
        let scale = SCALES.iter().find_map(|ending| take(ending));
        if let (Some(scale), Some(weight)) = (scale, tensors.get_mut(&format!("{layer}.weight"))) {
            let (count, rows) = (scale.count(), weight.info.shape.first().copied().unwrap_or(1));
            if count != 1 && count != rows {
                let message = format!("{count} scales for {rows} rows: scales of blocks (mxfp8 and the like) are not supported");
                return Err(Error::tensor(&weight.info.file, &format!("{layer}.weight"), message));
            }
            weight.scale = Some(Arc::new(scale));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Format {
    format: String,
    #[serde(default)]
    convrot: bool,
}

/// Makes sure that a layer's numbers times its scales are its weights.
fn check_format(tensors: &mut BTreeMap<String, Tensor>, layer: &str) -> Result<()> {
    let unsupported = |file: &std::path::Path, name: &str| {
        Err(Error::Unsupported(format!(
            "{}: tensor `{layer}.weight` is stored as {name}; give a file in fp8, int8, GGUF or 16 bits",
            file.display()
        )))
    };
    for (ending, name) in UNSUPPORTED {
        if let Some(tensor) = tensors.get(&format!("{layer}.{ending}")) {
            return unsupported(&tensor.info.file, name);
        }
    }
    let Some(tensor) = tensors.remove(&format!("{layer}.{FORMAT}")) else {
        return Ok(());
    };
    let file = &tensor.info.file;
    let format: Format = serde_json::from_slice(&tensor.dense_bytes())
        .map_err(|error| Error::tensor(file, &format!("{layer}.{FORMAT}"), format!("its description is damaged: {error}")))?;
    match format.format.as_str() {
        "int8_tensorwise" if format.convrot => unsupported(file, "int8 with rotations (convrot)"),
        "float8_e4m3fn" | "float8_e5m2" | "int8_tensorwise" => Ok(()),
        other => unsupported(file, other),
    }
}

/// Multiplies all values by one factor, or each row by its own.
pub(super) fn apply_scale(values: &mut [f32], factors: &[f32]) {
    let row = (values.len() / factors.len().max(1)).max(1);
    for (row, factor) in values.chunks_mut(row).zip(factors) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
}
