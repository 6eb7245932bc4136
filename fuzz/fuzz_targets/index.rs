#![no_main]

use wan_animate::Location;

/// A shard that the seeds list: one tensor.
fn shard(name: &str) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let files = [
        ("model.safetensors.index.json", bytes.to_vec()),
        ("model-00001-of-00002.safetensors", shard("a.weight")),
        ("model-00002-of-00002.safetensors", shard("b.weight")),
    ];
    wan_animate_fuzz::read_all(Location::folder("model", files));
});
