//! What networks found, as bytes: safetensors of `keypoints` [N, 133, 3] (x, y, score), and `masks`, a bit a pixel.

use std::collections::HashMap;
use std::sync::Arc;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::networks::{Found, PackedMasks};
use crate::preprocess::{Keypoint, Keypoints, NUM_KEYPOINTS, WholeBody};
use crate::video::Frames;

/// The metadata that such bytes have, and their version.
const FORMAT: (&str, &str) = ("wan_animate_found", "1");
const NUMBERS_A_POINT: usize = 3;

/// What networks found in a driving video, and in the character's image where they looked for it there.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub video: Option<Arc<Finding>>,
    pub reference: Option<Arc<Finding>>,
}

/// What was found, with its bytes: they are made once, and saved after every step.
#[derive(Debug)]
pub struct Finding {
    pub found: Found,
    bytes: Vec<u8>,
}

impl Finding {
    /// # Errors
    /// Those of the masks.
    pub fn new(found: Found) -> Result<Self> {
        Ok(Self { bytes: to_bytes(&found)?, found })
    }

    /// None where these are other bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Some(Self { found: from_bytes(&bytes)?, bytes })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Findings {
    const NAMES: [&'static str; 2] = ["found_in_video", "found_in_reference"];

    /// The bytes of each, by name.
    pub fn bytes(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let found = Self::NAMES.into_iter().zip([&self.video, &self.reference]);
        found.filter_map(|(name, finding)| Some((name, finding.as_ref()?.bytes())))
    }

    /// None where bytes that are there are no findings.
    pub fn from_bytes<'a>(bytes: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let found =
            |name| bytes(name).map_or(Some(None), |bytes| Finding::from_bytes(bytes.to_vec()).map(|finding| Some(Arc::new(finding))));
        let [video, reference] = Self::NAMES.map(found);
        Some(Self { video: video?, reference: reference? })
    }
}

/// What tensors do not say.
#[derive(Serialize, Deserialize)]
struct Numbers {
    width: u32,
    height: u32,
    fps: Option<f64>,
    persons: usize,
    searched: Vec<usize>,
    crowded: Vec<usize>,
}

fn to_bytes(found: &Found) -> Result<Vec<u8>> {
    let Found { keypoints, masks, persons, searched, crowded } = found;
    let points = keypoints.frames().iter().flat_map(|frame| frame.points()).flat_map(|at| [at.x, at.y, at.score]);
    let points: Vec<u8> = points.flat_map(f64::to_le_bytes).collect();
    let masks = masks.as_ref().map(PackedMasks::of).transpose()?.map(|masks| masks.bytes());
    let numbers = Numbers {
        width: keypoints.width(),
        height: keypoints.height(),
        fps: keypoints.fps(),
        persons: *persons,
        searched: searched.clone(),
        crowded: crowded.clone(),
    };
    let metadata = HashMap::from([
        (FORMAT.0.to_string(), FORMAT.1.to_string()),
        ("numbers".into(), serde_json::to_string(&numbers).expect("numbers are text")),
    ]);
    let shape = vec![keypoints.frames().len(), NUM_KEYPOINTS, NUMBERS_A_POINT];
    let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).expect("the shape is that of the bytes");
    let mut views = vec![("keypoints", view(Dtype::F64, shape, &points))];
    views.extend(masks.iter().map(|bytes| ("masks", view(Dtype::U8, vec![bytes.len()], bytes))));
    Ok(safetensors::serialize(views, Some(metadata)).expect("names are different, and sizes those of the bytes"))
}

/// What [`to_bytes`] made; none where these are other bytes.
fn from_bytes(bytes: &[u8]) -> Option<Found> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata = header.metadata().as_ref().filter(|metadata| metadata.get(FORMAT.0).is_some_and(|version| version == FORMAT.1))?;
    let numbers: Numbers = serde_json::from_str(metadata.get("numbers")?).ok()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let points = tensors.tensor("keypoints").ok().filter(|view| view.dtype() == Dtype::F64)?;
    let points: Vec<f64> = bytemuck::pod_collect_to_vec(points.data());
    let point = |numbers: &[f64]| Keypoint { x: numbers[0], y: numbers[1], score: numbers[2] };
    let frame = |numbers: &[f64]| WholeBody::new(&numbers.chunks_exact(NUMBERS_A_POINT).map(point).collect::<Vec<_>>()).ok();
    let frames: Vec<WholeBody> = points.chunks(NUM_KEYPOINTS * NUMBERS_A_POINT).map(frame).collect::<Option<_>>()?;
    let (size, count) = ((numbers.width, numbers.height), frames.len());
    let masks = match tensors.tensor("masks") {
        Ok(view) => Some(Frames::new(PackedMasks::from_bytes(size, numbers.fps, count, view.data())?).ok()?),
        Err(_) => None,
    };
    let keypoints = Keypoints::new(size.0, size.1, numbers.fps, frames).ok()?;
    Some(Found { keypoints, masks, persons: numbers.persons, searched: numbers.searched, crowded: numbers.crowded })
}
