use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::conv::{ConvOptions, ConvWeight, conv};
use wan_animate::unversioned::ops::finish::Finish;

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::{Host, send};

fn case(what: &str, x: Host, w: Host, options: oracle::Options, [weights, dtype]: [DType; 2]) -> Case {
    let name = format!("conv {what}: {:?} {} by {:?} {weights}", x.shape, x.dtype, w.shape);
    let (x, w) = (unrounded(x, weights), unrounded(w, weights));
    let (x2, w2, options2) = (x.clone(), w.clone(), options.clone());
    let prepare = move |rec: &mut Recorder| {
        let (x, shape, options) = (x.send(rec)?, [0, 1, 2, 3, 4].map(|axis| w.shape[axis]), options.clone());
        let weight = ConvWeight::upload(rec.device(), "w", shape, weights, &|| Ok(w.values.clone()))?;
        let (bias, slope, residual) = (send(&options.bias, rec)?, send(&options.slope, rec)?, send(&options.residual, rec)?);
        op(move |rec| {
            let finish = Finish {
                bias: bias.as_ref(),
                activation: options.activation,
                slope: slope.as_ref(),
                residual: residual.as_ref(),
                activation_last: options.activation_last,
            };
            let oracle::Options { stride_t, stride, pad, upsample, .. } = options;
            conv(rec, &x, &weight, ConvOptions { stride_t, stride, pad, upsample, finish, ..Default::default() }, dtype)
        })
    };
    Case::prepared(name, prepare, move || oracle::conv(&x2, &w2, &options2))
}

/// Values that weights of a type leave as they are: f16 ones are themselves rounded, and cooperative matrices round x with them.
fn unrounded(values: Host, weights: DType) -> Host {
    Host { dtype: values.dtype, ..values.to(weights) }
}

/// The last frame of x, with those before it in tensors of their own: what the same convolution makes of it in the whole.
fn causal(x: Host, w: Host, upsample: bool, weights: DType) -> Case {
    let (x, w) = (unrounded(x, weights), unrounded(w, weights));
    let frames = x.shape[0];
    let pad = [(w.shape[2] - 1, 0), (1, 1), (1, 1)];
    let [first, second, last] = [3, 2, 1].map(|back| {
        let size = x.values.len() / frames;
        let values = if back <= frames { x.values[(frames - back) * size..][..size].to_vec() } else { vec![0.0; size] };
        Host { shape: [&[1], &x.shape[1..]].concat(), dtype: x.dtype, values }
    });
    let w2 = w.clone();
    let run = move |rec: &mut Recorder, [first, second, last]: [&Tensor; 3]| {
        let shape = [0, 1, 2, 3, 4].map(|axis| w.shape[axis]);
        let weight = ConvWeight::upload(&rec.device().clone(), "w", shape, weights, &|| Ok(w.values.clone()))?;
        let past = [(frames > 1).then_some(second), (frames > 2).then_some(first)];
        conv(rec, last, &weight, ConvOptions { pad, upsample, past, ..Default::default() }, F32)
    };
    let name = format!("conv of one frame and {} before: {:?} {} by {:?} {weights}", frames - 1, x.shape, x.dtype, w2.shape);
    let oracle = move || {
        let whole = oracle::conv(&x, &w2, &oracle::Options { upsample, ..options(1, 1, pad) });
        whole[whole.len() / frames * (frames - 1)..].to_vec()
    };
    Case::new(name, [&first, &second, &last], run, oracle)
}

fn random(x: [usize; 4], outs: usize, kernel: [usize; 3]) -> (Host, Host) {
    let [t, h, w] = kernel;
    (Host::random(1, &x, 1.0), Host::random(2, &[outs, x[3], t, h, w], 1.0))
}

fn options(stride_t: usize, stride: usize, pad: [(usize, usize); 3]) -> oracle::Options {
    oracle::Options { stride_t, stride, pad, ..Default::default() }
}

fn same() -> oracle::Options {
    options(1, 1, [(0, 0), (1, 1), (1, 1)])
}

/// With a slope for each channel of the residual.
fn sloped(options: oracle::Options) -> oracle::Options {
    oracle::Options { slope: options.residual.as_ref().map(|residual| Host::random(5, &[residual.cols()], 1.0)), ..options }
}

/// With the residual in f16.
fn halved(options: oracle::Options) -> oracle::Options {
    oracle::Options { residual: options.residual.map(|residual| residual.to(F16)), ..options }
}

fn activated_last(options: oracle::Options) -> oracle::Options {
    oracle::Options { activation_last: true, ..options }
}

fn bias(outs: usize) -> Option<Host> {
    Some(Host::random(3, &[outs], 2.0))
}

pub fn cases() -> Vec<Case> {
    let plain = |what, (x, w): (Host, Host), options| case(what, x, w, options, [F32, F32]);
    let typed = |what, x_type, types| {
        let (x, w) = random([1, 6, 5, 8], 12, [1, 3, 3]);
        case(what, x.to(x_type), w, oracle::Options { bias: bias(12), ..same() }, types)
    };
    let causal_of = |x: [usize; 4], outs, upsample, [x_type, weights]: [DType; 2]| {
        let (x, w) = random(x, outs, [3, 3, 3]);
        causal(x.to(x_type), w, upsample, weights)
    };
    let over_two = |weights| {
        let (x, w) = random([2, 3, 5, 8], 24, [2, 3, 3]);
        causal(x, w, false, weights)
    };
    let residual = |shape: [usize; 4], activation| oracle::Options {
        bias: bias(shape[3]),
        activation,
        residual: Some(Host::random(4, &shape, 2.0)),
        ..same()
    };
    let ((f16_x, f16_w), (strided_x, strided_w)) = (random([2, 9, 11, 68], 96, [1, 3, 3]), random([1, 12, 13, 32], 33, [1, 3, 3]));
    let f16_x = f16_x.to(F16);
    let mut cases = vec![
        plain("2d", random([2, 7, 5, 4], 8, [1, 3, 3]), same()),
        plain("1x1", random([1, 3, 70, 8], 96, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("of three channels", random([1, 6, 5, 3], 7, [1, 3, 3]), oracle::Options { bias: bias(7), ..same() }),
        plain("of one channel", random([1, 5, 5, 1], 3, [1, 3, 3]), same()),
        plain("of 96 channels", random([1, 3, 4, 96], 20, [1, 3, 3]), same()),
        plain("3d causal", random([4, 5, 6, 4], 16, [3, 3, 3]), options(1, 1, [(2, 0), (1, 1), (1, 1)])),
        plain("3d strided in time", random([5, 3, 2, 4], 4, [3, 1, 1]), options(2, 1, [(0, 0); 3])),
        plain("strided, padded behind", random([2, 6, 7, 4], 8, [1, 3, 3]), options(1, 2, [(0, 0), (0, 1), (0, 1)])),
        plain("strided by patches", random([1, 8, 6, 3], 8, [1, 2, 2]), options(1, 2, [(0, 0); 3])),
        plain("1d causal", random([9, 1, 1, 4], 8, [3, 1, 1]), options(2, 1, [(2, 0), (0, 0), (0, 0)])),
        plain("1d over the length", random([7, 1, 1, 7], 8, [7, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("upsampled", random([2, 3, 4, 4], 8, [1, 3, 3]), oracle::Options { upsample: true, ..same() }),
        plain("upsampled, of no vec4s", random([1, 3, 4, 5], 6, [1, 3, 3]), oracle::Options { upsample: true, ..same() }),
        plain("wide margins", random([1, 2, 2, 4], 8, [1, 3, 3]), options(1, 1, [(1, 2), (3, 2), (2, 4)])),
        plain("and all that follows", random([1, 5, 4, 8], 12, [1, 3, 3]), residual([1, 5, 4, 12], Activation::ScaledLeakyRelu)),
        plain("and all that follows, of no vec4s", random([1, 5, 4, 6], 9, [1, 3, 3]), residual([1, 5, 4, 9], Activation::Silu)),
        plain("and activated last", random([1, 5, 4, 8], 12, [1, 3, 3]), activated_last(residual([1, 5, 4, 12], Activation::Relu6))),
        plain("with slopes, of no vec4s", random([1, 5, 4, 6], 9, [1, 3, 3]), sloped(residual([1, 5, 4, 9], Activation::None))),
        plain("with slopes last", random([1, 5, 4, 8], 40, [1, 3, 3]), activated_last(sloped(residual([1, 5, 4, 40], Activation::None)))),
        plain("of 32 channels", random([1, 5, 5, 36], 32, [1, 3, 3]), same()),
        plain("of 50 channels", random([2, 3, 3, 9], 50, [2, 3, 3]), options(1, 1, [(1, 0), (1, 1), (1, 1)])),
        plain("to 96 channels", random([3, 3, 2, 20], 96, [3, 1, 1]), options(1, 1, [(2, 0), (0, 0), (0, 0)])),
        causal_of([1, 3, 5, 8], 24, false, [F32, F32]),
        causal_of([2, 3, 5, 8], 24, false, [F32, F16]),
        causal_of([3, 3, 5, 40], 100, false, [F16, F16]),
        causal_of([3, 4, 3, 7], 5, false, [F32, F32]),
        causal_of([3, 3, 2, 12], 8, true, [F16, F16]),
        causal_of([3, 3, 2, 12], 64, true, [F32, F32]),
        causal_of([3, 3, 2, 12], 64, true, [F16, F16]),
        causal_of([1, 9, 8, 36], 20, false, [F32, F16]),
        over_two(F32),
        over_two(F16),
        case("and all that follows, in f16", f16_x, f16_w, residual([2, 9, 11, 96], Activation::Silu), [F16, F16]),
        case("strided, in f16", strided_x, strided_w, options(1, 2, [(0, 0), (0, 1), (0, 1)]), [F16, F32]),
        typed("f16 weights", F32, [F16, F32]),
        typed("f16 everywhere", F16, [F16, F16]),
        case("f16 that cannot be stored", Host::random(1, &[1, 4, 4, 3], 1.0), Host::random(2, &[5, 3, 1, 3, 3], 1.0), same(), [F16, F16]),
        case("near the largest f16", Host::random(1, &[1, 4, 4, 8], 250.0), Host::random(2, &[8, 8, 1, 3, 3], 250.0), same(), [F16, F16]),
        plain("and all that follows, to 21 channels", random([1, 5, 4, 6], 21, [1, 3, 3]), residual([1, 5, 4, 21], Activation::Silu)),
        plain("with slopes, to 21 channels", random([1, 5, 4, 6], 21, [1, 3, 3]), sloped(residual([1, 5, 4, 21], Activation::None))),
        plain("and a residual in f16", random([1, 5, 4, 8], 20, [1, 3, 3]), halved(residual([1, 5, 4, 20], Activation::None))),
        plain(
            "and a residual in f16, to few channels",
            random([1, 5, 4, 8], 12, [1, 3, 3]),
            halved(residual([1, 5, 4, 12], Activation::None)),
        ),
        causal_of([3, 4, 3, 7], 21, false, [F32, F32]),
        plain("1x1 of few channels", random([1, 5, 7, 16], 40, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("1x1 of eight channels", random([2, 5, 7, 8], 20, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("1x1 of three channels", random([1, 5, 7, 3], 64, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("1x1 of 70 channels", random([1, 5, 3, 70], 9, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("of many pixels of 32 channels", random([1, 7, 9, 36], 32, [1, 3, 3]), same()),
        // Large tiles fill a GPU.
        plain("of many pixels", random([1, 128, 128, 1], 65, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
        plain("of many pixels, to 96 channels", random([1, 129, 127, 1], 96, [1, 1, 1]), options(1, 1, [(0, 0); 3])),
    ];
    let activated = |activation| {
        let to = |outs| {
            plain("and an activation", random([1, 3, 4, 8], outs, [1, 3, 3]), oracle::Options { activation, bias: bias(outs), ..same() })
        };
        [12, 20].map(to)
    };
    cases.extend(Activation::ALL.into_iter().flat_map(activated));
    let halves = |what, outs, options| {
        let (x, w) = random([1, 5, 4, 8], outs, [1, 3, 3]);
        case(what, x, w, options, [F16, F32])
    };
    cases.extend([
        halves("by f16, and all that follows, to 21 channels", 21, residual([1, 5, 4, 21], Activation::Silu)),
        halves("by f16, with slopes, to 21 channels", 21, sloped(residual([1, 5, 4, 21], Activation::None))),
        halves("by f16, with slopes", 20, sloped(residual([1, 5, 4, 20], Activation::None))),
        halves("by f16, and a residual in f16", 20, halved(residual([1, 5, 4, 20], Activation::None))),
        causal_of([3, 3, 5, 8], 24, false, [F32, F16]),
    ]);
    cases.extend(
        Activation::ALL.map(|activation| halves("by f16, and an activation", 20, oracle::Options { activation, bias: bias(20), ..same() })),
    );
    cases
}

/// Causal ones of 3x3x3.
pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let shapes = match sizes {
        Sizes::Small => vec![[3, 32, 32, 128]],
        // The decoder's widest levels at 480p, one latent frame at a time.
        Sizes::Wan => vec![[4, 120, 208, 384], [4, 480, 832, 96]],
    };
    shapes.into_iter().map(|shape| {
        let (x, w) = random(shape, shape[3], [3, 3, 3]);
        let name = format!("conv {shape:?} to {} f16", shape[3]);
        case("", x, w, options(1, 1, [(2, 0), (1, 1), (1, 1)]), [F16, F32]).named(name)
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, (x, w): (Host, Host), options| Refusal { says, prepare: case("refused", x, w, options, [F32, F32]).prepare };
    let past_refused = |says, x: [usize; 4], past: [usize; 4], before| {
        Refusal::new(says, [&Host::random(1, &x, 1.0), &Host::random(2, &past, 1.0)], move |rec, [x, past]| {
            let weight = ConvWeight::upload(&rec.device().clone(), "w", [4, 4, 3, 1, 1], F32, &|| Ok(vec![0.0; 48]))?;
            conv(rec, x, &weight, ConvOptions { pad: [(before, 0), (0, 0), (0, 0)], past: [Some(past), None], ..Default::default() }, F32)
        })
    };
    let (x, w) = random([1, 4, 4, 3], 5, [1, 3, 3]);
    let half = (Host::random(1, &[1, 4, 4, 3], 1.0).to(F16), w.clone());
    vec![
        refused("weight: C is 3, was 4", (Host::random(1, &[1, 4, 4, 4], 1.0), w.clone()), same()),
        refused("x: shape [4, 4, 3]", (Host::random(1, &[4, 4, 3], 1.0), w.clone()), same()),
        refused("has no result", (Host::random(1, &[1, 4, 2, 3], 1.0), w.clone()), options(1, 1, [(0, 0); 3])),
        refused("has no result", (x.clone(), w.clone()), options(1, 0, [(0, 0); 3])),
        refused("bias: C is 4, was 5", (x.clone(), w.clone()), oracle::Options { bias: bias(4), ..same() }),
        refused("residual: W is 3, was 4", (x, w), oracle::Options { residual: Some(Host::random(1, &[1, 4, 3, 5], 1.0)), ..same() }),
        refused("cannot be a tensor of f16 and shape [1, 4, 4, 3]", half, same()),
        past_refused("a past frame: shape [1, 4, 3, 4]", [1, 4, 4, 4], [1, 4, 3, 4], 2),
        past_refused("1 past frames stand before one frame", [2, 4, 4, 4], [2, 4, 4, 4], 2),
        past_refused("1 past frames stand before one frame", [1, 4, 4, 4], [1, 4, 4, 4], 0),
        Refusal::new("7 values for [2, 3, 1, 1, 1]", [], |rec, []| {
            ConvWeight::upload(rec.device(), "w", [2, 3, 1, 1, 1], F32, &|| Ok(vec![0.0; 7]))?;
            rec.upload(&[1], &[0.0])
        }),
    ]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::{Approx, sum};
    use crate::cases::activation::oracle::activate;
    use crate::host::Host;

    /// Like `ConvOptions`, with its tensors on the host.
    #[derive(Clone, Debug, Default)]
    pub struct Options {
        pub stride_t: usize,
        pub stride: usize,
        pub pad: [(usize, usize); 3],
        pub upsample: bool,
        pub bias: Option<Host>,
        pub activation: Activation,
        pub slope: Option<Host>,
        pub residual: Option<Host>,
        pub activation_last: bool,
    }

    /// x [T, H, W, C], w [N, C, kt, kh, kw].
    pub fn conv(x: &Host, w: &Host, options: &Options) -> Vec<Approx> {
        let (channels, kernel, up) = (x.cols(), &w.shape[2..], 1 + usize::from(options.upsample));
        let (strides, scales) = ([options.stride_t, options.stride, options.stride], [1, up, up]);
        let size = |a: usize| (x.shape[a] * scales[a] + options.pad[a].0 + options.pad[a].1 - kernel[a]) / strides[a] + 1;
        let (out_h, out_w, outs) = (size(1), size(2), w.shape[0]);
        let element = |i: usize| {
            let (pixel, n) = ([i / outs / out_w / out_h, i / outs / out_w % out_h, i / outs % out_w], i % outs);
            let term = |k: usize| {
                let (c, tap) = (k % channels, k / channels);
                let tap = [tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]];
                let place = [0, 1, 2].map(|a| (pixel[a] * strides[a] + tap[a]).checked_sub(options.pad[a].0).map(|p| p / scales[a]));
                let inside = (0..3).all(|a| place[a].is_some_and(|p| p < x.shape[a]));
                let [t, y, z] = place.map(|p| if inside { p.unwrap_or(0) } else { 0 });
                let weight = (((n * channels + c) * kernel[0] + tap[0]) * kernel[1] + tap[1]) * kernel[2] + tap[2];
                inside.then(|| x.at(((t * x.shape[1] + y) * x.shape[2] + z) * channels + c) * w.at(weight))
            };
            let product = sum((0..kernel.iter().product::<usize>() * channels).filter_map(term));
            finish(options, i, n, options.bias.as_ref().map_or(product, |bias| product + bias.at(n)))
        };
        (0..size(0) * out_h * out_w * outs).map(element).collect()
    }

    /// What follows a sum, bias and all, of channel `n`.
    pub fn finish(options: &Options, i: usize, n: usize, sum: Approx) -> Approx {
        let add = |x: Approx| options.residual.as_ref().map_or(x, |residual| residual.at(i) + x);
        let active = |x: Approx| match &options.slope {
            Some(slope) if x.value < 0.0 => x * slope.at(n),
            Some(_) => x,
            None => activate(options.activation, x),
        };
        if options.activation_last { active(add(sum)) } else { add(active(sum)) }
    }
}
