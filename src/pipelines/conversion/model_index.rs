//! What diffusers wants beside the files of an official release.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::models::dit;
use crate::models::dit::spec::ANIMATE;
use crate::weights::checkpoint::Weights;

pub(super) struct Index(pub(super) Map<String, Value>);

impl Index {
    /// With the class of pipeline that runs a transformer.
    pub(super) fn new(transformer: &Weights, sizes: &dit::config::Config) -> Result<Self> {
        let (pipeline, class) = match ANIMATE.is_in(transformer) {
            true => ("WanAnimatePipeline", "WanAnimateTransformer3DModel"),
            _ if sizes.in_channels()? == sizes.out_channels()? => ("WanPipeline", "WanTransformer3DModel"),
            _ => ("WanImageToVideoPipeline", "WanTransformer3DModel"),
        };
        let mut index = Self(Map::new());
        index.set("_class_name", json!(pipeline));
        index.add("transformer", "diffusers", class);
        Ok(index)
    }

    pub(super) fn add(&mut self, component: &str, library: &str, class: &str) {
        self.set(component, json!([library, class]));
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.into(), value);
    }
}

/// The solver of the published checkpoints of diffusers, with the shift of the official configuration.
pub(super) fn scheduler(shift: f64) -> Value {
    json!({
        "_class_name": "UniPCMultistepScheduler",
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": true,
        "flow_shift": shift,
    })
}

/// How CLIP's own processor prepares an image.
pub(super) fn image_processor(size: usize) -> Value {
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": true,
        "crop_size": {"height": size, "width": size},
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "do_convert_rgb": true,
    })
}
