//! Reads the files in tests/goldens/.

use std::path::Path;

use image::{GrayImage, RgbImage};
use safetensors::SafeTensors;

pub(super) struct Goldens(Vec<u8>);

impl Goldens {
    pub(super) fn open(file: &str) -> Self {
        Self(std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(file)).unwrap())
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    /// The distinct `case`s of all tensors named `group.case.*`; never none.
    pub(super) fn cases(&self, group: &str) -> Vec<String> {
        let prefix = format!("{group}.");
        let case = |name: &str| Some(name.strip_prefix(&prefix)?.rsplit_once(".source")?.0.to_string());
        let mut cases: Vec<_> = self.file().names().into_iter().filter_map(case).collect();
        cases.sort();
        assert!(!cases.is_empty(), "no golden of {group}");
        cases
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.file().tensor(name).unwrap().data().to_vec()
    }

    pub(super) fn floats(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.bytes(name))
    }

    pub(super) fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    pub(super) fn rgb(&self, name: &str) -> RgbImage {
        let shape = self.shape(name);
        RgbImage::from_raw(shape[1] as u32, shape[0] as u32, self.bytes(name)).unwrap()
    }

    pub(super) fn grey(&self, name: &str) -> GrayImage {
        let shape = self.shape(name);
        GrayImage::from_raw(shape[1] as u32, shape[0] as u32, self.bytes(name)).unwrap()
    }
}

/// `[to_width, to_height]` of a case named `..x...TO_WIDTHxTO_HEIGHT`.
pub(super) fn target(case: &str) -> [u32; 2] {
    let (width, height) = case.rsplit_once('.').unwrap().1.split_once('x').unwrap();
    [width.parse().unwrap(), height.parse().unwrap()]
}
