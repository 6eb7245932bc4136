//! Relative positions: how far a key is from a query, in buckets that grow with the distance.

use crate::models::umt5::config::Config;

/// The bucket of each pair of query and key, [L, L].
pub fn buckets(tokens: usize, config: &Config) -> Vec<u32> {
    let half = config.relative_attention_num_buckets / 2;
    let by_distance: Vec<_> = (0..tokens).map(|distance| bucket(distance, half, config.relative_attention_max_distance)).collect();
    let pair = |query: usize, key: usize| by_distance[query.abs_diff(key)] + if key > query { half } else { 0 };
    (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key))).map(|(query, key)| pair(query, key) as u32).collect()
}

/// The first half of `count` buckets holds one distance each; the others grow in proportion to it, up to `farthest`.
fn bucket(distance: usize, count: usize, farthest: usize) -> usize {
    let exact = count / 2;
    if distance < exact {
        return distance;
    }
    // In f32 like the reference, because some distances lie on a border.
    let ratio = (distance as f32 / exact as f32).ln() / (farthest as f64 / exact as f64).ln() as f32;
    (exact + (ratio * (count - exact) as f32) as usize).min(count - 1)
}
