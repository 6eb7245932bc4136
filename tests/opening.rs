//! Opening the largest checkpoint costs its headers: neither time nor memory grows with what it holds.

#[path = "common/peak.rs"]
mod peak;
#[path = "common/published.rs"]
mod published;

use std::time::{Duration, Instant};

use peak::peak;
use published::{tensors, write_shards};
use wan_animate::unversioned::models;

/// The real tensors of Wan2.2-Animate-14B, 34.6 GB in bf16, in as many shards as are published. A test file of its own: the memory is the
/// process's.
#[test]
fn thirty_four_gigabytes_open_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = tensors("diffusers_animate", "BF16");
    write_shards(folder.path(), &all, 14);
    let before = peak();
    let start = Instant::now();
    let weights = models::open(folder.path()).expect("opens");
    let took = start.elapsed();
    let bytes: usize = weights.iter().map(|(_, info)| 2 * info.shape.iter().product::<usize>()).sum();
    assert!(weights.iter().count() > 1100 && bytes > 34_000_000_000, "{bytes}");
    println!("{bytes} bytes in {} tensors opened in {took:?}; peak memory {before:?} before, {:?} after", weights.iter().count(), peak());
    assert!(took < Duration::from_secs(1), "{took:?}");
    if let Some(peak) = peak() {
        assert!(peak < 100 << 20, "{peak} bytes");
    }
}
