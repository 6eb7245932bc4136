#![no_main]

use std::path::Path;

use wan_animate::unversioned::tokenizer::Tokenizer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_bytes(Path::new("tokenizer.json"), bytes) {
        let ids = tokenizer.encode("A  dancer, <extra_id_7>\tturns</s> ﬁne e\u{301} 舞者\r\n", 64);
        assert!(ids.len() <= 64.max(tokenizer.encode("", 0).len()));
    }
});
