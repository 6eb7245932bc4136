use std::fs;

use tempfile::tempdir;
use wan_animate::image::RgbImage;
use wan_animate::preprocess::{
    FaceCrop, Keypoint, Keypoints, Limb, MaskGrowth, Preprocess, Retarget, WholeBody, area_size, draw_pose, fit_canvas, skeletons,
};
use wan_animate::video::Frames;

use super::common::{Rated, keypoints, mask, refuses, standing, video};

#[test]
fn points_that_cannot_be() {
    refuses(WholeBody::new(&[Keypoint::default(); 17]), "17 points");
    refuses(Keypoints::new(10, 10, None, vec![]), "at least one frame");
    refuses(Keypoints::new(0, 10, None, vec![standing(0.0)]), "0x10");
    refuses(Keypoints::new(10, 10, Some(f64::NAN), vec![standing(0.0)]), "rate");
    for wrong in [f64::NAN, f64::INFINITY, 1e7] {
        let mut frames = vec![standing(0.0), standing(0.0)];
        frames[1].points_mut()[92].y = wrong;
        refuses(Keypoints::new(10, 10, None, frames), "frame 1: point 92");
    }
}

#[test]
fn files_that_are_none() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("keypoints.json");
    let point = "[1, 2, 0.5]";
    let points = |count: usize| vec![point; count].join(",");
    let own = |frames: String| format!(r#"{{"format":"coco-wholebody-133","width":9,"height":9,"frames":[{frames}]}}"#);
    for (content, message) in [
        (String::new(), "no key points"),
        ("nonsense".into(), "no key points"),
        ("[".into(), "no key points"),
        ("[]".into(), "no frame"),
        ("{}".into(), "format"),
        (own(String::new()), "at least one frame"),
        (own(format!("[{}]", points(132))), "frame 0 has 132 points"),
        (own(format!("[{}],[]", points(133))), "frame 1 has 0 points"),
        (own(format!("[{},[1,2]]", points(132))), "no key points"),
        (own(format!("[{},[NaN,2,1]]", points(132))), "no key points"),
        (own(format!("[{},[1e999,2,1]]", points(132))), "no key points"),
        (own(format!("[{}]", points(133))).replace("133\"", "17\""), "coco-wholebody-17"),
        (r#"{"people":[]}"#.into(), "size"),
        (r#"[{"people":[{"pose_keypoints_2d":[1,2,3]}],"canvas_width":9,"canvas_height":9}]"#.into(), "3 numbers"),
        (r#"[{"people":[],"canvas_width":9,"canvas_height":9},{"people":[],"canvas_width":8,"canvas_height":9}]"#.into(), "8x9"),
    ] {
        fs::write(&file, content).unwrap();
        refuses(Keypoints::open(&file), message);
    }
    fs::write(&file, [0xff, 0xfe, 0x80]).unwrap();
    refuses(Keypoints::open(&file), "not even text");
    let empty = tempdir().unwrap();
    refuses(Keypoints::open_sized(empty.path(), 9, 9), "holds no JSON file");
    assert!(Keypoints::open(folder.path().join("missing.json")).is_err());
}

/// Files of every form with bytes changed, left out and repeated: a value or an error, and what is read can be drawn.
#[test]
fn damaged_files_are_no_crash() {
    let seeds =
        ["own", "comfyui", "openpose"].map(|name| fs::read(format!("{}/fuzz/seeds/keypoints/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut read = 0;
    for round in 0..3000 {
        let mut bytes = seeds[round % 3].clone();
        for _ in 0..=random(3) {
            let (at, len) = (random(bytes.len()), random(8));
            let end = (at + len).min(bytes.len());
            match random(3) {
                0 => bytes[at] = b"0123456789-.e[]{},\"n"[random(20)],
                1 => drop(bytes.drain(at..end)),
                _ => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
            }
        }
        let Ok(keypoints) = Keypoints::from_json(&String::from_utf8_lossy(&bytes), Some((64, 48))) else { continue };
        let made = Retarget::new(keypoints.clone()).apply(&keypoints).unwrap();
        made.skeletons().iter().chain(&skeletons(&keypoints)).for_each(|skeleton| drop(draw_pose(skeleton, 64, 48)));
        read += 1;
    }
    assert!(read > 300, "{read} of them could be read");
}

#[test]
fn inputs_that_do_not_fit() {
    let character = RgbImage::new(64, 64);
    let (two, prepare) = (keypoints(vec![standing(0.0), standing(1.0)]), Preprocess::new().size(208, 128));
    refuses(prepare.animate(&character, &video(3), &two), "key points of 2 frames, but the video has 3");
    let other = Frames::from_images([RgbImage::new(100, 60), RgbImage::new(100, 60)]).unwrap();
    refuses(prepare.animate(&character, &other, &two), "pictures of 200x120 pixels, not of 100x60");
    refuses(prepare.replace(&video(2), &two, &other), "the mask is of pictures of 100x60");
    let masks = |count| Frames::from_images(vec![mask(0); count]).unwrap();
    refuses(prepare.replace(&video(2), &two, &masks(3)), "masks of 3 frames");
    refuses(prepare.replace(&video(2), &two, &Frames::from_images([RgbImage::new(200, 120)]).unwrap()), "empty in all frames");
    let rated = Frames::new(Rated(video(2), 30.0)).unwrap();
    refuses(prepare.clone().fps(5.0).animate(&character, &rated, &two), "no frame at 5 fps");
    let reference = Keypoints::new(300, 300, None, vec![standing(0.0)]).unwrap();
    refuses(prepare.clone().retarget(Retarget::new(reference.clone())).animate(&character, &video(2), &two), "300x300");
    refuses(prepare.retarget(Retarget::new(reference)).replace(&video(2), &two, &masks(1)), "retargeted");
}

#[test]
fn settings_out_of_range() {
    let character = RgbImage::new(64, 64);
    let one = keypoints(vec![standing(0.0)]);
    let refused = |prepare: Preprocess, message: &str| refuses(prepare.animate(&character, &video(1), &one), message);
    refused(Preprocess::new().kernel_size(0), "kernel_size");
    refused(Preprocess::new().w_subdivisions(0), "w_subdivisions");
    refused(Preprocess::new().face(FaceCrop::Padded(0.5)), "0.5");
    refused(Preprocess::new().face(FaceCrop::Padded(f64::NAN)), "NaN");
    refused(Preprocess::new().least_island(2.0), "least island");
    refused(Preprocess::new().largest_hole(f64::NAN), "largest hole");
    refused(Preprocess::new().size(8, 480), "8x480");
    refused(Preprocess::new().area(100), "below 16");
    refused(Preprocess::new().area(u64::MAX), "cannot be brought");
    refuses(area_size(0, 5, 1000), "0x5");
    refuses(fit_canvas(&RgbImage::new(1, 1000), 16, 16), "every side");
    refuses(Retarget::new(one.clone()).limb_scale(Limb::Forearms, 0.0).apply(&one), "scaled by 0");
    refuses(MaskGrowth { h_subdivisions: 0, ..MaskGrowth::default() }.apply(&Default::default()), "h_subdivisions");
}
