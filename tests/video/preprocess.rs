use std::path::Path;

use image::{GrayImage, RgbImage};
use wan_animate::unversioned::video::clip_image::{ClipImageConfig, clip_image};
use wan_animate::unversioned::video::resize::{Filter, resize};
use wan_animate::unversioned::video::{official, preprocess};
use wan_animate::video::open_image;

use super::goldens::{Goldens, target};

#[track_caller]
fn assert_close(got: &[f32], want: &[f32], tolerance: f32, case: &str) {
    assert_eq!(got.len(), want.len(), "{case}");
    let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    let wrong = got.iter().zip(want).filter(|(g, w)| g != w).count();
    assert!(worst <= tolerance, "{case}: {wrong} of {} differ, by up to {worst}", got.len());
}

#[test]
fn resizing_equals_pillow_bit_for_bit() {
    let goldens = Goldens::open("preprocess.safetensors");
    let filters =
        [("nearest", Filter::Nearest), ("bilinear", Filter::Bilinear), ("bicubic", Filter::Bicubic), ("lanczos", Filter::Lanczos)];
    for case in goldens.cases("resize") {
        let case = format!("resize.{case}");
        let [width, height] = target(&case);
        let source = goldens.rgb(&format!("{case}.source"));
        for (name, filter) in filters {
            let got: RgbImage = resize(&source, width, height, filter).unwrap();
            assert_eq!(got, goldens.rgb(&format!("{case}.{name}")), "{case}.{name}");
        }
    }
}

#[test]
fn official_letterboxes_equal_opencv_bit_for_bit() {
    let goldens = Goldens::open("official/letterbox.safetensors");
    for case in goldens.cases("letterbox") {
        let case = format!("letterbox.{case}");
        let [width, height] = target(&case);
        let got = official::letterbox(&goldens.rgb(&format!("{case}.source")), width, height).unwrap();
        assert_eq!(got, goldens.rgb(&format!("{case}.canvas")), "{case}");
    }
}

#[test]
fn grey_images_resize_like_rgb_ones() {
    let goldens = Goldens::open("preprocess.safetensors");
    let source = goldens.grey("resize.37x23.9x7.bicubic.grey");
    let rgb = RgbImage::from_fn(9, 7, |x, y| [source.get_pixel(x, y).0[0]; 3].into());
    let got: GrayImage = resize(&source, 31, 4, Filter::Lanczos).unwrap();
    let want: RgbImage = resize(&rgb, 31, 4, Filter::Lanczos).unwrap();
    assert!(want.pixels().zip(got.pixels()).all(|(rgb, grey)| rgb.0 == [grey.0[0]; 3]));
}

#[test]
fn empty_sides_and_huge_ones_are_refused() {
    let image = RgbImage::new(4, 4);
    assert!(resize(&image, 0, 4, Filter::Lanczos).is_err());
    assert!(resize(&RgbImage::new(0, 4), 4, 4, Filter::Nearest).is_err());
    for filter in [Filter::Nearest, Filter::Lanczos] {
        assert!(resize(&image, u32::MAX, u32::MAX, filter).is_err(), "more than memory holds");
    }
    assert!(preprocess::reference(&RgbImage::new(1, 100), 32, 32).is_err(), "nothing of it would be left");
    assert!(preprocess::reference(&RgbImage::new(0, 0), 32, 32).is_err());
    assert!(clip_image(&RgbImage::new(3, 0), &ClipImageConfig::default(), 224).is_err());
    assert!(clip_image(&RgbImage::new(1, 1_000_000), &ClipImageConfig::default(), 224).is_err());
}

/// Exact: the same 8-bit samples through the same two f32 operations.
#[test]
fn frames_masks_and_references_equal_diffusers() {
    let goldens = Goldens::open("preprocess.safetensors");
    for case in goldens.cases("preprocess") {
        let case = format!("preprocess.{case}");
        let [width, height] = target(&case);
        let source = goldens.rgb(&format!("{case}.source"));
        let check =
            |got: Vec<f32>, name: &str| assert_close(&got, &goldens.floats(&format!("{case}.{name}")), 0.0, &format!("{case}.{name}"));
        check(preprocess::frame(&source, width, height).unwrap(), "frame");
        check(preprocess::mask(&source, width, height).unwrap(), "mask");
        check(preprocess::reference(&source, width, height).unwrap(), "reference");
    }
}

/// Exact too: 8-bit resize and crop, then f64 scaling rounded to f32 and f32 normalisation, as NumPy does them.
#[test]
fn clip_images_equal_transformers() {
    let goldens = Goldens::open("preprocess.safetensors");
    for case in goldens.cases("clip") {
        let source = goldens.rgb(&format!("clip.{case}.source"));
        let json = goldens.bytes(&format!("clip.{case}.config"));
        let config = ClipImageConfig::from_json(Path::new("preprocessor_config.json"), &json).unwrap();
        let values = format!("clip.{case}.values");
        let size = goldens.shape(&values)[2];
        let mut got = clip_image(&source, &config, size as u32).unwrap();
        if case == "default" {
            assert_eq!(config, ClipImageConfig::default());
            got = got.chunks(size * size).flat_map(|plane| plane.chunks(size).step_by(7).flatten()).copied().collect();
        }
        assert_close(&got, &goldens.floats(&values), 0.0, &case);
    }
}

#[test]
fn unsupported_clip_settings_are_refused() {
    let parse = |json: &str| ClipImageConfig::from_json(Path::new("p.json"), json.as_bytes());
    assert!(parse("{}").is_ok());
    for bad in [
        r#"{"image_processor_type": "SiglipImageProcessor"}"#,
        r#"{"resample": 4}"#,
        r#"{"do_pad": true}"#,
        r#"{"size": {"longest_edge": 224}}"#,
        r#"{"size": {"shortest_edge": 224, "longest_edge": 300}}"#,
        r#"{"image_std": [1.0, 0.0, 1.0]}"#,
        r#"{"image_mean": [1.0, 0.0]}"#,
        "[",
    ] {
        assert!(parse(bad).unwrap_err().to_string().contains("p.json"), "{bad}");
    }
    for (json, size) in [(r#"{"crop_size": 30}"#, "30x30"), (r#"{"crop_size": 4294967295}"#, "4294967295x4294967295")] {
        let error = clip_image(&RgbImage::new(40, 40), &parse(json).unwrap(), 224).unwrap_err().to_string();
        assert!(error.contains(size) && error.contains("224x224"), "{error}");
    }
}

#[test]
fn picture_files_open_as_in_pillow() {
    let goldens = Goldens::open("preprocess.safetensors");
    let folder = tempfile::tempdir().unwrap();
    for name in ["rgb.png", "alpha.png", "grey.png", "grey_alpha.png", "palette.png", "bits.png", "deep.png", "rgb.webp", "rgb.gif"] {
        // The name lies on purpose: the content decides.
        let path = folder.path().join(format!("{name}.jpeg"));
        std::fs::write(&path, goldens.bytes(&format!("file.{name}.bytes"))).unwrap();
        assert_eq!(open_image(&path).unwrap(), goldens.rgb(&format!("file.{name}.rgb")), "{name}");
    }
}
