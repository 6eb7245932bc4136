//! Playing a video at another rate.

use image::RgbImage;

use super::source::{FrameSource, Frames, check_index};
use crate::{Error, Result};

/// A frame of a video that was slower would be repeated without end.
const LOWEST_OWN: f64 = 1e-3;

impl Frames {
    /// The same video at `fps` frames a second, by leaving out or repeating frames as Wan2.2's own preprocessing does. A
    /// source that does not know its rate (images) is taken to have this one already. Fails unless `fps` is above 0 and at
    /// most 1000, when the source's own rate is none, and when not one frame would be left.
    pub fn at_fps(self, fps: f64) -> Result<Self> {
        check_rate(fps)?;
        match self.fps() {
            Some(own) if own != fps => {
                let sampling = Sampling::new(self.num_frames(), own, fps)?;
                self.sampled(sampling)
            }
            _ => Ok(self),
        }
    }

    /// The frames that `sampling` takes.
    pub(crate) fn sampled(self, sampling: Sampling) -> Result<Self> {
        Self::new(Resampled { source: self, sampling })
    }
}

/// Which frames of a video are shown when it is played at another rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    own_frames: usize,
    own: f64,
    fps: f64,
    num_frames: usize,
}

impl Sampling {
    /// Of a video of `own_frames` at `own` frames a second, played at `fps`. Fails as [`Frames::at_fps`] does.
    pub(crate) fn new(own_frames: usize, own: f64, fps: f64) -> Result<Self> {
        check_rate(fps)?;
        if !(own.is_finite() && own >= LOWEST_OWN) {
            return Err(Error::Input(format!("a video that says it has {own} frames a second cannot be played at {fps}")));
        }
        let num_frames = (own_frames as f64 / own * fps) as usize;
        if num_frames == 0 {
            return Err(Error::Input(format!("a video of {own_frames} frames at {own} fps has no frame at {fps} fps")));
        }
        Ok(Self { own_frames, own, fps, num_frames })
    }

    pub(crate) fn num_frames(&self) -> usize {
        self.num_frames
    }

    pub(crate) fn fps(&self) -> f64 {
        self.fps
    }

    /// The frame of the video that is shown as the frame at `index`.
    pub(crate) fn source(&self, index: usize) -> usize {
        ((index as f64 / self.fps * self.own).round_ties_even() as usize).min(self.own_frames - 1)
    }
}

/// What the rate of a video can be.
pub(super) fn check_rate(fps: f64) -> Result<()> {
    match fps > 0.0 && fps <= 1000.0 {
        true => Ok(()),
        false => Err(Error::Input(format!("{fps} frames a second is not a rate; give a number above 0, up to 1000"))),
    }
}

struct Resampled {
    source: Frames,
    sampling: Sampling,
}

impl FrameSource for Resampled {
    fn num_frames(&self) -> usize {
        self.sampling.num_frames
    }

    fn size(&self) -> (u32, u32) {
        self.source.size()
    }

    fn fps(&self) -> Option<f64> {
        Some(self.sampling.fps)
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.sampling.num_frames)?;
        self.source.read(self.sampling.source(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(usize, Option<f64>);

    impl FrameSource for Numbered {
        fn num_frames(&self) -> usize {
            self.0
        }

        fn size(&self) -> (u32, u32) {
            (1, 1)
        }

        fn fps(&self) -> Option<f64> {
            self.1
        }

        fn read(&self, index: usize) -> Result<RgbImage> {
            Ok(RgbImage::from_pixel(1, 1, [index as u8; 3].into()))
        }
    }

    fn indices(num_frames: usize, own: f64, fps: f64) -> Vec<u8> {
        let video = Frames::new(Numbered(num_frames, Some(own))).unwrap().at_fps(fps).unwrap();
        (0..video.num_frames()).map(|index| video.read(index).unwrap().get_pixel(0, 0).0[0]).collect()
    }

    /// The official code's own example: 164 frames from 24 to 30 fps.
    #[test]
    fn frames_repeat_and_drop_as_in_the_official_code() {
        let up = indices(164, 24.0, 30.0);
        assert_eq!(up.len(), 205);
        assert_eq!(up[..9], [0, 1, 2, 2, 3, 4, 5, 6, 6]);
        assert_eq!(up[204], 163);
        assert_eq!(indices(7, 30.0, 15.0), [0, 2, 4]);
        assert_eq!(indices(4, 8.0, 16.0), [0, 0, 1, 2, 2, 2, 3, 3], "ties go to the even frame, the end is held");
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        let video = |fps| Frames::new(Numbered(3, fps)).unwrap();
        for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e18] {
            assert!(video(Some(30.0)).at_fps(fps).is_err());
        }
        for own in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            assert!(video(Some(own)).at_fps(30.0).is_err(), "{own}");
        }
        assert!(video(Some(30.0)).at_fps(5.0).is_err());
        assert_eq!(video(None).at_fps(5.0).unwrap().num_frames(), 3);
    }
}
