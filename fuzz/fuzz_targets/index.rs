#![no_main]

use std::sync::Once;

use wan_animate_fuzz::{file, read_all};

/// The shards that the seeds list: one tensor each.
fn shards() {
    for (name, number) in [("a.weight", 1), ("b.weight", 2)] {
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        file(&format!("model-0000{number}-of-00002.safetensors"), &bytes);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static SHARDS: Once = Once::new();
    SHARDS.call_once(shards);
    read_all(&file("model.safetensors.index.json", bytes));
});
