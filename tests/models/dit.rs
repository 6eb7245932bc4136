//! The diffusion transformer against goldens of diffusers' `WanAnimateTransformer3DModel`.

use std::iter;
use std::sync::Arc;

use crate::common::{Golden, assert_close, golden_weights, sample_2};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::layers::Loader;
use wan_animate::unversioned::models::dit::animate2::Animate2;
use wan_animate::unversioned::models::dit::block::Block;
use wan_animate::unversioned::models::dit::cache::work::Work;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::self_keys::SelfKeys;
use wan_animate::unversioned::models::dit::{Dit, SessionOptions, Timestep};
use wan_animate::unversioned::models::spec::Sizes;
use wan_animate::unversioned::ops::{
    attention::Heads, attention::KeyRanges, attention::Shift, attention::attention, copy::concat, lincomb::lincomb,
};
use wan_animate::{Cancel, Device, DrivingCache, Family, Precision, RadialAttention, wgpu};

/// Both sides round to f32 at every step of a few hundred operations in different orders.
const F32: f64 = 2e-5;
/// Operands are rounded to 11 bits; two to four blocks add up their errors.
const F16: f64 = 2e-3;

fn sample(checkpoint: &str, precision: Precision) -> (Vec<f32>, Golden) {
    let weights = golden_weights(&format!("{checkpoint}/transformer"));
    let golden = Golden::open(&format!("parts/{checkpoint}_transformer.safetensors"));
    (crate::common::sample(checkpoint, &weights, precision, &golden), golden)
}

#[test]
fn forward_equals_diffusers() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F32);
        assert_close(checkpoint, &got, golden.values("sample"), F32);
    }
}

#[test]
fn f16_stays_near() {
    for checkpoint in ["tiny", "odd"] {
        let (got, golden) = sample(checkpoint, Precision::F16);
        assert_close(checkpoint, &got, golden.values("sample"), F16);
    }
}

/// Where a buffer holds the keys of some heads alone, attention goes by groups of heads, to the same bits.
#[test]
fn keys_by_groups_of_heads_are_the_same_bits() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).expect("an adapter");
    let attended = |binding: u64, dtype: DType, room: bool| {
        let required_limits = wgpu::Limits { max_storage_buffer_binding_size: binding, ..wgpu::Limits::default() };
        let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
        let mut rec = Recorder::new(&Device::from_wgpu(device, queue).expect("shares it"), Cancel::new());
        let rec = &mut rec;
        let mut rows = |seed: usize, count: usize| {
            let values: Vec<f32> = (0..count * 48).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 400.0 - 1.2).collect();
            let x = rec.upload(&[count, 48], &values).expect("fits");
            lincomb(rec, &[(1.0, &x)], dtype).expect("rounds")
        };
        let (q, parts) = (rows(0, 20), [[rows(1, 40), rows(2, 40)], [rows(3, 30), rows(4, 30)], [rows(5, 40), rows(6, 40)]]);
        let keys = match room {
            true => {
                let keys = SelfKeys::room(rec, [110, 48], 6, dtype).expect("has room");
                let places = parts.iter().zip([0, 40, 70]);
                places.for_each(|(part, at)| keys.put(rec, at, part.each_ref()).expect("fits"));
                keys
            }
            false => {
                let [k, v] = [0, 1].map(|i| concat(rec, &parts.each_ref().map(|part| &part[i])).expect("fits"));
                SelfKeys::of(k, v, 6)
            }
        };
        let shift = Some(Shift { keys: (10, 30), by: -1.3 });
        [(110, None), (110, shift), (70, None)].map(|(tokens, shift)| {
            let out = keys.attend(rec, &q, tokens, shift, DType::F32).expect("attends");
            rec.download(&out).expect("read back")
        })
    };
    for dtype in [DType::F32, DType::F16] {
        let whole = attended(1 << 20, dtype, false);
        assert!(whole == attended(1 << 20, dtype, true));
        // 110 tokens of 48 do not fit, but those of fewer heads do; queries and results always.
        assert!(whole == attended(40 * 48 * 4, dtype, true));
        assert!(whole[0] != whole[1] && whole[0] != whole[2]);
    }
}

/// Where all keys are seen, they are seen as without ranges, in every family that runs here. But for heads of 256 on cooperative matrices:
/// with ranges they are another family's, and agree within what every family must agree with the formula by before it is used.
#[test]
fn ranges_of_all_keys_change_no_bit() {
    for family in Family::ALL.into_iter().filter(|family| crate::common::device().0.families().contains(family)) {
        let device = Device::builder().family(family).build().expect("a device");
        for (dtype, dim) in [(DType::F32, 20), (DType::F16, 64), (DType::F16, 128), (DType::F16, 256)] {
            let mut rec = Recorder::new(&device, Cancel::new());
            let rec = &mut rec;
            let mut rows = |seed: usize, count: usize| {
                let values: Vec<f32> = (0..count * dim).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 400.0 - 1.2).collect();
                let x = rec.upload(&[count, dim], &values).expect("fits");
                lincomb(rec, &[(1.0, &x)], dtype).expect("rounds")
            };
            let [q, k, v] = [rows(0, 200), rows(1, 333), rows(2, 333)];
            let all = KeyRanges::upload(rec, &vec![iter::once(0..333).collect(); 2]).expect("fits");
            let mut attended = |ranges| {
                let how = Heads { ranges, ..Heads::scaled(1, dim) };
                let out = attention(rec, &q, &k, &v, how, DType::F32).expect("attends");
                rec.download(&out).expect("read back")
            };
            let (ranged, whole) = (attended(Some(&all)), attended(None));
            let bound = if family == Family::Coop && dim > 128 { 2e-3 } else { 0.0 };
            assert!(ranged.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= bound), "{family}, {dtype} {dim}");
        }
    }
}

/// What a small transformer predicts of nine frames of drawn numbers, worked on so many tokens at a time.
fn radial(radial: Option<RadialAttention>, tokens: usize) -> Vec<f32> {
    let (device, mut rec) = crate::common::device();
    let rec = &mut rec;
    let weights = golden_weights("family/t2v/transformer");
    let config = Config::of(&weights).expect("a configuration");
    let model = Dit::<Block>::load(&Loader::new(&device, &weights, Precision::F32), &config).expect("loads");
    let mut session = model.session(SessionOptions { tokens, ..SessionOptions::default() });
    let upload = |rec: &mut Recorder, seed: usize, shape: &[usize]| {
        let value = |i: usize| ((i * 7919 + seed * 104_729) % 997) as f32 / 300.0 - 1.6;
        rec.upload(shape, &(0..shape.iter().product()).map(value).collect::<Vec<_>>()).expect("fits")
    };
    let text = upload(rec, 1, &[config.text_len, config.text_dim]);
    model.add_prompt(rec, &mut session, &text, None).expect("a prompt");
    let latents = upload(rec, 2, &[config.in_channels().expect("known"), 9, 4, 6]);
    let work = Work { radial, ..Work::default() };
    let predicted = model.predict(rec, &mut session, 0, &latents, Timestep::Of(500.0), work, &mut ()).expect("predicts");
    rec.download(&predicted.velocity).expect("read back")
}

#[test]
fn radial_attention_is_the_same_bits_in_any_runs() {
    let dense = radial(None, usize::MAX);
    let some = radial(Some(RadialAttention::default()), usize::MAX);
    assert!(some.iter().all(|value| value.is_finite()) && some != dense);
    assert!(radial(Some(RadialAttention::default()), 1) == some);
    // No layer is left.
    assert!(radial(Some(RadialAttention::default().dense_layers(99)), usize::MAX) == dense);
}

/// What Animate-2 predicts, and the bytes of weights that were on the GPU at once.
fn animate_2(driving: DrivingCache, quantizes: bool, resident: usize) -> (Vec<f32>, u64) {
    let (device, mut rec) = crate::common::device();
    let rec = &mut rec;
    let weights = Arc::new(golden_weights("animate2/base/transformer"));
    let config = Config::of(&weights).expect("a configuration");
    let model = Animate2::open(&device, &weights, Precision::F32, &config).expect("opens");
    let options = SessionOptions { driving, ..SessionOptions::default() };
    let predicted = sample_2(rec, &model, options, quantizes, resident);
    (predicted, device.memory_use().peak_weights)
}

/// However the driving video is kept, and whether blocks stay or are streamed.
#[test]
fn animate_2_is_the_same_bits_streamed_and_resident() {
    use DrivingCache::{Host, Inputs, Keys};
    for (quantizes, caches) in [(false, &[Keys, Inputs, Host][..]), (true, &[Inputs, Host])] {
        let (whole, all) = animate_2(caches[0], quantizes, usize::MAX);
        assert!(whole.iter().all(|value| value.is_finite()) && whole.iter().any(|&value| value != 0.0));
        for &cache in caches {
            let (streamed, few) = animate_2(cache, quantizes, 0);
            assert!(few < all / 2, "{few} of {all} bytes at once");
            assert!(streamed == whole && animate_2(cache, quantizes, usize::MAX).0 == whole, "{cache:?}");
        }
    }
}
