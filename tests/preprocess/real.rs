use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{GrayImage, RgbImage};
use serde_json::Value;
use wan_animate::image;
use wan_animate::preprocess::{
    FaceBox, Keypoints, MaskGrowth, Preprocess, Retarget, binary_mask, dilate, draw_pose, official_face_box, skeletons,
};
use wan_animate::video::{Frames, open_image};

/// The folder of real clips, which are not part of the repository.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.join("cloth/keypoints.json").exists() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn keypoints(data: &Path, name: &str) -> Keypoints {
    Keypoints::open(data.join(name)).unwrap()
}

fn json(file: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Pixels that differ, and pixels that are not black in either.
fn differing(a: &RgbImage, b: &RgbImage) -> (usize, usize) {
    assert_eq!(a.dimensions(), b.dimensions());
    let pairs = || a.pixels().zip(b.pixels());
    (pairs().filter(|(a, b)| a != b).count(), pairs().filter(|(a, b)| a.0 != [0; 3] || b.0 != [0; 3]).count())
}

/// Mean difference in levels.
fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

#[test]
#[ignore = "needs the real clips"]
fn drawings_and_face_boxes_of_a_clip() {
    let Some(data) = data() else { return };
    let keypoints = keypoints(&data, "cloth/keypoints.json");
    let skeletons = skeletons(&keypoints);
    for index in [0, 40] {
        let expected = open_image(data.join(format!("cloth/pose_{index:04}.png"))).unwrap();
        let (wrong, drawn) = differing(&draw_pose(&skeletons[index], 832, 480), &expected);
        println!("frame {index}: {wrong} of {drawn} pixels differ");
        assert!(wrong == 0 && drawn > 1000);
    }
    let boxes = json(data.join("cloth/face_boxes.json"));
    assert_eq!(keypoints.frames().len(), boxes.as_array().unwrap().len());
    for (index, person) in keypoints.frames().iter().enumerate() {
        let [x1, x2, y1, y2] = std::array::from_fn(|side| boxes[index][side].as_i64().unwrap() as i32);
        assert_eq!(official_face_box(person, 832, 480), Some(FaceBox { x1, x2, y1, y2 }), "frame {index}");
    }
}

#[test]
#[ignore = "needs the real clips"]
fn a_clip_is_retargeted() {
    let Some(data) = data() else { return };
    let made = Retarget::new(keypoints(&data, "astronaut.keypoints.json")).apply(&keypoints(&data, "cloth/keypoints.json")).unwrap();
    let expected = json(data.join("cloth/retarget_to_astronaut.json"));
    let (mut farthest, mut points) = (0.0f64, 0);
    for (own, frame) in made.skeletons().iter().zip(expected["frames"].as_array().unwrap()) {
        let parts = [(&own.body[..], "body"), (&own.hands[0][..], "lhand"), (&own.hands[1][..], "rhand")];
        for (at, expected) in parts.iter().flat_map(|(own, name)| own.iter().zip(frame[name].as_array().unwrap())) {
            let Some((x, y)) = expected[0].as_f64().zip(expected[1].as_f64()) else {
                assert_eq!(at.score, 0.0);
                continue;
            };
            farthest = farthest.max((at.x - x).abs()).max((at.y - y).abs());
            points += 1;
        }
    }
    println!("{points} points, at most {farthest} px away");
    assert!(farthest < 0.51 && points > 78 * 20);
    let drawing = draw_pose(&made.skeletons()[40], made.width(), made.height());
    let (wrong, drawn) = differing(&drawing, &open_image(data.join("cloth/retarget_0040.png")).unwrap());
    println!("frame 40: {wrong} of {drawn} pixels differ");
    assert_eq!(wrong, 0);
}

#[test]
#[ignore = "needs the real clips"]
fn a_mask_grows() {
    let Some(data) = data() else { return };
    let open = |name: &str| -> GrayImage { binary_mask(&open_image(data.join("cloth").join(name)).unwrap()) };
    let mask = open("mask0.png");
    assert_eq!(dilate(&mask, 7, 3), open("mask0_dilated.png"));
    for (w_subdivisions, h_subdivisions, name) in [(1, 1, "mask0_1x1.png"), (3, 2, "mask0_3x2.png"), (10, 20, "mask0_10x20.png")] {
        let growth = MaskGrowth { w_subdivisions, h_subdivisions, ..MaskGrowth::default() };
        assert_eq!(growth.apply(&mask).unwrap(), open(name), "{name}");
    }
}

#[test]
#[ignore = "needs the real clips"]
fn a_clip_is_prepared_for_replacing() {
    let Some(data) = data() else { return };
    let open = |name: &str| Frames::open(data.join("cloth").join(name)).unwrap();
    let prepare = Preprocess::new().size(832, 480);
    let conditions = prepare.replace(&open("video.mp4"), &keypoints(&data, "cloth/keypoints.json"), &open("person_mask.mp4")).unwrap();
    let made = [Some(conditions.pose()), Some(conditions.face()), conditions.background(), conditions.mask()];
    // What the official files lost to H.264 is more than what the decoders differ by.
    for (made, (name, levels)) in
        made.into_iter().zip([("pose.mp4", 1.0), ("face.mp4", 5.0), ("background.mp4", 3.0), ("mask_1x1.mp4", 2.0)])
    {
        let (made, expected) = (made.unwrap(), open(name));
        assert_eq!((made.num_frames(), made.fps()), (78, Some(30.0)));
        let worst = [0, 20, 40, 77].map(|index| mean_difference(&made.read(index).unwrap(), &expected.read(index).unwrap()));
        println!("{name}: {worst:.3?} levels");
        assert!(worst.iter().all(|difference| *difference < levels), "{name}");
    }
    conditions.scene().unwrap();
}

#[test]
#[ignore = "needs the real clips"]
fn a_clip_is_prepared_for_animating_in_a_moment() {
    let Some(data) = data() else { return };
    let (character, video) = (open_image(data.join("astronaut.png")).unwrap(), Frames::open(data.join("juggle/video.mp4")).unwrap());
    let retarget = Retarget::new(keypoints(&data, "astronaut.keypoints.json"));
    let start = Instant::now();
    let prepare = Preprocess::new().area(832 * 480).retarget(retarget).smooth(true).fill_gaps(4);
    let conditions = prepare.animate(&character, &video, &keypoints(&data, "juggle/keypoints.json")).unwrap();
    let prepared = start.elapsed();
    for index in 0..78 {
        conditions.pose().read(index).unwrap();
        conditions.face().read(index).unwrap();
    }
    println!("prepared in {prepared:.2?}, read in {:.2?}; {:?}", start.elapsed() - prepared, conditions.report().summary());
    assert_eq!((conditions.size(), conditions.report().frames().len()), ((624, 624), 78));
}
