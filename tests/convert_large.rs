//! Converting the largest checkpoint takes little memory: what is read and written goes through it a run of rows at a time.

#[path = "common/peak.rs"]
mod peak;
#[path = "common/published.rs"]
mod published;

use std::time::Instant;

use peak::peak;
use published::{fill, tensors, write_safetensors};
use wan_animate::unversioned::models;
use wan_animate::unversioned::weights::Weights;
use wan_animate::{Conversion, Storage};

/// The real tensors of Wan2.2-Animate-14B in f32 under their official names, 69 GB in one sparse file; the first number of each is its own. A test
/// file of its own: the memory is the process's.
#[test]
#[ignore = "minutes, and 18 GB of disk"]
fn sixty_nine_gigabytes_take_less_than_two_of_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("model.safetensors");
    let all = tensors("official_animate", "F32");
    let number = |i: usize| 1.0 + i as f32 / 8192.0;
    let data: Vec<Vec<u8>> = (0..all.len()).map(|i| number(i).to_le_bytes().into()).collect();
    fill(&input, &write_safetensors(&input, &all), &data);
    let size = std::fs::metadata(&input).expect("there").len();
    assert!(size > 69_000_000_000, "{size}");

    let (before, start) = (peak(), Instant::now());
    let output = folder.path().join("output");
    let reports = Conversion::new(&input).storage(Storage::Fp8).write(&output).expect("converts");
    let (after, took) = (peak(), start.elapsed());
    println!("{size} bytes became {} in {took:?}; peak memory {before:?} before, {after:?} after\n{}", reports[0].bytes, reports[0]);
    if let Some(peak) = after {
        assert!(peak < 2 << 30, "{peak} bytes");
    }

    let (input, output) = (models::open(&input).expect("opens"), models::open(&output).expect("opens"));
    let first = |weights: &Weights, name: &str, shape: &[usize]| weights.to_f32(name, shape).expect(name)[0];
    let mut numbers = 0;
    for (name, info) in output.iter().filter(|(_, info)| info.shape.iter().product::<usize>() < 1 << 20) {
        let (expected, found) = (first(&input, name, &info.shape), first(&output, name, &info.shape));
        assert_eq!(expected, found, "{name}");
        numbers += usize::from(found >= 1.0);
    }
    assert!(numbers > 700, "{numbers}");
    let name = "blocks.39.ffn.net.2.weight";
    let (expected, found) = (first(&input, name, &[5120, 13824]), first(&output, name, &[5120, 13824]));
    assert!(expected > 1.0 && (found - expected).abs() <= expected / 16.0, "{name}: {expected} became {found}");
}
