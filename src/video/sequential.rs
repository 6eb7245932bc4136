//! Random access to a video that can only be decoded forwards.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use image::RgbImage;

use super::source::{FrameSource, check_index};
use super::timing::Timing;
use crate::Result;

/// What the frames kept for going back may take, in bytes: a whole segment at common sizes.
const KEPT_BYTES: usize = 128 << 20;

/// A decoder that gives frame after frame, and can start at some of them.
pub(super) trait Decode: Send {
    /// The nearest frame at or before `index` that decoding can start at.
    fn entry(&self, index: usize) -> usize;

    /// Makes `entry` the next frame.
    fn seek(&mut self, entry: usize) -> Result<()>;

    /// The next frame. Not called past the last one.
    fn next(&mut self) -> Result<RgbImage>;
}

/// What a container says of its video.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VideoInfo {
    pub(super) num_frames: usize,
    pub(super) size: (u32, u32),
    pub(super) timing: Timing,
}

/// A [`FrameSource`] over a [`Decode`]. It keeps the last frames, because a video shorter than its segments is read to and fro.
pub(super) struct Sequential<D> {
    info: VideoInfo,
    state: Mutex<Reading<D>>,
}

struct Reading<D> {
    decoder: D,
    /// The index of the frame that the decoder gives next.
    next: usize,
    /// The frames just before `next`.
    recent: VecDeque<RgbImage>,
    capacity: usize,
}

impl<D: Decode> Sequential<D> {
    pub(super) fn new(info: VideoInfo, decoder: D) -> Self {
        let frame_bytes = 3 * info.size.0 as usize * info.size.1 as usize;
        let capacity = (KEPT_BYTES / frame_bytes.max(1)).clamp(2, 128);
        Self { info, state: Mutex::new(Reading { decoder, next: 0, recent: VecDeque::new(), capacity }) }
    }
}

impl<D: Decode> FrameSource for Sequential<D> {
    fn num_frames(&self) -> usize {
        self.info.num_frames
    }

    fn size(&self) -> (u32, u32) {
        self.info.size
    }

    fn fps(&self) -> Option<f64> {
        self.info.timing.fps
    }

    fn times(&self) -> Option<&[f64]> {
        self.info.timing.times.as_deref()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.info.num_frames)?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).read(index)
    }
}

impl<D: Decode> Reading<D> {
    fn read(&mut self, index: usize) -> Result<RgbImage> {
        if index < self.next - self.recent.len() || self.decoder.entry(index) > self.next {
            self.seek(index)?;
        }
        while self.next <= index {
            let frame = match self.decoder.next() {
                Ok(frame) => frame,
                Err(error) => {
                    // The decoder's state is unknown now; whoever asks again begins again.
                    self.seek(0)?;
                    return Err(error);
                }
            };
            if self.recent.len() == self.capacity {
                self.recent.pop_front();
            }
            self.recent.push_back(frame);
            self.next += 1;
        }
        Ok(self.recent[self.recent.len() - (self.next - index)].clone())
    }

    fn seek(&mut self, index: usize) -> Result<()> {
        let entry = self.decoder.entry(index);
        self.decoder.seek(entry)?;
        self.recent.clear();
        self.next = entry;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames whose first sample is their index; entries at multiples of 10.
    struct Numbers {
        next: usize,
        decoded: usize,
    }

    impl Decode for Numbers {
        fn entry(&self, index: usize) -> usize {
            index / 10 * 10
        }

        fn seek(&mut self, entry: usize) -> Result<()> {
            assert_eq!(entry % 10, 0);
            self.next = entry;
            Ok(())
        }

        fn next(&mut self) -> Result<RgbImage> {
            self.next += 1;
            self.decoded += 1;
            Ok(RgbImage::from_pixel(1, 1, [(self.next - 1) as u8; 3].into()))
        }
    }

    #[test]
    fn frames_come_in_any_order_and_mostly_from_the_kept_ones() {
        let info = VideoInfo { num_frames: 250, size: (1, 1), timing: Timing::default() };
        let video = Sequential::new(info, Numbers { next: 0, decoded: 0 });
        let read = |index: usize| assert_eq!(video.read(index).unwrap().get_pixel(0, 0).0[0] as usize, index);
        (0..100).chain((0..99).rev()).chain(0..100).for_each(read);
        assert_eq!(video.state.lock().unwrap().decoder.decoded, 100);
        [249, 3, 120, 119, 121, 0, 249].into_iter().for_each(read);
        assert_eq!(video.state.lock().unwrap().decoder.decoded, 100 + 10 + 4 + 1 + 10 + 2 + 1 + 10);
        assert!(video.read(250).is_err());
    }
}
