//! Seeded noise against PyTorch's, from `reference/rng.py`.

use std::path::Path;

use safetensors::SafeTensors;
use wan_animate::unversioned::rng::Generator;

/// PyTorch's own single-precision log, sine and cosine differ from correct rounding by an ulp or two, of values up to 6; over a million
/// values the largest difference seen was 4.8e-7, one ulp.
const TOLERANCE: f32 = 1e-6;

fn golden() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/rng.safetensors")).expect("golden file")
}

fn values(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).expect("golden tensor").data();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

/// How PyTorch reads a seed: a negative one is its two's complement.
fn seed(text: &str) -> u64 {
    text.parse::<i128>().expect("seed") as u64
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= TOLERANCE, "{what}[{i}]: {g}, PyTorch has {w}");
    }
}

#[test]
fn one_call_equals_torch() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut seen = 0;
    for name in file.names().into_iter().filter(|name| name.starts_with("single/")) {
        let parts: Vec<&str> = name.split('/').collect();
        let got = Generator::new(seed(parts[1])).normal(parts[2].parse().expect("size"));
        assert_close(&got, &values(&file, name), name);
        seen += 1;
    }
    assert_eq!(seen, 64);
}

#[test]
fn calls_in_a_row_equal_torch() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    for text in ["0", "1", "42", "2147483655", "4294967338", "9223372036854775807", "18446744073709551615", "-1"] {
        let mut generator = Generator::new(seed(text));
        for i in 0..8 {
            let want = values(&file, &format!("stream/{text}/{i}"));
            assert_close(&generator.normal(want.len()), &want, &format!("seed {text}, call {i}"));
        }
    }
}

#[test]
fn a_million_values_equal_torch() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let got = Generator::new(7).normal(1_000_003);
    let sampled: Vec<f32> = got.iter().step_by(997).copied().collect();
    assert_close(&sampled, &values(&file, "million/every_997th"), "every 997th");
    assert_close(&got[got.len() - 16..], &values(&file, "million/last_16"), "last block");
    let mean = got.iter().map(|&x| f64::from(x)).sum::<f64>() / got.len() as f64;
    let variance = got.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / got.len() as f64;
    // Four standard errors of a million draws.
    assert!(mean.abs() < 4e-3 && (variance - 1.0).abs() < 6e-3, "mean {mean}, variance {variance}");
}

#[test]
fn no_values_draw_nothing() {
    let mut generator = Generator::new(3);
    assert!(generator.normal(0).is_empty());
    assert_eq!(generator.normal(20), Generator::new(3).normal(20));
}
