use wan_animate::RadialAttention;
use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::attention::{Heads, KeyRanges, Shift, attention};

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::{Host, send};

fn case(what: &str, [q, k, v]: [Host; 3], how: oracle::Heads, dtype: DType) -> Case {
    let name = format!("attention {what}: {:?} to {:?} {}, {} heads, {} batches", q.shape, k.shape, q.dtype, how.heads, how.batches);
    let how2 = how.clone();
    let inputs = [&q, &k, &v].map(Clone::clone);
    let prepare = move |rec: &mut Recorder| {
        let [q, k, v] = &inputs;
        let (q, k, v, bias, how) = (q.send(rec)?, k.send(rec)?, v.send(rec)?, send(&how.bias, rec)?, how.clone());
        let ranges = how.ranges.as_ref().map(|ranges| KeyRanges::upload(rec, ranges)).transpose()?;
        op(move |rec| {
            let oracle::Heads { heads, batches, scale, shift, .. } = how;
            let how = Heads { heads, batches, scale, bias: bias.as_ref(), shift, ranges: ranges.as_ref() };
            attention(rec, &q, &k, &v, how, dtype)
        })
    };
    Case::prepared(name, prepare, move || oracle::attention(&q, &k, &v, &how2))
}

fn heads(heads: usize, dim: usize) -> oracle::Heads {
    oracle::Heads { heads, batches: 1, scale: 1.0 / (dim as f32).sqrt(), bias: None, shift: None, ranges: None }
}

fn random(q_len: usize, k_len: usize, width: usize) -> [Host; 3] {
    [Host::random(1, &[q_len, width], 2.0), Host::random(2, &[k_len, width], 2.0), Host::random(3, &[k_len, width], 2.0)]
}

fn shifted(what: &str, tensors: [Host; 3], (count, dim): (usize, usize), keys: (usize, usize), by: f32) -> Case {
    case(what, tensors, oracle::Heads { shift: Some(Shift { keys, by }), ..heads(count, dim) }, F32)
}

/// Scores of some keys raised: within a tile, over the bounds of tiles, of a tail, by much, in batches.
fn all_shifted() -> Vec<Case> {
    let halves = |q_len, k_len, width| random(q_len, k_len, width).map(|host| host.to(F16));
    let batches = {
        let how = oracle::Heads { shift: Some(Shift { keys: (9, 40), by: 0.7 }), batches: 2, ..heads(2, 20) };
        case("of batches with some keys' scores raised", halves(2 * 35, 2 * 41, 40), how, F32)
    };
    vec![
        shifted("with some keys' scores lowered", random(35, 41, 40), (2, 20), (7, 22), -1.3),
        shifted("with few keys' scores lowered", random(9, 5, 20), (2, 10), (2, 5), -1.3),
        shifted("with the last keys' scores raised", random(5, 70, 600), (2, 300), (65, 70), 1.3),
        shifted("in f16 with some keys' scores lowered", halves(70, 197, 256), (2, 128), (60, 121), -1.3),
        shifted("in f16 with some keys' scores raised by much", halves(70, 197, 128), (2, 64), (100, 170), 40.0),
        batches,
    ]
}

/// Radial attention of one frame of six to all of them: whole frames, bands, and frames that are passed over.
fn radial(frame: usize) -> Case {
    const TOKENS: usize = 200;
    let ranges = RadialAttention::default().ranges(frame, 6, TOKENS);
    let inputs = random(TOKENS, 6 * TOKENS, 8).map(|host| host.to(F16));
    case("of radial attention", inputs, oracle::Heads { ranges: Some(ranges), ..heads(1, 8) }, F32)
}

/// Keys that are not seen, by blocks of 128 queries: ranges within a tile, over several, one after the other, of one key.
fn all_ranged() -> Vec<Case> {
    let ranged = |what, tensors: [Host; 3], (count, dim): (usize, usize), blocks: &[&[(usize, usize)]], dtype| {
        let ranges = blocks.iter().map(|ranges| ranges.iter().map(|&(from, to)| from..to).collect()).collect();
        case(what, tensors, oracle::Heads { ranges: Some(ranges), ..heads(count, dim) }, dtype)
    };
    let halves = |q_len, k_len, width| random(q_len, k_len, width).map(|host| host.to(F16));
    let some: [&[(usize, usize)]; 2] = [&[(3, 20), (37, 90)], &[(70, 71)]];
    vec![
        ranged("to some keys", random(300, 150, 40), (2, 20), &[&[(0, 10), (20, 101), (149, 150)], &[(0, 150)], &[(64, 128)]], F32),
        ranged("of few queries to some keys", random(5, 90, 40), (2, 20), &[&[(1, 9), (11, 12)]], F32),
        ranged("to some of few keys", random(5, 6, 10), (1, 10), &[&[(1, 3), (5, 6)]], F32),
        ranged("of wide heads to some keys", random(130, 90, 260), (1, 260), &[&[(3, 9), (37, 42)], &[(70, 71)]], F32),
        ranged("in f16 to some keys", halves(131, 90, 128), (2, 64), &some, F16),
        ranged("in f16 to some keys", halves(131, 90, 128), (1, 128), &some, F32),
        ranged("in f16 of wide heads to some keys", halves(131, 90, 200), (1, 200), &some, F32),
        radial(3),
        radial(5),
    ]
}

pub fn cases() -> Vec<Case> {
    let sized = |count: usize, dim: usize, q_len, k_len| case("", random(q_len, k_len, count * dim), heads(count, dim), F32);
    let biased = |batches: usize, bias: Option<Host>, dim: usize| {
        let how = oracle::Heads { batches, bias, scale: 0.7, ..heads(2, dim) };
        case("with its own scale", random(9 * batches, 5 * batches, 2 * dim), how, F32)
    };
    let sharp = |what, logit: f32| {
        let [q, k, v] = random(7, 70, 32);
        // Scores within +-logit: a hundredth part of the keys has all the weight.
        let k = Host::new(&k.shape, |i| k.values[i] * logit / 64.0);
        case(what, [q, k, v], oracle::Heads { scale: 1.0, ..heads(2, 16) }, F32)
    };
    let equal = {
        let [_, k, v] = random(3, 130, 16);
        case("to all keys alike", [Host::new(&[3, 16], |_| 0.0), k, v], heads(1, 16), F32)
    };
    let one = case("to one key", random(19, 1, 32), heads(2, 16), F32);
    let large = {
        let [q, k, v] = random(5, 66, 16);
        let v = Host::new(&v.shape, |i| if i % 3 == 0 { 65504.0 } else { v.values[i] * 3e4 });
        case("of values near the largest f16", [q, k, v].map(|host| host.to(F16)), heads(1, 16), F16)
    };
    let halves = |what, count: usize, dim: usize, [q_len, k_len]: [usize; 2], dtype| {
        let inputs = random(q_len, k_len, count * dim).map(|host| host.to(F16));
        case(what, inputs, heads(count, dim), dtype)
    };
    // Later keys are ever better, up to scores of 60: what was gathered so far must be scaled down again and again.
    let growing = {
        let [q, k, v] = random(70, 150, 128);
        let q = Host::new(&q.shape, |i| if i % 128 == 0 { 2.0 } else { q.values[i] / 16.0 });
        let k = Host::new(&k.shape, |i| if i % 128 == 0 { (i / 128) as f32 * 0.2 } else { k.values[i] });
        case("in f16 with scores that grow", [q, k, v].map(|host| host.to(F16)), oracle::Heads { scale: 1.0, ..heads(1, 128) }, F32)
    };
    let growing_wide = {
        let [q, k, v] = random(40, 90, 256);
        let q = Host::new(&q.shape, |i| if i % 256 == 0 { 2.0 } else { q.values[i] / 16.0 });
        let k = Host::new(&k.shape, |i| if i % 256 == 0 { (i / 256) as f32 * 0.3 } else { k.values[i] });
        case(
            "in f16 of wide heads with scores that grow",
            [q, k, v].map(|host| host.to(F16)),
            oracle::Heads { scale: 1.0, ..heads(1, 256) },
            F32,
        )
    };
    let rest = vec![
        sized(3, 1, 5, 7),
        sized(3, 2, 17, 70),
        sized(2, 6, 5, 7),
        sized(2, 10, 33, 65),
        sized(2, 16, 5, 7),
        sized(1, 20, 1, 1),
        sized(2, 64, 19, 129),
        sized(2, 128, 17, 65),
        sized(2, 128, 15, 65),
        sized(1, 256, 1, 9),
        sized(1, 256, 70, 97),
        sized(2, 192, 9, 33),
        sized(1, 160, 17, 40),
        sized(1, 224, 17, 40),
        sized(1, 384, 9, 130),
        sized(1, 512, 3, 1),
        sized(1, 514, 2, 3),
        sized(1, 640, 17, 70),
        sized(1, 1000, 18, 65),
        sized(1, 1024, 3, 5),
        sized(2, 40, 70, 33),
        sized(1, 100, 33, 40),
        sized(2, 128, 70, 97),
        biased(1, Some(Host::random(4, &[2, 9, 5], 3.0)), 10),
        biased(1, Some(Host::random(4, &[2, 9, 5], 3.0)), 16),
        case("with a bias", random(35, 41, 200), oracle::Heads { bias: Some(Host::random(4, &[1, 35, 41], 3.0)), ..heads(1, 200) }, F32),
        case("with a bias", random(35, 41, 40), oracle::Heads { bias: Some(Host::random(4, &[2, 35, 41], 3.0)), ..heads(2, 20) }, F32),
        // Larger tiles of queries.
        case("with a bias", random(270, 41, 200), oracle::Heads { bias: Some(Host::random(4, &[1, 270, 41], 3.0)), ..heads(1, 200) }, F32),
        case("with a bias", random(1057, 41, 20), oracle::Heads { bias: Some(Host::random(4, &[1, 1057, 41], 3.0)), ..heads(1, 20) }, F32),
        case("of batches", random(3 * 35, 3 * 41, 40), oracle::Heads { batches: 3, ..heads(2, 20) }, F32),
        biased(3, None, 10),
        biased(3, None, 16),
        halves("in f16", 2, 64, [21, 77], F16),
        halves("in f16", 2, 128, [70, 97], F16),
        halves("in f16", 1, 80, [130, 33], F32),
        halves("in f16", 1, 256, [70, 97], F16),
        halves("in f16", 2, 200, [37, 70], F32),
        halves("in f16", 3, 12, [5, 9], F32),
        halves("in f16 to few keys", 2, 16, [9, 4], F16),
        case("in f16 of batches", random(2 * 35, 2 * 41, 40).map(|host| host.to(F16)), oracle::Heads { batches: 2, ..heads(2, 20) }, F32),
        growing,
        growing_wide,
        case("in f16 that cannot be stored", random(3, 4, 12), heads(2, 6), F16),
        equal,
        one,
        large,
        sharp("with large logits", 1e2),
        sharp("with huge logits", 1e4),
    ];
    rest.into_iter().chain(all_shifted()).chain(all_ranged()).collect()
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let shapes = match sizes {
        Sizes::Small => vec![[1024, 4, 128], [1024, 8, 64], [1024, 6, 80], [1024, 2, 256]],
        // The last has as many numbers as SAM 2's memory attention.
        Sizes::Wan => vec![[32_760, 40, 128], [75_600, 40, 128], [16_384, 1, 256]],
    };
    shapes.into_iter().map(|[tokens, count, dim]| {
        let inputs = random(tokens, tokens, count * dim).map(|host| host.to(F16));
        case("", inputs, heads(count, dim), F16).named(format!("attention {tokens} tokens, {count} heads of {dim}"))
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, inputs: [Host; 3], how: oracle::Heads| Refusal { says, prepare: case("refused", inputs, how, F32).prepare };
    let unequal = |k: [usize; 2], v: [usize; 2]| [Host::random(1, &[4, 12], 1.0), Host::random(2, &k, 1.0), Host::random(3, &v, 1.0)];
    let biased = |batches, shape: &[usize]| oracle::Heads { batches, bias: Some(Host::random(1, shape, 1.0)), ..heads(2, 6) };
    let ranges = |blocks: &[&[(usize, usize)]]| {
        let of_block = |ranges: &&[(usize, usize)]| ranges.iter().map(|&(from, to)| from..to).collect();
        oracle::Heads { ranges: Some(blocks.iter().map(of_block).collect()), ..heads(2, 6) }
    };
    let shift = |keys| oracle::Heads { shift: Some(Shift { keys, by: 1.0 }), ..heads(2, 6) };
    vec![
        refused("attention of q [4, 12], k [5, 12] and v [6, 12]", unequal([5, 12], [6, 12]), heads(2, 6)),
        refused("attention of q", unequal([5, 8], [5, 8]), heads(2, 6)),
        refused("in 5 heads", unequal([5, 12], [5, 12]), heads(5, 6)),
        refused("in 0 heads", unequal([5, 12], [5, 12]), heads(0, 6)),
        refused("3 batches", unequal([6, 12], [6, 12]), oracle::Heads { batches: 3, ..heads(2, 6) }),
        refused("0 batches", unequal([6, 12], [6, 12]), oracle::Heads { batches: 0, ..heads(2, 6) }),
        refused("attention of q", unequal([0, 12], [0, 12]), heads(2, 6)),
        refused("attention bias: shape [2, 4, 4], expected [2, 4, 6]", unequal([6, 12], [6, 12]), biased(1, &[2, 4, 4])),
        refused("attention bias", unequal([6, 12], [6, 12]), biased(2, &[2, 2, 3])),
        refused("6 keys with other scores for 4 to 7", unequal([6, 12], [6, 12]), shift((4, 7))),
        refused("which do not rise", unequal([6, 12], [6, 12]), ranges(&[&[(0, 3), (3, 4)]])),
        refused("which do not rise", unequal([6, 12], [6, 12]), ranges(&[&[]])),
        refused("for others, or with a bias", unequal([6, 12], [6, 12]), ranges(&[&[(0, 7)]])),
        refused("for others, or with a bias", unequal([6, 12], [6, 12]), ranges(&[&[(0, 6)], &[(0, 6)]])),
        refused(
            "for others, or with a bias",
            unequal([6, 12], [6, 12]),
            oracle::Heads { shift: shift((1, 2)).shift, ..ranges(&[&[(0, 6)]]) },
        ),
        refused("heads of 1025, at most 1024", random(1, 1, 1025), heads(1, 1025)),
        refused("`q` of the kernel `attention_short` cannot be", random(4, 4, 12).map(|host| host.to(F16)), heads(2, 6)),
    ]
}

pub mod oracle {
    use std::ops::Range;

    use wan_animate::unversioned::dtype::DType;
    use wan_animate::unversioned::ops::attention::Shift;

    use crate::approx::{Approx, sum};
    use crate::host::Host;

    #[derive(Clone, Debug)]
    pub struct Heads {
        pub heads: usize,
        pub batches: usize,
        pub scale: f32,
        pub bias: Option<Host>,
        pub shift: Option<Shift>,
        pub ranges: Option<Vec<Vec<Range<usize>>>>,
    }

    pub fn attention(q: &Host, k: &Host, v: &Host, how: &Heads) -> Vec<Approx> {
        let (width, dim) = (q.cols(), q.cols() / how.heads);
        let (q_len, k_len) = (q.rows() / how.batches, k.rows() / how.batches);
        let element = |i: usize| {
            let (row, head, d) = (i / width, i % width / dim, i % dim);
            let (keys, query) = (row / q_len * k_len, row % q_len);
            let score = |key: usize| {
                let products = (0..dim).map(|d| q.at(row * width + head * dim + d) * k.at((keys + key) * width + head * dim + d));
                let scaled = sum(products) * Approx::exact(how.scale);
                let by = how.shift.filter(|shift| (shift.keys.0..shift.keys.1).contains(&key)).map_or(0.0, |shift| shift.by);
                let scaled = scaled + Approx::exact(by);
                how.bias.as_ref().map_or(scaled, |bias| scaled + bias.at((head * q_len + query) * k_len + key))
            };
            let sees = |key: &usize| how.ranges.as_ref().is_none_or(|blocks| blocks[query / 128].iter().any(|range| range.contains(key)));
            let seen: Vec<usize> = (0..k_len).filter(sees).collect();
            let scores: Vec<_> = seen.iter().map(|&key| score(key)).collect();
            let highest = scores.iter().map(|score| score.value).fold(f64::MIN, f64::max);
            let weight = |score: Approx| (score - Approx::exact(highest)).exp();
            // Cooperative matrices take weights as they take the operands, in f16.
            let rounded = |weight: Approx| if q.dtype == DType::F16 { weight.as_f16() } else { weight };
            let weights: Vec<_> = scores.into_iter().map(|score| rounded(weight(score))).collect();
            let values = seen.iter().map(|&key| v.at((keys + key) * width + head * dim + d));
            sum(weights.iter().zip(values).map(|(&weight, value)| weight * value)) / sum(weights.iter().copied())
        };
        (0..q.values.len()).map(element).collect()
    }
}
