//! Token ids equal to the Hugging Face `tokenizers` library's and cleaned prompts equal to diffusers', for every committed case.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::processor_time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wan_animate::Error;
use wan_animate::unversioned::tokenizer::{Tokenizer, clean};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizer").join(name)
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(golden(name)).expect(name)).expect(name)
}

/// Every text's ids: with all room where the golden is short, and cut to 512 as the reference cuts.
fn check_ids(tokenizer: &Tokenizer, goldens: &str) {
    let cases: Vec<(String, Vec<u32>)> = read(goldens);
    assert!(cases.len() > 100);
    let wrong: Vec<_> = cases.iter().filter(|(text, ids)| tokenizer.encode(text, 512) != *ids).collect();
    for (text, ids) in wrong.iter().take(5) {
        let start: String = text.chars().take(60).collect();
        eprintln!("{goldens}: {start:?}: expected {ids:?}, found {:?}", tokenizer.encode(text, 512));
    }
    assert!(wrong.is_empty(), "{} of {} texts differ", wrong.len(), cases.len());
    assert!(cases.iter().any(|(_, ids)| ids.len() == 512), "no text is long enough to be cut");
}

#[test]
fn small_tokenizers_give_the_reference_ids() {
    for name in ["t5", "converted", "umt5", "first", "never", "spaced"] {
        check_ids(&Tokenizer::open(golden(&format!("{name}.json"))).unwrap(), &format!("{name}.ids.json"));
    }
}

#[test]
fn a_sentencepiece_model_gives_the_same_ids() {
    check_ids(&Tokenizer::open(golden("spiece.model")).unwrap(), "t5.ids.json");
}

#[test]
fn folders_are_searched() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("neither tokenizer.json nor spiece.model"), "{error}");
    std::fs::copy(golden("spiece.model"), folder.path().join("spiece.model")).unwrap();
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    std::fs::copy(golden("umt5.json"), folder.path().join("tokenizer.json")).unwrap();
    let preferred = Tokenizer::open(folder.path()).unwrap();
    // Only the sentencepiece model has a character map.
    assert_ne!(tokenizer.encode("ﬁ", 512), preferred.encode("ﬁ", 512));
}

#[test]
fn texts_are_cut_but_keep_their_end() {
    let tokenizer = Tokenizer::open(golden("t5.json")).unwrap();
    let whole = tokenizer.encode("The quick brown fox", 512);
    for max in 2..=whole.len() {
        let cut = tokenizer.encode("The quick brown fox", max);
        assert_eq!((cut.len(), cut.last()), (max, Some(&1)));
        assert_eq!(cut[..max - 1], whole[..max - 1]);
    }
    assert_eq!(tokenizer.encode("", 512), [1]);
}

/// The real tokenizer where it lies beside the crate, unpacked.
fn real_tokenizer() -> Option<Vec<u8>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("WAN_ANIMATE_SHARED").map_or_else(beside, PathBuf::from);
    let packed = shared.join("data/umt5_tokenizer.json.xz");
    if !packed.exists() {
        eprintln!("skipped: {} is absent; WAN_ANIMATE_SHARED names another folder", packed.display());
        return None;
    }
    match Command::new("xz").arg("-dc").arg(&packed).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        other => {
            eprintln!("skipped: xz cannot unpack {}: {other:?}", packed.display());
            None
        }
    }
}

#[test]
fn the_real_tokenizer_gives_the_reference_ids() {
    let Some(bytes) = real_tokenizer() else { return };
    let start = processor_time();
    let tokenizer = Tokenizer::from_bytes(Path::new("tokenizer.json"), &bytes).unwrap();
    let elapsed = processor_time() - start;
    eprintln!("opened in {elapsed:?}");
    assert!(elapsed < Duration::from_millis(1500), "opening took {elapsed:?}");
    assert_eq!(tokenizer.encode("视频中的人在做动作", 512), [273, 17164, 19647, 798, 869, 5334, 2312, 2354, 1]);
    check_ids(&tokenizer, "real.ids.json");
}

#[test]
fn prompts_are_cleaned_as_in_the_reference() {
    let cases: Vec<(String, String)> = read("cleaned.json");
    assert!(cases.len() > 100);
    let wrong: Vec<_> = cases.iter().filter(|(raw, cleaned)| clean(raw) != *cleaned).collect();
    for (raw, cleaned) in &wrong {
        eprintln!("{raw:?}: expected {cleaned:?}, found {:?}", clean(raw));
    }
    assert!(wrong.is_empty(), "{} of {} prompts differ", wrong.len(), cases.len());
}

#[test]
fn cleaning_ends_in_time_whatever_the_text() {
    let start = processor_time();
    for text in
        ["&amp;".repeat(40_000), format!("&{}", "amp;".repeat(40_000)), "Ã".repeat(100_000), "\x1b[".repeat(100_000), "ÃƒÂ".repeat(30_000)]
    {
        clean(&text);
    }
    assert!(processor_time() - start < Duration::from_secs(10), "took {:?}", processor_time() - start);
}

/// The error that a small valid tokenizer gives after a change.
fn failure(change: impl Fn(&mut Value)) -> Error {
    let mut value = json!({
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["</s>", 0.0], ["a", -1.0]]}
    });
    let open = |value: &Value| Tokenizer::from_bytes(Path::new("x/tokenizer.json"), value.to_string().as_bytes());
    assert_eq!(open(&value).expect("valid").encode("aba", 9), [2, 0, 2, 1]);
    change(&mut value);
    open(&value).expect_err("must not open")
}

#[test]
fn what_is_not_supported_is_named() {
    let longer = |times: usize| json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(times)});
    let cases: [(&str, Value, &str); 10] = [
        ("normalizer", json!({"type": "BertNormalizer"}), "BertNormalizer"),
        ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "x+"}, "content": ""}), "x+"),
        ("normalizer", json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}), "Lowercase"),
        ("normalizer", json!({"type": "WhitespaceSplit"}), "pre-tokenizer"),
        ("normalizer", longer(300), "hundreds of times longer"),
        ("normalizer", json!({"type": "Sequence", "normalizers": [longer(20), longer(20)]}), "hundreds of times longer"),
        ("pre_tokenizer", json!({"type": "ByteLevel"}), "ByteLevel"),
        ("pre_tokenizer", json!({"type": "NFC"}), "normalizer"),
        ("post_processor", json!({"type": "RobertaProcessing"}), "RobertaProcessing"),
        ("model", json!({"type": "BPE", "vocab": {"a": 1}, "merges": []}), "BPE"),
    ];
    for (key, stanza, name) in cases {
        let error = failure(|value| value[key] = stanza.clone());
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("x/tokenizer.json"), "{message}");
    }
}

#[test]
fn damaged_tokenizers_are_refused() {
    let cases: [(&str, Value, &str); 6] = [
        ("/model/unk_id", json!(3), "unk_id"),
        ("/model/unk_id", json!(null), "unk_id"),
        ("/model/vocab", json!([["a"]]), "line 1"),
        ("/model/vocab/1", json!(["x", 0.0]), "`</s>`"),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "precompiled_charsmap"),
        ("/post_processor", json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {}}), "`x`"),
    ];
    for (pointer, stanza, part) in cases {
        let error = failure(|value| *value.pointer_mut(pointer).unwrap() = stanza.clone());
        assert!(matches!(error, Error::Weights { .. }) && error.to_string().contains(part), "{error}");
    }
    let model = std::fs::read(golden("spiece.model")).unwrap();
    for bytes in [&b""[..], b"{", b"\xff\xff", &[10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], &model[..model.len() - 1]] {
        let error = Tokenizer::from_bytes(Path::new("x"), bytes).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{error:?}");
    }
}

#[test]
fn no_character_map_can_lead_astray() {
    // Units that point beyond the trie, at replacements beyond the text, and into the middle of a character.
    for unit in [0xffff_ffffu32, 0x161, 0x561, 0x8000_0161, 0x461, 1 << 9 | 0x7fff_fc00] {
        let units = [unit; 4].into_iter().flat_map(u32::to_le_bytes);
        let map: Vec<u8> = 16u32.to_le_bytes().into_iter().chain(units).chain("é\0".bytes()).collect();
        let mut value: Value = read("t5.json");
        value["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": base64(&map)});
        let tokenizer = Tokenizer::from_bytes(Path::new("x"), value.to_string().as_bytes()).unwrap();
        assert!(!tokenizer.encode("a\u{1}aa\r\n\u{301}", 512).is_empty());
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = (0..(bytes.len() * 8).div_ceil(6)).map(|i| {
        let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        (0..6).fold(0, |sextet, j| sextet << 1 | bit(i * 6 + j))
    });
    sextets.map(|sextet| char::from(DIGITS[usize::from(sextet)])).collect()
}
