#![no_main]

use wan_animate::preprocess::{Keypoints, Retarget, draw_pose, official_face_box, skeletons};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(keypoints) = Keypoints::from_json(&String::from_utf8_lossy(bytes), Some((64, 48))) else { return };
    let _ = official_face_box(&keypoints.frames()[0], 64, 48);
    if let Some(skeleton) = skeletons(&keypoints).first() {
        draw_pose(skeleton, 64, 48);
    }
    if let Ok(made) = Retarget::new(keypoints.clone()).apply(&keypoints) {
        draw_pose(&made.skeletons()[0], 64, 48);
    }
    assert_eq!(Keypoints::from_json(&keypoints.to_json(), None).expect("own files are read"), keypoints);
});
