use image::{GrayImage, Luma, RgbImage};
use serde_json::Value;
use wan_animate::image;
use wan_animate::preprocess::{
    FaceBox, Keypoint, Keypoints, MaskGrowth, Retarget, Skeleton, area_size, crop_face, dilate, draw_pose, fit_canvas, official_face_box,
    skeletons,
};

use super::common::{person, size};

fn golden() -> Value {
    serde_json::from_str(include_str!("../goldens/conditions.json")).unwrap()
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

fn each<'a>(golden: &'a Value, name: &str) -> std::slice::Iter<'a, Value> {
    golden[name].as_array().unwrap().iter()
}

#[test]
fn drawings_are_opencv_s_to_the_pixel() {
    for (index, case) in each(&golden(), "poses").enumerate() {
        let (width, height) = (case["width"].as_u64().unwrap() as u32, case["height"].as_u64().unwrap() as u32);
        let keypoints = Keypoints::new(width, height, None, vec![person(&case["points"])]).unwrap();
        let drawing = draw_pose(&skeletons(&keypoints)[0], width, height);
        let drawn = drawing.pixels().filter(|pixel| pixel.0 != [0; 3]).count();
        assert_eq!(
            (drawn as u64, hash(drawing.as_raw())),
            (case["drawn"].as_u64().unwrap(), case["drawing"].as_str().unwrap().into()),
            "pose {index}"
        );
    }
}

#[test]
fn face_boxes_are_the_official_ones() {
    for (index, case) in each(&golden(), "poses").enumerate() {
        let side = |name: &str| case[name].as_u64().unwrap() as u32;
        let [x1, x2, y1, y2] = std::array::from_fn(|side| case["face"][side].as_i64().unwrap() as i32);
        let found = official_face_box(&person(&case["points"]), side("width"), side("height"));
        assert_eq!(found, Some(FaceBox { x1, x2, y1, y2 }), "pose {index}");
    }
}

#[test]
fn retargeted_poses_are_the_official_ones() {
    for (index, case) in each(&golden(), "clips").enumerate() {
        let of = |name: &str, frames| Keypoints::new(size(&case[name]).0, size(&case[name]).1, None, frames).unwrap();
        let driving = of("size", each(case, "frames").map(person).collect());
        let mut retarget = Retarget::new(of("to", vec![person(&case["reference"])]));
        if let Some(edits) = case["edits"].as_array() {
            let (edited_driving, edited_reference) = (of("size", vec![person(&edits[0])]), of("to", vec![person(&edits[1])]));
            retarget = retarget.edited_driving(edited_driving).edited_reference(edited_reference);
        }
        let made = retarget.apply(&driving).unwrap();
        for (frame, expected) in made.skeletons().iter().zip(each(case, "made")) {
            let distance = distance(frame, expected);
            assert!(distance < 1e-3, "clip {index}: {distance} px");
        }
    }
}

/// The largest distance along an axis; infinite where one has a point and the other none.
fn distance(own: &Skeleton, expected: &Value) -> f64 {
    let number = |at: &Value, index: usize| at[index].as_f64().unwrap();
    let apart = |(own, at): (&Keypoint, &Value)| {
        let scores = (own.score - number(at, 2)).abs() > 1e-6;
        if scores { f64::INFINITY } else { (own.x - number(at, 0)).abs().max((own.y - number(at, 1)).abs()) }
    };
    let hands = own.hands.iter().zip(each(expected, "hands")).flat_map(|(own, hand)| own.iter().zip(hand.as_array().unwrap()));
    own.body.iter().zip(each(expected, "body")).chain(hands).map(apart).fold(0.0, f64::max)
}

#[test]
fn masks_grow_as_opencv_s_do() {
    for (index, case) in each(&golden(), "masks").enumerate() {
        let (width, height) = size(&case["size"]);
        let number = |name: &str| case[name].as_u64().unwrap() as u32;
        let mut mask = GrayImage::new(width, height);
        for ellipse in each(case, "ellipses") {
            let [cx, cy, a, b] = std::array::from_fn(|index| ellipse[index].as_i64().unwrap());
            for (x, y, pixel) in mask.enumerate_pixels_mut() {
                let (x, y) = (i64::from(x) - cx, i64::from(y) - cy);
                if x * x * b * b + y * y * a * a <= a * a * b * b {
                    *pixel = Luma([255]);
                }
            }
        }
        let growth = MaskGrowth {
            iterations: number("iterations"),
            kernel_size: number("kernel_size"),
            w_subdivisions: number("w_subdivisions"),
            h_subdivisions: number("h_subdivisions"),
        };
        let dilated = dilate(&mask, growth.kernel_size, growth.iterations);
        assert_eq!(hash(dilated.as_raw()), case["dilated"].as_str().unwrap(), "mask {index}, dilated");
        assert_eq!(hash(growth.apply(&mask).unwrap().as_raw()), case["grid"].as_str().unwrap(), "mask {index}");
        assert_eq!(MaskGrowth { iterations: 0, ..growth }.apply(&mask).unwrap(), mask);
    }
}

fn picture(width: u32, height: u32) -> RgbImage {
    let sample = |x: u32, y: u32, c: u32| ((x * 37 + y * 91 + c * 53 + x * y / 7) % 256) as u8;
    RgbImage::from_fn(width, height, |x, y| [sample(x, y, 0), sample(x, y, 1), sample(x, y, 2)].into())
}

#[test]
fn sizes_and_resampling_are_the_official_ones() {
    let golden = golden();
    for case in each(&golden, "sizes") {
        let [width, height, area, to_width, to_height] = std::array::from_fn(|index| case[index].as_u64().unwrap());
        assert_eq!(area_size(width as u32, height as u32, area).unwrap(), (to_width as u32, to_height as u32), "{width}x{height}");
    }
    for case in each(&golden, "fitted") {
        let [width, height, to_width, to_height] = std::array::from_fn(|index| case[index].as_u64().unwrap() as u32);
        let fitted = fit_canvas(&picture(width, height), to_width, to_height).unwrap();
        assert_eq!(hash(fitted.as_raw()), case[4].as_str().unwrap(), "{width}x{height} to {to_width}x{to_height}");
    }
    let crop = crop_face(&picture(100, 80), FaceBox { x1: 11, x2: 93, y1: 7, y2: 70 }).unwrap();
    assert_eq!(hash(crop.as_raw()), golden["crop"].as_str().unwrap());
}
