//! Long videos as overlapping windows.
//!
//! A segment is S = 4n + 1 frames; each but the first begins with the last r frames of the one before. The inputs are made
//! longer, by going back and forth without repeating the ends, until the segments come out even, and the result is cut again.
//!
//! A video that goes on from another one begins with frames of that: its first segment is as if it were a later one.

use crate::error::{Error, Result};

/// Longer segments are refused.
const LONGEST: usize = 100_001;

/// How a video of some length is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    frames: usize,
    segment_frames: usize,
    overlap: usize,
    /// Frames that were made before and that the first segment begins with. They are not of the result.
    given: usize,
    /// The input frame that the first one answers to.
    first_input: usize,
    /// The input frames that are read.
    lowest_input: usize,
    end_of_inputs: usize,
    /// Whether the last input frame is read twice before they go back.
    mirrored: bool,
}

impl Segments {
    /// # Errors
    /// [`Error::Input`] for a video without frames, a segment that is not 4n + 1 frames (5 at least), or an overlap that is not
    /// 1 to 5 frames or leaves no new frame in a segment.
    pub fn new(frames: usize, segment_frames: usize, overlap: usize) -> Result<Self> {
        if frames == 0 {
            return Err(Error::Input("the video has no frames".into()));
        }
        if segment_frames < 5 || segment_frames % 4 != 1 || segment_frames > LONGEST {
            return Err(Error::Input(format!("a segment of {segment_frames} frames; it must be 4n + 1 frames: 5, 9, .. 77, 81, ..")));
        }
        if !(1..=5).contains(&overlap) || overlap >= segment_frames {
            return Err(Error::Input(format!(
                "an overlap of {overlap} frames between segments of {segment_frames}; it must be 1 to 5 and less than a segment"
            )));
        }
        Ok(Self { overlap, segment_frames, ..Self::plain(frames) })
    }

    /// A video that is made in one go.
    ///
    /// # Errors
    /// [`Error::Input`] where the frames are not 4n + 1.
    pub fn one(frames: usize) -> Result<Self> {
        if frames % 4 != 1 || frames > LONGEST {
            return Err(Error::Input(format!("{frames} frames; it must be 4n + 1 frames: 1, 5, 9, .. 77, 81, ..")));
        }
        Ok(Self::plain(frames))
    }

    /// A video of any length that is made in one go, of longer inputs where it is not 4n + 1 frames.
    ///
    /// # Errors
    /// [`Error::Input`] for a video without frames, or a longer one than can be.
    pub fn whole(frames: usize) -> Result<Self> {
        let longer = frames.saturating_sub(1).div_ceil(4) * 4 + 1;
        if frames == 0 || longer > LONGEST {
            return Err(Error::Input(format!("a video of {frames} frames in one go; it must be 1 to {LONGEST}")));
        }
        Ok(Self { segment_frames: longer, ..Self::plain(frames) })
    }

    fn plain(frames: usize) -> Self {
        Self {
            frames,
            segment_frames: frames,
            overlap: 0,
            given: 0,
            first_input: 0,
            lowest_input: 0,
            end_of_inputs: frames,
            mirrored: false,
        }
    }

    /// Reading longer inputs, of `inputs` frames, from frame `offset` on, as if they began there.
    pub fn within(self, inputs: usize, offset: usize) -> Self {
        Self { first_input: offset, lowest_input: offset, end_of_inputs: inputs, ..self }
    }

    /// Reading the last input frame twice before inputs go back, as the first one after that.
    pub fn mirrored(self) -> Self {
        Self { mirrored: true, ..self }
    }

    /// Beginning with `given` frames more, which answer to the inputs before the offset.
    ///
    /// # Errors
    /// [`Error::Input`] where there are not so many inputs before it.
    pub fn continued(self, given: usize) -> Result<Self> {
        match self.first_input.checked_sub(given) {
            Some(first_input) => Ok(Self { given, first_input, lowest_input: 0, ..self }),
            None => Err(Error::Input(format!(
                "a frame offset of {} with {given} frames to continue from: the inputs must have those frames too, before the offset",
                self.first_input
            ))),
        }
    }

    /// The first `count` segments alone.
    pub fn first(self, count: usize) -> Self {
        let most = self.segment_frames + count.saturating_sub(1) * self.step() - self.given;
        Self { frames: self.frames.min(most), ..self }
    }

    /// Frames of the result.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// S.
    pub fn segment_frames(&self) -> usize {
        self.segment_frames
    }

    /// r.
    pub fn overlap(&self) -> usize {
        self.overlap
    }

    /// Latent frames of a segment, without the reference.
    pub fn latent_frames(&self) -> usize {
        (self.segment_frames - 1) / 4 + 1
    }

    /// How many segments there are.
    pub fn count(&self) -> usize {
        (self.given + self.frames).saturating_sub(self.overlap).div_ceil(self.step()).max(1)
    }

    /// Frames that segment `k` begins with and that were made before it.
    pub fn carried(&self, k: usize) -> usize {
        if k == 0 { self.given } else { self.overlap }
    }

    /// The input frame after the last that the result answers to.
    pub fn next_input(&self) -> usize {
        self.first_input + self.given + self.frames
    }

    /// The first frame of the result that segment `k` makes.
    pub fn first_frame(&self, k: usize) -> usize {
        k * self.step() + self.carried(k) - self.given
    }

    /// New frames of segment `k` that belong to the result.
    pub fn new_frames(&self, k: usize) -> usize {
        let first = self.first_frame(k);
        let end = k * self.step() + self.segment_frames - self.given;
        end.min(self.frames).saturating_sub(first)
    }

    /// The input frame that frame `i` of segment `k` reads.
    pub fn source(&self, k: usize, i: usize) -> usize {
        let place = self.first_input - self.lowest_input + k * self.step() + i;
        let back_and_forth = if self.mirrored { mirror } else { ping_pong };
        self.lowest_input + back_and_forth(place, self.end_of_inputs - self.lowest_input)
    }

    fn step(&self) -> usize {
        self.segment_frames - self.overlap
    }
}

/// 0 1 2 3 2 1 0 1 .. for four frames.
fn ping_pong(index: usize, frames: usize) -> usize {
    let period = (2 * frames - 2).max(1);
    let place = index % period;
    place.min(period - place)
}

/// 0 1 2 3 3 2 1 0 0 1 .. for four frames.
fn mirror(index: usize, frames: usize) -> usize {
    let place = index % (2 * frames);
    place.min(2 * frames - 1 - place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_back_and_forth() {
        let places: Vec<_> = (0..9).map(|i| ping_pong(i, 4)).collect();
        assert_eq!(places, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert!((0..9).all(|i| ping_pong(i, 1) == 0));
        assert_eq!((0..4).map(|i| ping_pong(i, 2)).collect::<Vec<_>>(), [0, 1, 0, 1]);
        assert_eq!((0..10).map(|i| mirror(i, 4)).collect::<Vec<_>>(), [0, 1, 2, 3, 3, 2, 1, 0, 0, 1]);
    }

    #[test]
    fn every_frame_is_made_once() {
        for frames in 1..200 {
            for (segment_frames, overlap) in [(5, 1), (9, 5), (13, 5), (77, 1), (77, 5), (5, 4)] {
                let segments = Segments::new(frames, segment_frames, overlap).expect("valid");
                let made: usize = (0..segments.count()).map(|k| segments.new_frames(k)).sum();
                assert_eq!(made, frames, "{segments:?}");
                assert!((0..segments.count()).all(|k| segments.new_frames(k) > 0), "{segments:?} has an idle segment");
            }
        }
    }

    #[test]
    fn lengths_follow_the_reference() {
        // 78 frames with S = 77 and r = 1 become 153, two segments.
        let segments = Segments::new(78, 77, 1).expect("valid");
        assert_eq!((segments.count(), segments.new_frames(0), segments.new_frames(1)), (2, 77, 1));
        assert_eq!(segments.source(1, 0), 76);
        assert_eq!(segments.source(1, 2), 76, "the first frame past the end goes back");
        assert_eq!(Segments::new(77, 77, 1).expect("valid").count(), 1);
    }

    /// Whatever is cut off where segments meet reads the inputs that it would have read.
    #[test]
    fn what_is_continued_goes_on() {
        for (frames, segment_frames, overlap) in [(30, 9, 1), (31, 9, 5), (78, 77, 1), (23, 5, 4)] {
            let whole = Segments::new(frames, segment_frames, overlap).expect("valid");
            let offset = whole.first_frame(1);
            let rest = Segments::new(frames - offset, segment_frames, overlap).expect("valid").within(frames, offset);
            let rest = rest.continued(overlap).expect("enough before");
            assert_eq!((rest.count(), rest.next_input()), (whole.count() - 1, frames));
            for k in 0..rest.count() {
                assert_eq!(rest.first_frame(k) + offset, whole.first_frame(k + 1));
                assert_eq!(rest.new_frames(k), whole.new_frames(k + 1));
                assert!((0..segment_frames).all(|i| rest.source(k, i) == whole.source(k + 1, i)));
            }
        }
        let early = Segments::new(9, 5, 4).expect("valid").within(10, 1);
        assert!(matches!(early.continued(2), Err(Error::Input(_))));
    }

    #[test]
    fn one_segment_has_every_frame() {
        let segments = Segments::one(9).expect("valid");
        assert_eq!((segments.count(), segments.new_frames(0), segments.carried(0), segments.latent_frames()), (1, 9, 0, 3));
        assert_eq!(Segments::one(1).expect("valid").count(), 1);
        assert!(matches!(Segments::one(8), Err(Error::Input(_))));
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (frames, segment_frames, overlap) in [(0, 77, 1), (9, 76, 1), (9, 1, 1), (9, 5, 0), (9, 5, 5), (9, 77, 6)] {
            assert!(matches!(Segments::new(frames, segment_frames, overlap), Err(Error::Input(_))));
        }
    }
}
