//! The text encoder against transformers.

use crate::common::{Golden, assert_close, device, golden_json, golden_weights};
use wan_animate::Error;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models::umt5::config::Config;
use wan_animate::unversioned::models::umt5::{Encoder, MAX_TOKENS, pad, position};

/// Sums in another order than the reference's, in two blocks.
const F32: f64 = 1e-5;
/// Operands of products in f16, which has 11 bits: 5e-4 for each, over two blocks whose errors add up.
const F16: f64 = 4e-3;

/// The result for the valid tokens alone must be that of the padded and masked run.
fn check(checkpoint: &str, precision: Precision, tolerance: f64) {
    let (device, mut rec) = device();
    let weights = golden_weights(&format!("{checkpoint}/text_encoder"));
    let config: Config = golden_json(&format!("{checkpoint}/text_encoder/config.json"));
    let encoder = Encoder::load(&Loader::new(&device, &weights, precision), &config).expect("loads");
    weights.finish().expect("every tensor is used");
    let golden = Golden::open(&format!("parts/{checkpoint}_text_encoder.safetensors"));
    for prompt in ["short", "long"] {
        let tokens = golden.integers(&format!("{prompt}.attention_mask")).iter().filter(|&&valid| valid == 1).count();
        let ids = &golden.integers(&format!("{prompt}.input_ids"))[..tokens];
        let expected = &golden.values(&format!("{prompt}.last_hidden_state"))[..tokens * config.d_model];
        let embeddings = encoder.forward(&mut rec, ids).expect("encodes");
        assert_eq!(embeddings.shape(), [tokens, config.d_model]);
        assert_close(&format!("{checkpoint} {prompt}"), &rec.download(&embeddings).expect("reads back"), expected, tolerance);
    }
}

#[test]
fn embeddings_agree_in_f32() {
    check("tiny", Precision::F32, F32);
    check("odd", Precision::F32, F32);
}

#[test]
fn embeddings_agree_in_f16() {
    check("tiny", Precision::F16, F16);
    check("odd", Precision::F16, F16);
}

/// Heads whose size is no multiple of four in rows that are one, and feed-forward layers that overflow f16.
fn check_variant(name: &str) {
    let (device, mut rec) = device();
    let golden = Golden::open(&format!("variants/{name}.safetensors"));
    let weights = golden_weights(&format!("variants/{name}.safetensors"));
    for (precision, tolerance) in [(Precision::F32, F32), (Precision::F16, F16)] {
        let loader = Loader::new(&device, &weights, precision).scope("weights");
        let encoder = Encoder::load(&loader, &golden_json(&format!("variants/{name}.json"))).expect("loads");
        let embeddings = encoder.forward(&mut rec, &golden.integers("input_ids")).expect("encodes");
        assert_close(name, &rec.download(&embeddings).expect("reads back"), golden.values("last_hidden_state"), tolerance);
    }
}

/// No gate, few buckets, bf16, and the vocabulary under both of its names.
#[test]
fn relu_without_a_gate_agrees() {
    check_variant("umt5_relu");
}

#[test]
fn gated_silu_of_f16_weights_agrees() {
    check_variant("umt5_silu");
}

#[test]
fn positions_fall_into_the_buckets_of_the_reference() {
    let golden = Golden::open("variants/positions.safetensors");
    for name in golden.names() {
        let (buckets, distance) = name.split_once('.').expect("two numbers");
        let config = Config {
            relative_attention_num_buckets: buckets.parse().expect("a number"),
            relative_attention_max_distance: distance.parse().expect("a number"),
            ..Config::default()
        };
        config.check().expect("allowed");
        let expected = golden.integers(name);
        let got = position::buckets(512, &config);
        for query in [0, 200, 511] {
            assert_eq!(got[query * 512..][..512], expected[511 - query..][..512], "{name}, query {query}");
        }
    }
}

#[test]
fn padding_adds_rows_of_zeros() {
    let (_device, mut rec) = device();
    // Dirty memory, which the padding must not show.
    drop(rec.upload(&[MAX_TOKENS, 3], &vec![7.0; MAX_TOKENS * 3]).expect("uploads"));
    let short = rec.upload(&[2, 3], &[1.0; 6]).expect("uploads");
    let padded = pad(&mut rec, &short, MAX_TOKENS).expect("pads");
    assert_eq!(padded.shape(), [MAX_TOKENS, 3]);
    let values = rec.download(&padded).expect("reads back");
    assert_eq!(values[..6], [1.0; 6]);
    assert!(values[6..].iter().all(|&value| value == 0.0));
}

#[test]
fn bad_prompts_are_refused() {
    let (device, mut rec) = device();
    let weights = golden_weights("tiny/text_encoder");
    let encoder =
        Encoder::load(&Loader::new(&device, &weights, Precision::F32), &golden_json("tiny/text_encoder/config.json")).expect("loads");
    assert!(encoder.forward(&mut rec, &[120]).is_ok(), "the last token");
    for ids in [vec![], vec![1, 121], vec![u32::MAX], vec![1; MAX_TOKENS + 1]] {
        assert!(matches!(encoder.forward(&mut rec, &ids), Err(Error::Input(_))), "{} tokens", ids.len());
    }
}

#[test]
fn wrong_configurations_are_refused() {
    let (device, _) = device();
    let weights = golden_weights("tiny/text_encoder");
    let good: Config = golden_json("tiny/text_encoder/config.json");
    let load = |config: &Config| Encoder::load(&Loader::new(&device, &weights, Precision::F32), config).map(|_| ());
    let config = |change: fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        load(&config)
    };
    assert!(matches!(config(|c| c.num_layers = 3), Err(Error::Weights { tensor: Some(name), .. }) if name.starts_with("encoder.block.2.")));
    assert!(matches!(config(|c| c.d_ff = 25), Err(Error::Weights { .. })));
    assert!(matches!(config(|c| c.vocab_size = 122), Err(Error::Weights { .. })));
    assert!(matches!(config(|c| c.feed_forward_proj = "relu".into()), Err(Error::Weights { .. })));
    assert!(matches!(config(|c| c.d_model = 0), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.num_heads = usize::MAX), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.relative_attention_num_buckets = 3), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.relative_attention_max_distance = 8), Err(Error::Input(_))));
    assert!(matches!(config(|c| c.feed_forward_proj = "gated-mish".into()), Err(Error::Unsupported(_))));
    assert!(matches!(config(|c| c.feed_forward_proj = "other-relu".into()), Err(Error::Unsupported(_))));
    assert!(matches!(config(|c| c.is_decoder = true), Err(Error::Unsupported(_))));
}
