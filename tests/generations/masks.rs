//! The mask of a person, followed through a video by SAM 2: what it is told, and from which files it comes. The model is a tiny one of random numbers,
//! so its masks mean nothing.

use std::path::Path;
use std::sync::OnceLock;

use crate::tiny_sam2::{original, save, save_torch, tiny};
use image::{Rgb, RgbImage};
use serde_json::json;
use wan_animate::driving::DrivingVideo;
use wan_animate::networks::{
    MaskGuide, MaskPrompt, MaskPrompts, NetworkFiles, Networks, Person, PersonDetector, Pose, PoseEstimator, Sam2Masks, Search,
    VideoSegmenter,
};
use wan_animate::preprocess::{Flag, Keypoint, NUM_KEYPOINTS, PersonBox, Preprocess, WholeBody};
use wan_animate::unversioned::layers::Precision;
use wan_animate::video::Frames;
use wan_animate::{Cancel, Device, Error, Result};

const SIZE: u32 = 96;

fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| Device::builder().build().expect("an adapter (`make test` installs a software one)")).clone()
}

fn segmenter(device: &Device) -> Sam2Masks {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let (tensors, json, _) = tiny("tiny_2_1");
        save(folder.path(), &tensors, Some(&json));
        folder
    });
    Sam2Masks::open(folder.path(), device).expect("a model").precision(Precision::F32)
}

fn frame(index: usize) -> RgbImage {
    RgbImage::from_fn(SIZE, SIZE, |x, y| {
        let at = (x as usize * 7 + y as usize * 13 + index * 31) * 2_654_435_761 % 65_536;
        Rgb([index as u8, (at % 256) as u8, (at / 256) as u8])
    })
}

fn video(frames: usize) -> Frames {
    Frames::from_images((0..frames).map(frame)).expect("of one size")
}

/// A person whose points fill a box, unless it is not there.
fn person(index: usize, is_there: bool) -> WholeBody {
    let at = |k: usize| (k % 12) as f64 / 12.0;
    let score = if is_there { 0.9 } else { 0.0 };
    let point = |k: usize| Keypoint { x: 30.0 + index as f64 + 30.0 * at(k), y: 20.0 + 60.0 * at(k / 12), score };
    WholeBody::new(&(0..NUM_KEYPOINTS).map(point).collect::<Vec<_>>()).expect("a person")
}

fn masks(segmenter: &mut Sam2Masks, persons: &[WholeBody], prompts: &MaskPrompts) -> Vec<Vec<u8>> {
    segmenter.begin(&video(persons.len()), persons, prompts).expect("begins");
    persons.iter().map(|_| segmenter.next_mask().expect("a mask").into_raw()).collect()
}

#[test]
fn corrections_change_what_follows_and_nothing_before() {
    let mut segmenter = segmenter(&device());
    let persons: Vec<_> = (0..5).map(|index| person(index, true)).collect();
    let alone = masks(&mut segmenter, &persons, &MaskPrompts::new());
    assert!(alone[0].iter().all(|&pixel| pixel == 0 || pixel == 255));
    let said = MaskPrompts::new().frame(2, MaskPrompt::new().other(40.0, 40.0).person(5.0, 90.0));
    let corrected = masks(&mut segmenter, &persons, &said);
    assert_eq!(alone[..2], corrected[..2]);
    assert_ne!(alone[2], corrected[2]);
    assert_eq!(alone, masks(&mut segmenter, &persons, &MaskPrompts::new()), "nothing is remembered of another video");
}

#[test]
fn the_guide_makes_a_difference_and_nobody_is_no_failure() {
    let mut segmenter = segmenter(&device());
    let official = MaskPrompts::new().guide(MaskGuide::Official);
    let persons: Vec<_> = (0..6).map(|index| person(index, index != 2 && index != 3)).collect();
    let [a, b] = [&official, &MaskPrompts::new()].map(|prompts| masks(&mut segmenter, &persons, prompts));
    assert_ne!(a, b);
    let absent: Vec<_> = (0..3).map(|index| person(index, false)).collect();
    for prompts in [&official, &MaskPrompts::new()] {
        let empty = masks(&mut segmenter, &absent, prompts);
        assert!(empty.iter().flatten().all(|&pixel| pixel == 0), "nothing was said of anybody");
    }
    let far =
        MaskPrompts::new().frame(1, MaskPrompt::new().person(-1e5, 1e7).bounds(PersonBox { x1: -9.0, x2: 1e4, y1: 500.0, y2: 600.0 }));
    assert_eq!(masks(&mut segmenter, &absent, &far).len(), 3, "prompted where there is no picture");
}

#[test]
fn prompts_that_cannot_be_meant_are_refused() {
    let mut segmenter = segmenter(&device());
    let persons: Vec<_> = (0..3).map(|index| person(index, true)).collect();
    let cases = [
        (MaskPrompts::new().max_memories(0), "0 memories"),
        (MaskPrompts::new().frame(3, MaskPrompt::new().person(1.0, 1.0)), "frame 3 is prompted, but the video has 3"),
        (MaskPrompts::new().frame(1, MaskPrompt::new()), "prompted with nothing"),
        (MaskPrompts::new().frame(1, MaskPrompt::new().person(f64::NAN, 1.0)), "no number"),
    ];
    for (prompts, says) in cases {
        let error = segmenter.begin(&video(3), &persons, &prompts).expect_err(says);
        assert!(matches!(error, Error::Input(_)) && error.to_string().contains(says), "{error}");
    }
    assert!(segmenter.begin(&video(2), &persons, &MaskPrompts::new()).is_err(), "persons of other frames");
    segmenter.begin(&video(1), &persons[..1], &MaskPrompts::new()).expect("begins");
    segmenter.next_mask().expect("a mask");
    assert!(segmenter.next_mask().is_err(), "there is one frame");
}

/// Finds the person of [`person`], which is away in some frames; its pose network may have a mask of its own, as MediaPipe's has.
struct Script {
    away: std::ops::Range<usize>,
    masks: bool,
}

impl PersonDetector for Script {
    fn persons(&mut self, frame: &RgbImage) -> Result<Vec<Person>> {
        let index = usize::from(frame.get_pixel(0, 0)[0]);
        let x = 30.0 + index as f64;
        let bounds = PersonBox { x1: x, x2: x + 30.0, y1: 20.0, y2: 80.0 };
        Ok(if self.away.contains(&index) { Vec::new() } else { vec![Person::new(bounds, 0.9)] })
    }
}

impl PoseEstimator for Script {
    fn pose(&mut self, frame: &RgbImage, _: &PersonBox) -> Result<Pose> {
        let index = usize::from(frame.get_pixel(0, 0)[0]);
        let mut pose = Pose::new(person(index, !self.away.contains(&index)));
        pose.mask = self.masks.then(|| image::GrayImage::from_fn(SIZE, SIZE, |x, _| [if x < 48 { 255 } else { 0 }].into()));
        Ok(pose)
    }
}

fn script(away: std::ops::Range<usize>, masks: bool) -> Networks {
    Networks::new(Script { away: away.clone(), masks }, Script { away, masks })
}

fn driving(frames: usize) -> DrivingVideo {
    DrivingVideo::new(video(frames)).preprocess(Preprocess::new().size(SIZE, SIZE))
}

#[test]
fn a_person_leaves_and_comes_back() {
    let networks = script(2..4, false).with_video_segmenter(segmenter(&device()));
    let mut pieces = Vec::new();
    let preparation = driving(6).open_networks(networks).to_replace(&device()).expect("can be prepared");
    let conditions = preparation.run(&Cancel::new(), &mut |done, all| pieces.push((done, all))).expect("prepared");
    assert_eq!(pieces, (1..=12).map(|done| (done, 13)).collect::<Vec<_>>(), "each frame twice");
    let frames = conditions.report().frames();
    let flagged = |flag| (0..6).filter(|&index| frames[index].flags.contains(&flag)).collect::<Vec<_>>();
    assert_eq!(flagged(Flag::NoPerson), [2, 3]);
    assert!(frames.iter().all(|frame| frame.mask_pixels.is_some()));
}

/// Files, a network that has masks beside points, and one that follows them: the rest is the same.
#[test]
fn masks_come_from_three_sources() {
    let of = |driving: DrivingVideo| {
        let preparation = driving.to_replace(&device()).expect("can be prepared");
        preparation.run(&Cancel::new(), &mut |_, _| {}).expect("prepared")
    };
    let white = |x: u32, _: u32| Rgb([if x < 48 { 255 } else { 0 }; 3]);
    let file = Frames::from_images((0..4).map(|_| RgbImage::from_fn(SIZE, SIZE, white))).expect("of one size");
    let given = of(driving(4).open_networks(script(0..0, false)).mask(file));
    let beside = of(driving(4).open_networks(script(0..0, true)));
    let followed = of(driving(4).open_networks(script(0..0, true).with_video_segmenter(segmenter(&device()))));
    let mask = |conditions: &wan_animate::preprocess::Conditions, index| conditions.mask().expect("made").read(index).expect("a frame");
    assert_eq!(mask(&given, 2), mask(&beside, 2));
    assert_eq!(given.keypoints(), followed.keypoints());
    assert_ne!(given.report().frames()[2].mask_pixels, followed.report().frames()[2].mask_pixels);
    assert_eq!(given.pose().read(1).expect("a frame"), followed.pose().read(1).expect("a frame"));
}

#[test]
fn what_is_found_in_a_folder_is_taken_and_what_is_damaged_says_so() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model/process_checkpoint");
    let folder = tempfile::tempdir().expect("a folder");
    for file in std::fs::read_dir(&demo).expect("the demo's networks") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
    }
    let sam2 = folder.path().join("sam2");
    let (tensors, json, _) = tiny("tiny_2_0");
    save_torch(&sam2, "sam2_hiera_large.pt", &original(&tensors), Some(&json));
    let files = NetworkFiles::new().folder(folder.path());
    let mut networks = files.open(&device()).expect("opens");
    let found = networks.find(&video(3), &Search::new().masks(true), &Cancel::new(), &mut |done, all| assert!(done <= all && all == 6));
    match found {
        Ok(found) => assert_eq!(found.masks.expect("asked for").num_frames(), 3),
        Err(error) => assert!(error.to_string().contains("nobody is found"), "{error}"),
    }
    std::fs::copy(sam2.join("sam2_hiera_large.pt"), sam2.join("sam2.1_hiera_tiny.pt")).expect("copied");
    let both = files.open(&device()).expect_err("two").to_string();
    assert!(both.contains("sam2_hiera_large.pt") && both.contains("sam2.1_hiera_tiny.pt") && both.contains("--mask-network"), "{both}");
    let by_itself = files.clone().segmenter(sam2.join("sam2.1_hiera_tiny.pt"));
    by_itself.open(&device()).expect("the one that is named");
    let bytes = std::fs::read(sam2.join("sam2_hiera_large.pt")).expect("read");
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..40], b"", b"not a checkpoint"] {
        std::fs::write(sam2.join("sam2.1_hiera_tiny.pt"), damaged).expect("written");
        let error = by_itself.open(&device()).expect_err("damaged");
        assert!(error.to_string().contains("sam2.1_hiera_tiny.pt"), "{error}");
    }
}

#[test]
fn files_that_are_none_of_sam_2_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut tensors, json, _) = tiny("tiny_2_1");
    tensors.retain(|name, _| name.starts_with("mask_decoder"));
    save(folder.path(), &tensors, Some(&json));
    let error = Sam2Masks::open(folder.path(), &device()).expect_err("a part of one");
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    let (tensors, mut json, _) = tiny("tiny_2_1");
    for (place, value) in [("/image_size", 100), ("/image_size", 0), ("/mask_decoder_config/num_attention_heads", 7)] {
        let before = std::mem::replace(json.pointer_mut(place).expect("a field"), value.into());
        save(folder.path(), &tensors, Some(&json));
        assert!(Sam2Masks::open(folder.path(), &device()).is_err(), "{place} of {value}");
        *json.pointer_mut(place).expect("a field") = before;
    }
}

/// Whatever a configuration says, it is refused, or there is a plan.
#[test]
fn no_configuration_ends_in_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tensors, json, _) = tiny("tiny_2_1");
    save(folder.path(), &tensors, Some(&json));
    let hiera = "/vision_config/backbone_config";
    let windows = format!("{hiera}/window_size_per_stage");
    let places = [
        "/image_size".to_owned(),
        "/mask_decoder_config/num_attention_heads".to_owned(),
        format!("{hiera}/global_attention_blocks"),
        format!("{hiera}/num_attention_heads_per_stage"),
        format!("{hiera}/num_attention_heads_per_stage/2"),
        windows.clone(),
        format!("{windows}/0"),
        format!("{windows}/2"),
        format!("{windows}/3"),
    ];
    let values =
        [json!(0), json!(1), json!(6), json!(32), json!(8192), json!(u64::MAX), json!(1u64 << 40), json!(-3), json!("a"), json!([0])];
    let dry = device().dry(device().limits().clone());
    for (place, value) in places.iter().flat_map(|place| values.iter().map(move |value| (place, value))) {
        let mut other = json.clone();
        *other.pointer_mut(place).expect("a field") = value.clone();
        std::fs::write(folder.path().join("config.json"), other.to_string()).expect("written");
        let planned = Sam2Masks::open(folder.path(), &dry).and_then(|masks| masks.gpu_memory());
        println!("{place} of {value}: {planned:?}");
        let is_size = value.as_u64().is_some_and(|size| (1..1 << 20).contains(&size));
        assert!(planned.is_err() || is_size || value.is_array(), "{place} of {value}");
    }
}

#[test]
fn a_model_takes_what_was_said_and_too_small_a_budget_is_refused() {
    let free = Device::builder().build().expect("an adapter");
    let mut segmenter = segmenter(&free);
    let planned = segmenter.gpu_memory().expect("a plan").peak;
    let persons: Vec<_> = (0..30).map(|index| person(index, true)).collect();
    free.reset_peak();
    masks(&mut segmenter, &persons, &MaskPrompts::new());
    let peak = free.memory_use().peak;
    println!("{peak} bytes, {planned} planned");
    assert!(peak <= planned && planned * 9 <= peak * 10, "{peak} bytes, {planned} planned");
    let tight = Device::builder().memory_limit(planned / 2).build().expect("an adapter");
    let refusal = self::segmenter(&tight).begin(&video(30), &persons, &MaskPrompts::new()).expect_err("too small a limit");
    assert!(refusal.to_string().contains(&format!("needs a memory budget of {planned} bytes")), "{refusal}");
    assert_eq!(tight.memory_use().peak, 0);
}
