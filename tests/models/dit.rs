//! The diffusion transformer against goldens of diffusers' `WanAnimateTransformer3DModel`.

use std::sync::Arc;

use crate::common::{Golden, assert_close, golden_weights, sample_2};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::models::dit::SessionOptions;
use wan_animate::unversioned::models::dit::animate2::Animate2;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::self_keys::SelfKeys;
use wan_animate::unversioned::models::spec::Sizes;
use wan_animate::unversioned::ops::{attention::Shift, copy::concat, lincomb::lincomb};
use wan_animate::{Cancel, Device, DrivingCache, Precision, wgpu};

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
