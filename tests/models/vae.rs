//! The video autoencoder against diffusers 0.42.1 `AutoencoderKLWan`, and what must hold of it by itself.
//!
//! `tiny` has widths that are multiples of four, so that f16 storage is at work; `odd` has none, and other multipliers. So it is
//! with VAE 2.2 in `family/ti2v` and `family/odd`; the latter halves the frames at other levels too.

use crate::common::{Golden, device, difference, golden_path};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::vae::Vae;
use wan_animate::unversioned::models::vae::config::Config;
use wan_animate::unversioned::ops::copy::concat;
use wan_animate::{Cancel, Error, Result, VaeTiling};

/// Mean and largest difference. Both sides round to f32 in some twenty layers, each in its own order; the reference itself is up
/// to 9e-6 from the same network in f64, because a norm over three channels magnifies where all three are small.
const F32: (f64, f64) = (1e-6, 3e-5);
/// f16 has 11 bits: each operand is off by up to 2.4e-4 of itself, and the errors of twenty layers add up.
const F16: (f64, f64) = (1e-3, 2e-2);

const PARTS: [&str; 4] = ["tiny", "odd", "family/ti2v", "family/odd"];

fn golden(part: &str) -> Golden {
    let (folder, name) = part.split_once('/').map_or((String::new(), part), |(folder, name)| (format!("{folder}/"), name));
    Golden::open(&format!("{folder}parts/{name}_vae.safetensors"))
}

/// [C, F, H, W] as [F, H, W, C].
fn channels_last(golden: &Golden, name: &str) -> (Vec<usize>, Vec<f32>) {
    let (shape, values) = (golden.shape(name), golden.values(name));
    let (channels, pixels) = (shape[0], shape[1..].iter().product::<usize>());
    let moved = (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| values[channel * pixels + pixel])).collect();
    (vec![shape[1], shape[2], shape[3], channels], moved)
}

fn config(part: &str) -> Config {
    let text = std::fs::read(golden_path(part).join("vae/config.json")).expect("a config file");
    serde_json::from_slice(&text).expect("a config")
}

fn load(part: &str, precision: Precision) -> (Vae, Recorder) {
    let (device, rec) = device();
    let weights = models::open(golden_path(part).join("vae")).expect("weights");
    let vae = Vae::load(&Loader::new(&device, &weights, precision), &config(part)).expect("a model");
    weights.finish().expect("all tensors are used");
    (vae, rec)
}

fn assert_near(what: &str, got: &[f32], want: &[f32], (mean_bound, bound): (f64, f64)) {
    let (mean, most) = difference(got, want);
    println!("{what}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= mean_bound && most <= bound, "{what}: mean {mean:.2e}, largest {most:.2e}");
}

fn check_encoding(part: &str, precision: Precision, count: usize) {
    let (vae, mut rec) = load(part, precision);
    let golden = golden(part);
    let (shape, values) = channels_last(&golden, "frames");
    let frames = &values[..values.len() / shape[0] * count];
    let frames = rec.upload(&[count, shape[1], shape[2], 3], frames).expect("an upload");
    let latents = vae.encode(&mut rec, &frames).expect("latents");
    let name = format!("encode_{count}.latents");
    assert_eq!(latents.shape(), golden.shape(&name));
    assert_near(part, &rec.download(&latents).expect("values"), golden.values(&name), F32);
}

fn check_decoding(part: &str, precision: Precision, bounds: (f64, f64)) {
    let (vae, mut rec) = load(part, precision);
    let golden = golden(part);
    let latents = golden.upload(&mut rec, "decode.latents");
    let frames = vae.decode(&mut rec, &latents).expect("frames");
    let (shape, expected) = channels_last(&golden, "decode.frames");
    assert_eq!(frames.shape(), shape);
    assert_near(part, &rec.download(&frames).expect("values"), &expected, bounds);
}

#[test]
fn encoding_equals_the_reference() {
    for part in PARTS {
        for count in [1, 5, 9] {
            check_encoding(part, Precision::F32, count);
        }
    }
}

#[test]
fn decoding_equals_the_reference() {
    for part in PARTS {
        check_decoding(part, Precision::F32, F32);
    }
}

/// Encoding is in f32 whatever the precision.
#[test]
fn f16_stays_near_the_reference() {
    for part in PARTS {
        check_decoding(part, Precision::F16, F16);
        check_encoding(part, Precision::F16, 5);
    }
}

/// One after another, two videos decoded in turns give what each gives alone: the state is the stream's, not the model's.
#[test]
fn streams_are_apart_and_equal_the_whole() {
    for part in PARTS {
        check_streams(part);
    }
}

fn check_streams(part: &str) {
    let (vae, mut rec) = load(part, Precision::F32);
    let rec = &mut rec;
    let golden = golden(part);
    let (shape, values) = (golden.shape("decode.latents"), golden.values("decode.latents"));
    let negated: Vec<f32> = values.iter().map(|value| -value).collect();
    let videos = [values, &negated].map(|values| rec.upload(shape, values).expect("an upload"));
    let latents = videos.each_ref().map(|video| vae.latent_frames(rec, video).expect("latent frames"));
    let mut decoders = [vae.decoder(), vae.decoder()];
    let mut frames = [vec![], vec![]];
    for (index, pair) in latents[0].iter().zip(&latents[1]).enumerate() {
        for (video, latent) in [pair.0, pair.1].into_iter().enumerate() {
            let chunk = decoders[video].next(rec, latent).expect("frames");
            let unit = vae.config().pixels_per_latent();
            assert_eq!(chunk.shape(), [if index == 0 { 1 } else { 4 }, shape[2] * unit, shape[3] * unit, 3]);
            frames[video].push(chunk);
        }
    }
    for (video, frames) in videos.iter().zip(&frames) {
        let whole = vae.decode(rec, video).expect("frames");
        let streamed = concat(rec, &frames.iter().collect::<Vec<_>>()).expect("frames");
        assert_eq!(rec.download(&streamed).expect("values"), rec.download(&whole).expect("values"));
    }
}

#[test]
fn encoding_gives_a_latent_at_the_first_and_every_fourth_frame() {
    for (part, latent_shape) in PARTS.into_iter().zip([[2, 3, 16], [2, 3, 16], [1, 2, 48], [1, 2, 6]]) {
        let (vae, mut rec) = load(part, Precision::F32);
        let (shape, values) = channels_last(&golden(part), "frames");
        let mut encoder = vae.encoder();
        for (index, frame) in values.chunks(values.len() / shape[0]).enumerate() {
            let frame = rec.upload(&shape[1..], frame).expect("an upload");
            let latent = encoder.next(&mut rec, &frame).expect("a step");
            assert_eq!(latent.map(|latent| latent.shape().to_vec()), (index % 4 == 0).then(|| latent_shape.to_vec()));
        }
    }
}

/// The later frames of a longer video need no memory that the first ones did not.
#[test]
fn memory_does_not_grow_with_length() {
    for part in ["tiny", "family/ti2v"] {
        let (vae, mut rec) = load(part, Precision::F32);
        let latents = golden(part).upload(&mut rec, "decode.latents");
        let latents = vae.latent_frames(&mut rec, &latents).expect("latent frames");
        let mut decoder = vae.decoder();
        let mut peaks = vec![];
        for index in 0..12 {
            decoder.next(&mut rec, &latents[index % latents.len()]).expect("frames");
            peaks.push(rec.device().memory_use().peak);
        }
        assert_eq!(peaks[3], peaks[11], "{part}: {peaks:?}");
    }
}

#[test]
fn results_lie_within_one() {
    let (vae, mut rec) = load("odd", Precision::F32);
    let golden = golden("odd");
    let latents: Vec<_> = golden.values("decode.latents").iter().map(|value| value * 1e3).collect();
    let latents = rec.upload(golden.shape("decode.latents"), &latents).expect("an upload");
    let frames = vae.decode(&mut rec, &latents).expect("frames");
    let values = rec.download(&frames).expect("values");
    assert!(values.iter().all(|value| (-1.0..=1.0).contains(value)));
    assert!(values.iter().any(|value| value.abs() == 1.0));
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.expect_err("must be refused") {
        Error::Device(text) => panic!("left to the device: {text}"),
        error => error.to_string(),
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let (vae, mut rec) = load("tiny", Precision::F32);
    for (shape, expected) in [
        ([4, 16, 24, 3], "input: a video of 4 frames cannot be encoded, only 4n + 1 frames"),
        ([0, 16, 24, 3], "input: a video of 0 frames cannot be encoded, only 4n + 1 frames"),
        ([1, 12, 24, 3], "input: a frame of 24 x 12 pixels: both must be multiples of 8"),
        ([1, 0, 24, 3], "input: a frame of 24 x 0 pixels: both must be multiples of 8"),
        ([1, 16, 24, 4], "input: weight: C is 3, was 4"),
    ] {
        let frames = rec.upload(&shape, &vec![0.0; shape.iter().product()]).expect("an upload");
        assert_eq!(message(vae.encode(&mut rec, &frames)), expected);
    }
    for shape in [&[15, 1, 2, 2][..], &[16, 2, 2], &[16, 0, 2, 2]] {
        let latents = rec.upload(shape, &vec![0.0; shape.iter().product()]).expect("an upload");
        assert!(message(vae.decode(&mut rec, &latents)).starts_with("input: latents: shape ["));
    }
    let mut decoder = vae.decoder();
    for (size, ok) in [(2, true), (3, false)] {
        let latent = rec.upload(&[size, 2, 16], &vec![0.0; size * 32]).expect("an upload");
        assert_eq!(decoder.next(&mut rec, &latent).is_ok(), ok);
    }
}

#[test]
fn configurations_that_cannot_be_run_are_refused() {
    let refusal_in = |part: &str, change: fn(&mut Config)| {
        let mut config = config(part);
        change(&mut config);
        message(config.check())
    };
    let refusal = |change: fn(&mut Config)| refusal_in("tiny", change);
    assert!(refusal(|config| config.attn_scales = vec![1.0]).starts_with("unsupported: vae config: `attn_scales`"));
    let patch = refusal(|config| config.patch_size = Some(2));
    assert_eq!(patch, "input: vae config: `in_channels` is 3, no multiple of the 4 pixels of a patch");
    assert_eq!(refusal(|config| config.patch_size = Some(0)), "input: vae config: `patch_size` is 0");
    let spatial = refusal_in("family/ti2v", |config| config.scale_factor_spatial = Some(8));
    assert_eq!(spatial, "input: vae config: `scale_factor_spatial` is not 16, which the levels make");
    let down = refusal_in("family/ti2v", |config| config.dim_mult[3] = 4);
    let uneven = "which do not share out evenly";
    assert_eq!(down, format!("input: vae config: `dim_mult` has a shortcut between 16 channels and 1 pixels of 8, {uneven}"));
    let up = refusal_in("family/ti2v", |config| config.dim_mult = vec![1, 4, 32, 32]);
    assert_eq!(up, format!("input: vae config: `dim_mult` has a shortcut between 256 channels and 4 pixels of 32, {uneven}"));
    let temporal = refusal(|config| config.temperal_downsample = vec![false, false, true]);
    assert_eq!(temporal, "input: vae config: `scale_factor_temporal` is not 2, which the levels make");
    assert_eq!(refusal(|config| config.base_dim = 0), "input: vae config: `base_dim` is 0");
    assert_eq!(refusal(|config| config.dim_mult[1] = usize::MAX), format!("input: vae config: `dim_mult` is {}", usize::MAX));
    assert_eq!(refusal(|config| config.dim_mult = vec![]), "input: vae config: `dim_mult` has 0 entries, expected 1");
    let steps = refusal(|config| config.temperal_downsample.truncate(2));
    assert_eq!(steps, "input: vae config: `temperal_downsample` has 2 entries, expected 3");
    assert_eq!(refusal(|config| config.z_dim = 8), "input: vae config: `latents_mean` has 16 entries, expected 8");
    assert!(refusal(|config| config.latents_std[3] = 0.0).contains("`latents_std` has a zero"));
}

/// The sizes of the VAE of Wan2.2-TI2V-5B.
#[test]
fn the_published_configuration_of_2_2_is_accepted() {
    let sizes = r#"{"base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": true, "patch_size": 2, "in_channels": 12,
        "out_channels": 12, "scale_factor_spatial": 16}"#;
    let config: Config = serde_json::from_str(sizes).expect("a config");
    let config = Config { latents_mean: vec![0.0; 48], latents_std: vec![1.0; 48], ..config };
    config.check().expect("a configuration that can be run");
    assert_eq!((config.pixels_per_latent(), config.frames_per_latent()), (16, 4));
}

#[test]
fn tensors_that_disagree_with_the_configuration_are_named() {
    let (device, _) = device();
    let weights = models::open(golden_path("tiny/vae")).expect("weights");
    let config = Config { base_dim: 5, ..config("tiny") };
    let error = message(Vae::load(&Loader::new(&device, &weights, Precision::F32), &config));
    assert!(error.contains("`encoder.conv_in.weight`") && error.contains("[4, 3, 3, 3, 3]"), "{error}");
}

/// Tiles take as much of their surroundings as their pixels see, so the result is not close to that of whole frames: it is the same.
#[test]
fn tiles_equal_the_whole() {
    for part in PARTS {
        check_tiles(part, Precision::F32);
    }
    check_tiles("tiny", Precision::F16);
}

fn check_tiles(part: &str, precision: Precision) {
    let (vae, mut rec) = load(part, precision);
    let rec = &mut rec;
    // So wide that the tiles in the middle see neither edge, and no multiple of a tile.
    let (unit, [rows, cols], count, size) = (vae.config().pixels_per_latent(), [3, 19], 5, 3);
    let (height, width) = (rows * unit, cols * unit);
    let smooth = |frame: usize, i: usize| {
        let (x, y) = ((i / 3 % width) as f32, (i / 3 / width) as f32);
        (0.05 * x + 0.3 * frame as f32 + (i % 3) as f32).sin() * (0.04 * y).cos()
    };
    let frames: Vec<_> = (0..count)
        .map(|frame| rec.upload(&[height, width, 3], &(0..height * width * 3).map(|i| smooth(frame, i)).collect::<Vec<_>>()))
        .collect::<Result<_>>()
        .expect("uploads");
    let encode = |rec: &mut Recorder, tiling| {
        let latents = vae.encode_frames(rec, tiling, [height, width], count, |_, index| Ok(frames[index].clone())).expect("latents");
        let values = latents.iter().flat_map(|latent| rec.download(latent).expect("values")).collect::<Vec<_>>();
        (latents, values)
    };
    let (latents, whole) = encode(rec, VaeTiling::Off);
    let (_, tiled) = encode(rec, VaeTiling::Pixels((size * unit) as u32));
    assert!(whole.iter().any(|value| value.abs() > 0.1), "{part}: nothing to compare");
    assert!(tiled == whole, "{part}: tiles encode to something else");

    let mut decoder = vae.decoder();
    let whole: Vec<_> =
        latents.iter().map(|latent| decoder.next(rec, latent).and_then(|frames| rec.download_each(&frames)).expect("frames")).collect();
    let tiled = vae.decode_tiled(rec, &latents, size).expect("frames");
    let (mean, most) = difference(&tiled.concat().concat(), &whole.concat().concat());
    println!("{part} in {precision:?}: tiles differ by {mean:.2e}, at most {most:.2e}");
    assert!(tiled == whole, "{part} in {precision:?}: off by at most {most:.2e}");
}

/// A frame that comes again and again is not worked on each time, and the result is the same as if it were.
#[test]
fn still_frames_encode_as_others() {
    let (vae, mut rec) = load("tiny", Precision::F32);
    let (first, still) = (vec![0.3; 16 * 16 * 3], vec![0.0; 16 * 16 * 3]);
    let mut encode = |same: bool| {
        let mut encoder = vae.encoder();
        let mut values = Vec::new();
        let shared = rec.upload(&[16, 16, 3], &still).expect("an upload");
        for index in 0..34 {
            let frame = match (index, same) {
                // Stillness ends, too.
                (0 | 29, _) => rec.upload(&[16, 16, 3], &first).expect("an upload"),
                (_, true) => shared.clone(),
                (_, false) => rec.upload(&[16, 16, 3], &still).expect("an upload"),
            };
            let latent = encoder.next(&mut rec, &frame).expect("a latent");
            values.extend(latent.map(|latent| rec.download(&latent).expect("values")));
        }
        values
    };
    assert!(encode(true) == encode(false));
}

/// By the operations that a dry device counts, for a segment of Animate: 77 frames, all grey but the one carried over.
#[test]
fn still_frames_save_most_of_their_work() {
    let (real, _) = device();
    let operations = |same: bool| {
        let dry = real.dry(real.limits().clone());
        let weights = models::open(golden_path("tiny/vae")).expect("weights");
        let vae = Vae::load(&Loader::new(&dry, &weights, Precision::F32), &config("tiny")).expect("a model");
        let mut rec = Recorder::new(&dry, Cancel::new());
        let mut encoder = vae.encoder();
        let still = rec.zeros(&[64, 64, 3]).expect("a frame");
        for index in 0..77 {
            let frame = if same && index > 0 { still.clone() } else { rec.zeros(&[64, 64, 3]).expect("a frame") };
            encoder.next(&mut rec, &frame).expect("a latent");
        }
        dry.rehearsal().expect("a dry device").cost().flops
    };
    let ratio = operations(true) / operations(false);
    println!("{ratio:.3} of the operations");
    assert!(ratio < 0.6, "{ratio:.3} of the operations");
}
