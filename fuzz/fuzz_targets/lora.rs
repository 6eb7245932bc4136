#![no_main]

use std::sync::OnceLock;

use wan_animate::unversioned::models;
use wan_animate::unversioned::weights::{NewTensor, write_safetensors};
use wan_animate::unversioned::dtype::DType;
use wan_animate::{Location, Lora};
use wan_animate_fuzz::file;

/// What the seeds change.
const TENSORS: [(&str, &[usize]); 7] = [
    ("blocks.0.attn1.to_q.weight", &[4, 4]),
    ("blocks.0.attn1.to_q.bias", &[4]),
    ("blocks.0.scale_shift_table", &[1, 6, 4]),
    ("face_adapter.0.to_k.weight", &[4, 4]),
    ("face_adapter.0.to_v.weight", &[4, 4]),
    ("patch_embedding.weight", &[4, 3, 1, 2, 2]),
    ("proj_out.weight", &[8, 4]),
];

/// A checkpoint in memory.
fn base() -> &'static Location {
    static BASE: OnceLock<Location> = OnceLock::new();
    BASE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let tensor = |&(name, shape): &(&'static str, &'static [usize])| NewTensor {
            name,
            encoding: DType::F32.into(),
            shape,
            bytes: &[0; 256][..4 * shape.iter().product::<usize>()],
        };
        write_safetensors(file.path(), &TENSORS.iter().map(tensor).collect::<Vec<_>>()).expect("writes");
        Location::file("base", std::fs::read(file.path()).expect("was written"))
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(lora) = Lora::open(file("lora.bin", bytes)) else { return };
    let mut weights = models::open(base().clone()).expect("opens");
    if weights.add_lora(&lora.weight(-0.5)).is_ok() {
        TENSORS.iter().for_each(|(name, shape)| drop(weights.to_f32(name, shape)));
    }
});
