//! Playing a video at another rate.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::source::{FrameSource, Frames, check_index};
use super::timing::nominal;
use crate::count::count;
use crate::{Error, Result};

/// A frame of a video that was slower would be repeated without end.
const LOWEST_OWN: f64 = 1e-3;

/// How much faster or slower a rate can be that counts as the same.
const SAME: f64 = 1e-6;

impl Frames {
    /// The same video at `fps` frames a second, by leaving out or repeating frames. 23.98, 29.97 and the like are taken for the rates
    /// of television that are meant, such as 30000/1001.
    ///
    /// Frames that follow each other evenly are chosen by their number, as Wan2.2's own preprocessing does. Where they do not, the
    /// frame is taken that is shown at the time, as `ffmpeg -vf fps` does, and the log warns of it: the official code goes by numbers
    /// there too, and so out of time. A source that does not know its rate (images) is taken to have this one already.
    ///
    /// # Errors
    /// [`Error::Input`] unless `fps` is above 0 and at most 1000, where the source's own rate is none, and where not one frame would be left.
    pub fn at_fps(self, fps: f64) -> Result<Self> {
        check_rate(fps)?;
        let fps = nominal(fps);
        let Some(own) = self.fps() else { return Ok(self) };
        if !(own.is_finite() && own >= LOWEST_OWN) {
            return Err(Error::Input(format!("a video that says it has {own} frames a second cannot be played at {fps}")));
        }
        let uneven = self.times().is_some_and(|times| times.len() == self.num_frames() + 1);
        if !uneven && (own / fps - 1.0).abs() < SAME {
            return Ok(self);
        }
        let path: Option<Arc<Path>> = self.path().map(Arc::from);
        if uneven {
            let name = path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
            log::warn!("{name}its frames do not follow each other evenly, so they are chosen by their times, not by their numbers");
        }
        let own = nominal(own);
        let num_frames = match self.times().filter(|_| uneven) {
            Some(times) => slot(times[times.len() - 1], fps).saturating_sub(slot(times[0], fps)).max(0) as usize,
            None => (self.num_frames() as f64 / own * fps + 1e-6) as usize,
        };
        if num_frames == 0 {
            let message = format!("a video of {} at {own} fps has no frame at {fps} fps", count(self.num_frames(), "frame"));
            return Err(Error::Input(message));
        }
        Ok(Self::new(Resampled { source: self, own, uneven, fps, num_frames })?.with_path(path))
    }

    /// The same frames, shown evenly at `fps` frames a second, whatever the source says or does not know. None is left out or repeated.
    ///
    /// # Errors
    /// [`Error::Input`] unless `fps` is above 0 and at most 1000.
    pub fn with_fps(self, fps: f64) -> Result<Self> {
        check_rate(fps)?;
        let path: Option<Arc<Path>> = self.path().map(Arc::from);
        let (own, num_frames) = (fps, self.num_frames());
        Ok(Self::new(Resampled { source: self, own, uneven: false, fps, num_frames })?.with_path(path))
    }

    /// The frames that `sampling` takes, by their numbers.
    pub(crate) fn sampled(self, Sampling { own, fps, num_frames, .. }: Sampling) -> Result<Self> {
        Self::new(Resampled { source: self, own, uneven: false, fps, num_frames })
    }
}

/// Which frames of a video are shown when it is played at another rate, by their numbers.
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
            return Err(Error::Input(format!("a video of {} at {own} fps has no frame at {fps} fps", count(own_frames, "frame"))));
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
        by_number(index, self.fps, self.own).min(self.own_frames - 1)
    }
}

/// The frame of a video of `own` frames a second that is shown as the frame at `index` of `fps`.
fn by_number(index: usize, fps: f64, own: f64) -> usize {
    (index as f64 / fps * own).round_ties_even() as usize
}

/// What the rate of a video can be.
pub(super) fn check_rate(fps: f64) -> Result<()> {
    match fps > 0.0 && fps <= 1000.0 {
        true => Ok(()),
        false => Err(Error::Input(format!("{fps} frames a second is not a rate; give a number above 0, up to 1000"))),
    }
}

/// The number of the frame, of `fps` a second, that begins nearest to a time. A tie goes up; a product that should be one may be a little below.
fn slot(seconds: f64, fps: f64) -> i64 {
    (seconds * fps + 0.5 + 1e-9).floor() as i64
}

struct Resampled {
    source: Frames,
    own: f64,
    /// Whether frames are chosen by their times.
    uneven: bool,
    fps: f64,
    num_frames: usize,
}

impl Resampled {
    fn source_index(&self, index: usize) -> usize {
        let last = self.source.num_frames() - 1;
        match self.source.times().filter(|_| self.uneven) {
            Some(times) => {
                let wanted = slot(times[0], self.fps).saturating_add(index as i64);
                times[..=last].partition_point(|&time| slot(time, self.fps) <= wanted) - 1
            }
            None => by_number(index, self.fps, self.own).min(last),
        }
    }
}

impl FrameSource for Resampled {
    fn num_frames(&self) -> usize {
        self.num_frames
    }

    fn size(&self) -> (u32, u32) {
        self.source.size()
    }

    fn fps(&self) -> Option<f64> {
        Some(self.fps)
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.num_frames)?;
        self.source.read(self.source_index(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(usize, Option<f64>, Option<Vec<f64>>);

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

        fn times(&self) -> Option<&[f64]> {
            self.2.as_deref()
        }

        fn read(&self, index: usize) -> Result<RgbImage> {
            Ok(RgbImage::from_pixel(1, 1, [index as u8; 3].into()))
        }
    }

    fn resampled(source: Numbered, fps: f64) -> Vec<u8> {
        let video = Frames::new(source).unwrap().at_fps(fps).unwrap();
        (0..video.num_frames()).map(|index| video.read(index).unwrap().get_pixel(0, 0).0[0]).collect()
    }

    fn indices(num_frames: usize, own: f64, fps: f64) -> Vec<u8> {
        resampled(Numbered(num_frames, Some(own), None), fps)
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
    fn rates_of_television_lose_no_frame() {
        let all: Vec<u8> = (0..78).collect();
        assert_eq!(indices(78, 30_000.0 / 1001.0, 29.97), all);
        assert_eq!(indices(78, 29.97, 30_000.0 / 1001.0), all);
        assert_eq!(indices(78, 24_000.0 / 1001.0, 23.98), all);
        assert_eq!(indices(156, 60_000.0 / 1001.0, 29.97).len(), 78);
        assert_eq!(indices(78, 30_000.0 / 1001.0, 59.94).len(), 156);
    }

    /// What `ffmpeg -vf fps` makes of these times.
    #[test]
    fn uneven_frames_are_chosen_by_their_times() {
        let times = vec![0.0, 0.1, 0.2, 0.5, 0.6];
        assert_eq!(resampled(Numbered(4, Some(7.0), Some(times.clone())), 10.0), [0, 1, 2, 2, 2, 3]);
        assert_eq!(resampled(Numbered(4, Some(10.0), Some(times)), 5.0), [0, 2, 2], "the later of two that fall together");
        let late = vec![1.0, 1.1, 1.5];
        assert_eq!(resampled(Numbered(2, Some(4.0), Some(late)), 10.0), [0, 1, 1, 1, 1], "the first frame begins the video");
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        let video = |fps| Frames::new(Numbered(3, fps, None)).unwrap();
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
