use std::fs;

use tempfile::tempdir;
use wan_animate::preprocess::{Keypoint, Keypoints, KeypointsFormat, WholeBody};

use super::common::{keypoints, standing};

/// The same but for numbers of any length.
fn clip() -> Keypoints {
    let mut frames = vec![standing(0.0), standing(1.0 / 3.0), standing(-70.123_456_789_012_34)];
    frames[1].points_mut()[40] = Keypoint { x: 1e-7, y: -123.456, score: 1.25 };
    keypoints(frames)
}

#[test]
fn the_own_format_gives_the_same_numbers_again() {
    let file = tempdir().unwrap().path().join("keypoints.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    clip().save(&file, KeypointsFormat::CocoWholeBody).unwrap();
    assert_eq!(Keypoints::open(&file).unwrap(), clip());
    assert_eq!(Keypoints::from_json(&clip().to_json(), None).unwrap(), clip());
    let larger = clip().resized(400, 360).unwrap();
    assert_eq!((larger.width(), larger.frames()[0].points()[0].x, larger.frames()[0].points()[0].y), (400, 100.0, 30.0));
}

/// What the other formats keep: 17 points of the body, the face and the hands; the feet where `feet`.
fn kept(person: &WholeBody, feet: bool) -> Vec<Keypoint> {
    person
        .points()
        .iter()
        .enumerate()
        .map(|(index, at)| if (17..23).contains(&index) && !feet { Keypoint::default() } else { *at })
        .collect()
}

#[test]
fn openpose_and_comfyui_come_back_with_the_points_that_they_have() {
    let folder = tempdir().unwrap();
    let (openpose, comfyui) = (folder.path().join("openpose"), folder.path().join("comfyui.json"));
    clip().save(&openpose, KeypointsFormat::OpenPose).unwrap();
    clip().save(&comfyui, KeypointsFormat::ComfyUi).unwrap();
    let (from_openpose, from_comfyui) = (Keypoints::open_sized(&openpose, 200, 120).unwrap(), Keypoints::open(&comfyui).unwrap());
    assert_eq!((from_comfyui.width(), from_comfyui.height(), from_comfyui.frames().len()), (200, 120, 3));
    for (index, own) in clip().frames().iter().enumerate() {
        assert_eq!(from_openpose.frames()[index].points()[..], kept(own, true)[..]);
        assert_eq!(from_comfyui.frames()[index].points()[..], kept(own, false)[..]);
    }
}

#[test]
fn a_hand_made_openpose_file_is_understood() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("0_keypoints.json");
    // 18 points at shares of the picture: point i at (i / 100, i / 50).
    let body: Vec<String> = (0..18).map(|i| format!("{}, {}, 0.{}", f64::from(i) / 100.0, f64::from(i) / 50.0, i + 10)).collect();
    let person = format!(r#"{{"pose_keypoints_2d": [{}], "face_keypoints_2d": null, "hand_left_keypoints_2d": []}}"#, body.join(", "));
    fs::write(&file, format!(r#"{{"version": 1.3, "people": [{person}]}}"#)).unwrap();
    let found = Keypoints::open_sized(&file, 1000, 500).unwrap();
    let at = |index: usize| found.frames()[0].points()[index];
    assert_eq!(at(0), Keypoint { x: 0.0, y: 0.0, score: 0.1 }, "nose");
    assert_eq!(at(6), Keypoint { x: 20.0, y: 20.0, score: 0.12 }, "right shoulder, after the neck");
    assert_eq!(at(16), Keypoint { x: 100.0, y: 100.0, score: 0.2 }, "right ankle");
    assert_eq!(at(3), Keypoint { x: 170.0, y: 170.0, score: 0.27 }, "left ear");
    assert_eq!(at(50).score, 0.0, "no face");
}

#[test]
fn of_several_persons_the_largest_is_followed() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("poses.json");
    keypoints(vec![standing(0.0), standing(2.0)]).save(&file, KeypointsFormat::ComfyUi).unwrap();
    let mut pictures: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    // Somebody smaller comes first in the first frame, somebody larger elsewhere in the second.
    for (picture, scale, dx) in [(0, 0.5, 300.0), (1, 2.0, 300.0)] {
        let mut other = pictures[picture]["people"][0].clone();
        for at in other["pose_keypoints_2d"].as_array_mut().unwrap().chunks_mut(3) {
            at[0] = (at[0].as_f64().unwrap() * scale + dx).into();
            at[1] = (at[1].as_f64().unwrap() * scale).into();
        }
        other["face_keypoints_2d"] = serde_json::Value::Null;
        other["hand_left_keypoints_2d"] = serde_json::Value::Null;
        other["hand_right_keypoints_2d"] = serde_json::Value::Null;
        pictures[picture]["people"].as_array_mut().unwrap().insert(0, other);
    }
    fs::write(&file, pictures.to_string()).unwrap();
    let found = Keypoints::open(&file).unwrap();
    assert_eq!((found.frames()[0].points()[0].x, found.frames()[1].points()[0].x), (50.0, 52.0));
}
