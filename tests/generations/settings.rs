//! Settings are written as they are read, so that an application can keep them in files of its own.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use wan_animate::video::Effort;
use wan_animate::{Animate2Variant, Family, Precision, Preset, RadialAttention, Sampler, Scheduler, Spacing, Storage, Tune, VaeTiling};

fn samplers() -> Vec<Sampler> {
    let spacings = || [Spacing::Uniform, Spacing::Karras, Spacing::Exponential, Spacing::Beta];
    let mut samplers = vec![Sampler::default()];
    samplers.extend(Scheduler::ALL.iter().copied().map(Sampler::from));
    let spread = samplers.iter().flat_map(|sampler| spacings().map(|spacing| sampler.clone().with_spacing(spacing)));
    samplers.extend(spread.collect::<Vec<_>>());
    samplers
}

fn parsed_again<T: Debug + Display + FromStr + PartialEq>(values: impl IntoIterator<Item = T>)
where
    T::Err: Debug,
{
    for value in values {
        assert_eq!(value.to_string().parse::<T>().expect("a name"), value);
    }
}

#[test]
fn what_is_printed_is_parsed() {
    parsed_again(Scheduler::ALL.iter().copied());
    parsed_again(samplers());
    parsed_again([
        Preset::Lightx2v,
        Preset::Lightning,
        Preset::CausVid,
        Preset::Animate6,
        Preset::Animate6Comfy,
        Preset::Animate4,
        Preset::Animate2Six,
    ]);
    parsed_again([Animate2Variant::Base, Animate2Variant::Distilled]);
    parsed_again([Precision::F32, Precision::F16, Precision::Int8]);
    parsed_again([Tune::Off, Tune::On, Tune::Force]);
    parsed_again([VaeTiling::Auto, VaeTiling::Off, VaeTiling::Pixels(256)]);
    parsed_again([Effort::Fast, Effort::Balanced, Effort::Small]);
    parsed_again([Storage::Bf16, Storage::F16, Storage::F32, Storage::Fp8, Storage::Q8_0]);
    parsed_again(Family::ALL);
    parsed_again([RadialAttention::default(), RadialAttention::default().decay(0.8).dense_layers(2).dense_steps(11)]);
}

#[cfg(feature = "serde")]
mod json {
    use serde::{Serialize, de::DeserializeOwned};
    use wan_animate::preprocess::{FaceCrop, KeypointsFormat, MaskGrowth};
    use wan_animate::{Expert, MemoryBudget};

    use super::*;

    fn read_again<T: Debug + PartialEq + Serialize + DeserializeOwned>(value: T, text: &str) {
        assert_eq!(serde_json::to_string(&value).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<T>(text).expect("the same"), value);
    }

    #[test]
    fn settings_go_through_json() {
        read_again(Scheduler::EulerAncestral, r#""euler a""#);
        read_again(Sampler::from(Scheduler::UniPc), r#"{"scheduler":"unipc","spacing":null}"#);
        read_again(Spacing::Karras, r#""karras""#);
        read_again(Spacing::Sigmas(vec![1.0, 0.5]), r#"{"sigmas":[1.0,0.5]}"#);
        read_again(Preset::Lightning, r#""lightning""#);
        read_again(Precision::F16, r#""f16""#);
        read_again(RadialAttention::default(), r#""0.2:1:1""#);
        read_again(Tune::Off, r#""off""#);
        read_again(VaeTiling::Pixels(256), r#""256""#);
        read_again(Effort::Small, r#""small""#);
        read_again(Storage::Q8_0, r#""q8_0""#);
        read_again(Family::Sg, r#""sg""#);
        read_again(MemoryBudget::auto(), r#""auto""#);
        read_again(MemoryBudget::bytes(9), r#"{"bytes":9}"#);
        read_again(Expert::LowNoise, r#""low_noise""#);
        read_again(FaceCrop::Official, r#""official""#);
        read_again(KeypointsFormat::CocoWholeBody, r#""coco_whole_body""#);
        assert_eq!(serde_json::from_str::<MaskGrowth>("{\"iterations\":1}").expect("others by default").kernel_size, 7);
        assert!(serde_json::from_str::<Preset>("\"hasty\"").is_err());
    }
}
