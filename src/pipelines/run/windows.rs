//! A long video that is denoised as one, by a model that looks at overlapping windows of it.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::{copy::join_inner, lincomb::lincomb};

/// How long windows are, and how far they overlap. All but the last have the same distance from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// 4n + 1 frames.
    pub frames: usize,
    /// 4n frames.
    pub overlap: usize,
}

impl Windows {
    /// What is wrong with it.
    pub fn check(self) -> Result<()> {
        let Self { frames, overlap } = self;
        if frames < 5 || frames % 4 != 1 {
            return Err(Error::Input(format!("windows of {frames} frames; it must be 4n + 1 frames: 5, 9, .. 77, 81, ..")));
        }
        if overlap == 0 || overlap % 4 != 0 || overlap >= frames {
            let message =
                format!("windows of {frames} frames that overlap by {overlap}; it must be 4n frames, 4 at least, and less than a window");
            return Err(Error::Input(message));
        }
        Ok(())
    }

    /// Latent frames of a window in a video of `all`.
    pub fn latent_frames(self, all: usize) -> usize {
        ((self.frames - 1) / 4 + 1).min(all)
    }

    /// The latent frames of each window in a video of `all`. The last ends with the video, and may overlap further with the one before.
    pub fn of(self, all: usize) -> Vec<Range<usize>> {
        let length = self.latent_frames(all);
        let step = (length - (self.overlap / 4).min(length - 1)).max(1);
        let mut windows: Vec<_> = std::iter::once(0..length).collect();
        while let Some(last) = windows.last().filter(|last| last.end < all) {
            let start = (last.start + step).min(all - length);
            windows.push(start..start + length);
        }
        windows
    }
}

/// By latent frame of a video of `all`, which windows see it, and how much of what they say is taken: where two overlap, what the first says
/// fades from frame to frame.
fn shares(windows: &[Range<usize>], all: usize) -> Vec<Vec<(usize, f64)>> {
    let share = |frame: usize| {
        let seen = (0..windows.len()).filter(|&w| windows[w].contains(&frame));
        let mut own: Vec<(usize, f64)> = seen.map(|w| (w, ramp(windows, w, frame))).collect();
        let sum: f64 = own.iter().map(|(_, share)| share).sum();
        own.iter_mut().for_each(|(_, share)| *share /= sum);
        own
    };
    (0..all).map(share).collect()
}

/// 1 within a window, less in what it shares with those beside it.
fn ramp(windows: &[Range<usize>], w: usize, frame: usize) -> f64 {
    let Range { start, end } = windows[w];
    let before = w.checked_sub(1).map_or(0, |before| windows[before].end.saturating_sub(start));
    let after = windows.get(w + 1).map_or(0, |after| end.saturating_sub(after.start));
    let part = |place: usize, overlap: usize| (place as f64 / (overlap + 1) as f64).min(1.0);
    part(frame - start + 1, before) * part(end - frame, after)
}

/// Latent frame 0 of x [C, 1 + T, H, W], and those of a window.
pub fn view(rec: &mut Recorder, x: &Tensor, window: &Range<usize>) -> Result<Tensor> {
    join_inner(rec, &[(x, 0..1), (x, 1 + window.start..1 + window.end)])
}

/// What a model says of the windows, [C, 1 + n, H, W] each, as [C, 1 + T, H, W]. Latent frame 0, which all of them see, is their mean.
pub fn fuse(rec: &mut Recorder, windows: &[Range<usize>], said: &[Tensor], all: usize) -> Result<Tensor> {
    let mut frames: Vec<(Tensor, Range<usize>)> = Vec::new();
    let everywhere: Vec<_> = (0..windows.len()).map(|w| (w, 1.0 / windows.len() as f64)).collect();
    frames.push((mixed(rec, said, &everywhere, |_| 0)?, 0..1));
    for (frame, shares) in shares(windows, all).into_iter().enumerate() {
        let place = |w: usize| 1 + frame - windows[w].start;
        match (&shares[..], frames.last_mut()) {
            (&[(w, _)], Some((last, range))) if last.is(&said[w]) && range.end == place(w) => range.end += 1,
            (&[(w, _)], _) => frames.push((said[w].clone(), place(w)..place(w) + 1)),
            _ => frames.push((mixed(rec, said, &shares, place)?, 0..1)),
        }
    }
    join_inner(rec, &frames.iter().map(|(x, range)| (x, range.clone())).collect::<Vec<_>>())
}

/// A latent frame that several windows see.
fn mixed(rec: &mut Recorder, said: &[Tensor], shares: &[(usize, f64)], place: impl Fn(usize) -> usize) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for &(w, share) in shares {
        let own = join_inner(rec, &[(&said[w], place(w)..place(w) + 1)])?;
        sum = Some(match sum {
            Some(sum) => lincomb(rec, &[(1.0, &sum), (share, &own)], DType::F32)?,
            None => lincomb(rec, &[(share, &own)], DType::F32)?,
        });
    }
    sum.ok_or_else(|| Error::Unsupported("a latent frame that no window sees".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_video() {
        let windows = |frames, overlap, all| Windows { frames, overlap }.of(all);
        assert_eq!(windows(9, 4, 5), [0..3, 2..5]);
        assert_eq!(windows(9, 4, 6), [0..3, 2..5, 3..6]);
        assert_eq!(windows(9, 8, 5), [0..3, 1..4, 2..5]);
        let one = windows(77, 16, 3);
        assert!(one.len() == 1 && one[0] == (0..3), "one window, where the video is no longer: {one:?}");
        for all in 1..60 {
            let windows = windows(21, 8, all);
            assert_eq!((windows[0].start, windows[windows.len() - 1].end), (0, all));
            assert!(windows.windows(2).all(|pair| pair[1].start < pair[0].end && pair[1].start > pair[0].start), "{windows:?}");
        }
    }

    #[test]
    fn shares_fade_and_add_up() {
        let shares = shares(&[0..4, 2..6], 6);
        let thirds = |parts: &[(usize, f64)]| parts.iter().map(|&(w, share)| (w, (3.0 * share).round() as usize)).collect::<Vec<_>>();
        let wanted = [vec![(0, 3)], vec![(0, 3)], vec![(0, 2), (1, 1)], vec![(0, 1), (1, 2)], vec![(1, 3)], vec![(1, 3)]];
        assert_eq!(shares.iter().map(|parts| thirds(parts)).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn impossible_windows_are_refused() {
        for (frames, overlap) in [(8, 4), (1, 4), (9, 0), (9, 5), (9, 12)] {
            assert!(matches!(Windows { frames, overlap }.check(), Err(Error::Input(_))), "{frames}:{overlap}");
        }
        assert!(Windows { frames: 81, overlap: 16 }.check().is_ok());
    }
}
