//! How strongly Animate follows pose and face.

mod common;

use common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, Device, Error, Event, Precision, Result};

fn video(seed: usize, side: u32) -> Frames {
    let image = |i: usize| RgbImage::from_fn(side, side, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, ((i + seed) * 31) as u8]));
    Frames::from_images((0..9).map(image)).expect("frames")
}

#[test]
fn from_absent_to_twice_as_strong() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build()?;
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let (pose, face) = (|| Some(video(0, 32)), || Some(video(5, 40)));
    let frames = |motion: (Option<Frames>, Option<Frames>), strengths: Option<(f64, f64)>, guidance: f64| -> Result<Vec<f32>> {
        let request = pipeline.animate(&reference, Motion::new(motion.0, motion.1)?).size(32, 32).segment_frames(5);
        let request = request.num_inference_steps(2).guidance_scale(guidance);
        let request = match strengths {
            Some((pose, face)) => request.pose_strength(pose).face_strength(face),
            None => request,
        };
        let mut samples = Vec::new();
        for event in request.start()? {
            if let Event::Frame(frame) = event? {
                samples.extend_from_slice(frame.samples());
            }
        }
        Ok(samples)
    };
    for guidance in [1.0, 2.0] {
        let full = frames((pose(), face()), None, guidance)?;
        assert!(frames((pose(), face()), Some((1.0, 1.0)), guidance)? == full, "1 is what is there without a word");
        let without_pose = frames((None, face()), None, guidance)?;
        assert!(frames((pose(), face()), Some((0.0, 1.0)), guidance)? == without_pose, "0 is an absent pose");
        let without_face = frames((pose(), None), None, guidance)?;
        assert!(frames((pose(), face()), Some((1.0, 0.0)), guidance)? == without_face, "0 is an absent face");
        let all = [full, without_pose, without_face];
        for strengths in [(0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0)] {
            let between = frames((pose(), face()), Some(strengths), guidance)?;
            assert!(all.iter().all(|other| *other != between), "{strengths:?} changes something");
        }
        // Near an end, near its frames.
        let near = frames((pose(), face()), Some((1e-4, 1.0)), guidance)?;
        assert!(common::difference(&near, &all[1]).1 < 0.02);
        let near = frames((pose(), face()), Some((1.0, 1e-4)), guidance)?;
        assert!(common::difference(&near, &all[2]).1 < 0.02);
    }
    for strengths in [(-0.1, 1.0), (1.0, 2.1), (f64::NAN, 1.0)] {
        assert!(matches!(frames((pose(), face()), Some(strengths), 1.0), Err(Error::Input(why)) if why.contains("strength")));
    }
    Ok(())
}
