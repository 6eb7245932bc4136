//! When the frames of a video are shown.

/// Frames that are never farther than this from where an even rate has them, in frames, count as evenly timed: containers round
/// times, and cameras waver.
const EVEN: f64 = 0.25;

/// How far people round a rate, of itself: 23.98 is the farthest.
const ROUNDING: f64 = 2e-4;

/// What a video says of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timing {
    /// Frames a second, on average.
    pub(super) fps: Option<f64>,
    /// Where they do not follow each other evenly: when each frame is shown, and when the last one ends, in seconds.
    pub(super) times: Option<Vec<f64>>,
}

impl Timing {
    /// From when each frame is shown and the last one ends, in ticks that there are `timescale` a second of, rising; and the mean
    /// rate, where the container says one.
    pub(super) fn new(ticks: &[i64], timescale: f64, mean: Option<f64>) -> Self {
        let seconds = |ticks: i64| ticks as f64 / timescale;
        let (Some(&first), Some(&end)) = (ticks.first(), ticks.last()) else { return Self::default() };
        let own = || (ticks.len() - 1) as f64 / seconds(end - first);
        let fps = mean.unwrap_or_else(own);
        if !(fps > 0.0 && fps.is_finite()) {
            return Self::default();
        }
        let starts = &ticks[..ticks.len() - 1];
        // How far the frames are from an even rate, in ticks.
        let off = |fps: f64| {
            let even = |index: usize| index as f64 * timescale / fps;
            starts.iter().enumerate().map(|(index, &at)| ((at - first) as f64 - even(index)).abs()).fold(0.0, f64::max)
        };
        // Times that are rounded to ticks blur the mean.
        let fps = [fps.round(), ntsc(fps)].into_iter().find(|&rate| rate >= 1.0 && off(rate) <= 1.0).unwrap_or(fps);
        let even = off(fps) <= EVEN * timescale / fps;
        Self { fps: Some(fps), times: (!even).then(|| ticks.iter().copied().map(seconds).collect()) }
    }
}

/// The rate that is meant by `fps`: 29.97 is 30000/1001.
pub(super) fn nominal(fps: f64) -> f64 {
    let exact = ntsc(fps);
    if (exact / fps - 1.0).abs() < ROUNDING { exact } else { fps }
}

/// The rate of television that is nearest: a whole number, slowed by 1000/1001.
fn ntsc(fps: f64) -> f64 {
    (fps * 1.001).round() * 1000.0 / 1001.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NTSC: f64 = 30_000.0 / 1001.0;

    #[test]
    fn rates_of_television_are_known_by_their_short_names() {
        for (said, meant) in [(29.97, NTSC), (23.976, 24_000.0 / 1001.0), (23.98, 24_000.0 / 1001.0), (59.94, 60_000.0 / 1001.0)] {
            assert_eq!(nominal(said), meant);
        }
        for fps in [1.0, 12.5, 14.99, 15.0, 16.0, 24.0, 25.0, 30.0, 60.0, 1000.0, 0.001] {
            assert_eq!(nominal(fps), fps);
        }
    }

    #[test]
    fn times_are_told_where_frames_are_not_even() {
        // Milliseconds of 30000/1001: even, and the rate is found though the mean is off.
        let ticks: Vec<i64> = (0..=90).map(|i| (f64::from(i) * 1000.0 / NTSC).round() as i64).collect();
        assert_eq!(Timing::new(&ticks, 1000.0, None), Timing { fps: Some(NTSC), times: None });
        // A camera that wavers by a few milliseconds.
        let ticks: Vec<i64> = (0..=90).map(|i| i * 33 + i % 3 * 2).collect();
        assert_eq!(Timing::new(&ticks, 1000.0, None).times, None);
        // A gap.
        let timing = Timing::new(&[0, 1, 2, 5, 6], 30.0, Some(30.0));
        assert_eq!(timing.times.unwrap(), [0.0, 1.0 / 30.0, 2.0 / 30.0, 5.0 / 30.0, 0.2]);
        assert_eq!(Timing::new(&[7, 7], 30.0, None), Timing::default(), "a frame that lasts no time has no rate");
        assert_eq!(Timing::new(&[], 30.0, None), Timing::default());
    }
}
