use wan_animate::image::RgbImage;
use wan_animate::preprocess::{FaceCrop, Flag, Keypoint, Keypoints, Limb, Preprocess, Retarget, WholeBody, draw_pose, skeletons};
use wan_animate::video::Frames;

use super::common::{Rated, keypoints, mask, standing, video};

fn prepare() -> Preprocess {
    Preprocess::new().size(208, 128)
}

fn masks(frames: &[u32]) -> Frames {
    Frames::from_images(frames.iter().map(|&dx| mask(dx))).unwrap()
}

fn animate(prepare: Preprocess, frames: Vec<WholeBody>) -> wan_animate::preprocess::Conditions {
    let video = video(frames.len());
    prepare.animate(&RgbImage::new(64, 64), &video, &keypoints(frames)).unwrap()
}

fn flags(conditions: &wan_animate::preprocess::Conditions) -> Vec<Vec<Flag>> {
    conditions.report().frames().iter().map(|frame| frame.flags.clone()).collect()
}

#[test]
fn a_sound_clip_has_nothing_to_report() {
    let frames: Vec<_> = (0..5).map(|index| standing(f64::from(index))).collect();
    let conditions = prepare().replace(&video(5), &keypoints(frames), &masks(&[0, 1, 2, 3, 4])).unwrap();
    assert_eq!(flags(&conditions), vec![vec![]; 5]);
    assert_eq!((conditions.pose().size(), conditions.face().size(), conditions.fps()), ((208, 128), (512, 512), 30.0));
    assert_eq!(conditions.scene().unwrap().motion().num_frames(), 5);
    let (background, mask) = (conditions.background().unwrap().read(2).unwrap(), conditions.mask().unwrap().read(2).unwrap());
    let white = mask.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!(mask.pixels().zip(background.pixels()).all(|(mask, pixel)| (mask.0[0] == 255) == (pixel.0 == [0; 3]) || pixel.0 != [90; 3]));
    assert!(white > 44 * 110 && white < 208 * 128, "{white}");
    assert!(serde_json::from_str::<serde_json::Value>(&conditions.report().to_json()).unwrap()["frames"][4]["box"].is_array());
}

#[test]
fn frames_and_points_are_sampled_alike() {
    let frames: Vec<_> = (0..8).map(|index| standing(10.0 * f64::from(index))).collect();
    let video = Frames::new(Rated(video(8), 30.0)).unwrap();
    let conditions = prepare().fps(15.0).animate(&RgbImage::new(64, 64), &video, &keypoints(frames.clone())).unwrap();
    assert_eq!((conditions.pose().num_frames(), conditions.pose().fps(), conditions.fps()), (4, Some(15.0), 15.0));
    assert_eq!(conditions.keypoints().frames()[2], frames[4]);
    let again = prepare().fps(15.0).animate(&RgbImage::new(64, 64), &video, conditions.keypoints()).unwrap();
    assert_eq!(again.keypoints(), conditions.keypoints(), "those of the sampled video do as well");
}

#[test]
fn what_is_lost_is_flagged() {
    let mut lost = standing(0.0);
    lost.points_mut().iter_mut().skip(23).for_each(|at| at.score = 0.0);
    let mut faceless = standing(0.0);
    faceless.points_mut()[23..91].fill(Keypoint::default());
    let gone = WholeBody::missing();
    let found = flags(&animate(prepare(), vec![standing(0.0), lost, faceless, gone]));
    assert_eq!(found[0], []);
    assert_eq!(found[1], [Flag::LeftHandLost, Flag::RightHandLost, Flag::FaceLost]);
    assert_eq!(found[2], [Flag::FaceHeld]);
    assert_eq!(found[3], [Flag::NoPerson, Flag::LowConfidence, Flag::LeftHandLost, Flag::RightHandLost, Flag::FaceHeld]);
    let long = std::iter::once(standing(0.0)).chain(vec![WholeBody::missing(); 9]).collect();
    let found = flags(&animate(prepare(), long));
    assert!(found[8].contains(&Flag::FaceHeld) && found[9].contains(&Flag::FaceCentred), "held for eight frames");
    animate(prepare(), vec![WholeBody::missing(); 2]).face().read(1).unwrap();
}

#[test]
fn jumps_cuts_and_masks_are_flagged() {
    let mut twisted = standing(0.0);
    for index in [5, 6, 11, 12] {
        twisted.points_mut()[index].x += 35.0;
    }
    assert_eq!(flags(&animate(prepare(), vec![standing(0.0), twisted]))[1], [Flag::TorsoJump]);
    assert_eq!(flags(&animate(prepare(), vec![standing(0.0), standing(25.0)]))[1], [Flag::SubjectSwitch]);
    assert_eq!(flags(&animate(prepare(), vec![standing(0.0), standing(80.0)]))[1], [Flag::Cut]);
    let frames = vec![standing(0.0); 4];
    let mut spots = mask(0);
    (150..180).flat_map(|x| (50..80).map(move |y| (x, y))).for_each(|(x, y)| spots.put_pixel(x, y, [255; 3].into()));
    let small = RgbImage::from_fn(200, 120, |x, y| [if x < 10 && y < 10 { 255 } else { 0 }; 3].into());
    let video_of_masks = Frames::from_images([mask(0), RgbImage::new(200, 120), spots.clone(), small]).unwrap();
    let found = flags(&prepare().replace(&video(4), &keypoints(frames.clone()), &video_of_masks).unwrap());
    assert_eq!(found[1], [Flag::MaskEmpty]);
    assert!(found[2].contains(&Flag::MaskFragments) && found[2].contains(&Flag::MaskOutside));
    let all = [Flag::MaskSmall, Flag::MaskOutside, Flag::PointsOutsideMask, Flag::MaskJump];
    assert!(all.iter().all(|flag| found[3].contains(flag)), "{:?}", found[3]);
    let whole = Frames::from_images([spots]).unwrap();
    let found = prepare().least_island(0.3).replace(&video(4), &keypoints(frames), &whole).unwrap();
    assert_eq!(flags(&found), vec![vec![]; 4], "islands are dropped, and one mask stands for all");
}

#[test]
fn gaps_are_filled_and_jitter_is_calmed() {
    let mut frames: Vec<_> = (0..12).map(|index| standing(if index % 2 == 0 { 0.0 } else { 2.0 })).collect();
    frames[5].points_mut()[9].score = 0.1;
    let conditions = animate(prepare().fill_gaps(4).smooth(true), frames);
    assert_eq!(flags(&conditions)[5], [Flag::GapFilled]);
    let steps = conditions.keypoints().frames().windows(2).map(|pair| (pair[1].points()[9].x - pair[0].points()[9].x).abs());
    assert!(steps.fold(0.0, f64::max) < 0.5);
}

#[test]
fn the_face_is_cut_out_as_asked() {
    let frames: Vec<_> = (0..20).map(|index| standing(if index % 2 == 0 { 0.0 } else { 3.0 })).collect();
    // A video whose red tells the column, so that a crop tells where it is.
    let columns = RgbImage::from_fn(200, 120, |x, _| [x as u8, 0, 0].into());
    let video = Frames::from_images(vec![columns; 20]).unwrap();
    let span = |crop: FaceCrop, index: usize| {
        let conditions = prepare().face(crop).animate(&RgbImage::new(64, 64), &video, &keypoints(frames.clone())).unwrap();
        let face = conditions.face().read(index).unwrap();
        (f64::from(face.get_pixel(0, 0).0[0]), f64::from(face.get_pixel(511, 0).0[0]))
    };
    let width = |(left, right): (f64, f64)| right - left + 1.0;
    let official = span(FaceCrop::Official, 10);
    assert!((width(span(FaceCrop::Padded(1.5), 10)) / width(official) - 1.5).abs() < 0.15);
    let shift = |crop: FaceCrop| (span(crop, 11).0 - span(crop, 10).0).abs();
    assert_eq!(shift(FaceCrop::Official), 3.0);
    assert!(shift(FaceCrop::Smoothed) <= 1.0 && shift(FaceCrop::Constant) <= 1.0);
    assert_eq!(width(span(FaceCrop::Constant, 10)), width(span(FaceCrop::Constant, 11)));
}

#[test]
fn limbs_are_as_long_as_set() {
    let driving = keypoints(vec![standing(0.0)]);
    let forearm = |retarget: Retarget| {
        let made = retarget.apply(&driving).unwrap();
        let [elbow, wrist] = [3, 4].map(|index| made.skeletons()[0].body[index]);
        ((elbow.x - wrist.x).hypot(elbow.y - wrist.y), made.ratio(Limb::Forearms))
    };
    let (plain, ratio) = forearm(Retarget::new(driving.clone()));
    assert!((ratio - 1.0).abs() < 1e-9);
    let (set, ratio) = forearm(Retarget::new(driving.clone()).limb_scale(Limb::Forearms, 0.5));
    assert!((set / plain - 0.5).abs() < 1e-6 && ratio == 0.5);
    // The same person, with the arms edited to be longer.
    let mut edited = standing(0.0);
    for (wrist, elbow) in [(9, 7), (10, 8)] {
        let (wrist, elbow) = (edited.points()[wrist], edited.points()[elbow]);
        let at = |index: usize| Keypoint {
            x: elbow.x + 2.0 * (wrist.x - elbow.x),
            y: elbow.y + 2.0 * (wrist.y - elbow.y),
            ..edited.points()[index]
        };
        let to = if elbow.x > 50.0 { 9 } else { 10 };
        let moved = at(to);
        edited.points_mut()[to] = moved;
    }
    let (edited, _) = forearm(Retarget::new(driving.clone()).edited_reference(keypoints(vec![edited])));
    assert!((edited / plain - 2.0).abs() < 1e-6);
}

#[test]
fn limbs_that_are_not_seen_are_named() {
    let mut bust = standing(0.0);
    bust.points_mut()[13..23].iter_mut().for_each(|at| at.score = 0.1);
    let driving = keypoints(vec![WholeBody::missing(), standing(0.0)]);
    let made = Retarget::new(keypoints(vec![bust])).apply(&driving).unwrap();
    assert_eq!(made.unsure(), [Limb::Thighs, Limb::Calves, Limb::Feet]);
    let nose = |skeleton: &wan_animate::preprocess::Skeleton| (skeleton.body[0].x - 50.0).hypot(skeleton.body[0].y - 10.0);
    assert!(nose(&made.skeletons()[1]) < 1e-9, "measured in the first frame that has somebody");
}

#[test]
fn nobody_to_measure_is_no_crash() {
    let driving = keypoints(vec![WholeBody::missing(), standing(0.0)]);
    let made = Retarget::new(Keypoints::new(64, 64, None, vec![WholeBody::missing()]).unwrap()).apply(&driving).unwrap();
    assert!(made.skeletons().iter().flat_map(|skeleton| skeleton.body).all(|at| at.x.is_finite() && at.y.is_finite()));
    made.skeletons().iter().for_each(|skeleton| drop(draw_pose(skeleton, 64, 64)));
}

#[test]
fn a_body_beyond_the_edges_is_that_of_the_frame_before() {
    let mut beyond = standing(0.0);
    beyond.points_mut().iter_mut().for_each(|at| at.x -= 500.0);
    let drawn = skeletons(&keypoints(vec![standing(0.0), beyond]));
    assert_eq!(drawn[0].body, drawn[1].body);
    assert_ne!(drawn[0].hands, drawn[1].hands);
}

#[test]
fn an_overlay_shows_what_was_found() {
    let mut second = standing(0.0);
    second.points_mut().iter_mut().take(17).for_each(|at| at.score = 0.1);
    let conditions = prepare().size(192, 112).replace(&video(2), &keypoints(vec![standing(0.0), second]), &masks(&[0])).unwrap();
    let has = |index: usize, colour: [u8; 3]| conditions.overlay().read(index).unwrap().pixels().any(|pixel| pixel.0 == colour);
    for colour in [[255, 255, 255], [0, 200, 255], [255, 0, 255], [50, 255, 0]] {
        assert!(has(0, colour), "{colour:?}");
    }
    let corner = |index: usize| conditions.overlay().read(index).unwrap().get_pixel(0, 0).0;
    assert_eq!((corner(0) == [255, 0, 0], corner(1)), (false, [255, 0, 0]), "a red border where the body is not sure");
}
