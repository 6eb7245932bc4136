//! Edit lists: which frames of a track are presented, and when.

use shiguredo_mp4::boxes::ElstEntry;

/// How many times as many frames may be presented as there are; more is taken for a bomb.
const MAX_REPEATS: usize = 4;

/// What is presented of a track.
#[derive(Debug, PartialEq)]
pub(super) struct Presentation {
    /// The frames, by their places in the order of showing.
    pub(super) frames: Vec<usize>,
    /// When each is shown and the last one ends, in the track's ticks from the movie's start.
    pub(super) ticks: Vec<i64>,
}

/// Follows an edit list, as ffmpeg does: a frame that begins in an edit is presented. `shown` has begin and duration of all frames in
/// the order of showing, in the track's ticks; a second has `movie` ticks in the list's durations and `track` of the track's.
///
/// Fails, with the reason, where the list asks for more than leaving out, delaying and repeating.
pub(super) fn present(edits: &[ElstEntry], (movie, track): (u32, u32), shown: &[(i64, u32)]) -> Result<Presentation, String> {
    let end = |&(begin, duration): &(i64, u32)| begin + i64::from(duration);
    if edits.is_empty() {
        let ticks = shown.iter().map(|&(begin, _)| begin).chain(shown.last().map(end)).collect();
        return Ok(Presentation { frames: (0..shown.len()).collect(), ticks });
    }
    let (mut frames, mut ticks, mut last_end, mut clock) = (Vec::new(), Vec::new(), 0, 0i64);
    for edit in edits {
        let duration = i128::from(edit.edit_duration) * i128::from(track);
        let duration = i64::try_from((duration + i128::from(movie) / 2) / i128::from(movie)).unwrap_or(i64::MAX);
        if edit.media_time >= 0 {
            if (edit.media_rate.integer, edit.media_rate.fraction) != (1, 0) {
                return Err("its edit list changes the speed, which is not read".into());
            }
            let begin = edit.media_time;
            // A duration of 0 stands for all that is left.
            let until = if duration == 0 { i64::MAX } else { begin.saturating_add(duration) };
            let first = shown.partition_point(|&(at, _)| at < begin);
            let past = shown.partition_point(|&(at, _)| at < until).max(first);
            if frames.len() + (past - first) > shown.len().saturating_mul(MAX_REPEATS) {
                return Err("its edit list repeats the video over and over, which is not read".into());
            }
            let moved = |at: i64| (at - begin).saturating_add(clock);
            frames.extend(first..past);
            ticks.extend(shown[first..past].iter().map(|&(at, _)| moved(at)));
            // The last frame shown need not be the last one coded, whose duration says when the track ends; the edit says it too.
            last_end = shown[first..past].last().map_or(last_end, |frame| moved(end(frame).min(until)));
        }
        clock = clock.saturating_add(duration);
    }
    ticks.push(last_end);
    Ok(Presentation { frames, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    use shiguredo_mp4::FixedPointNumber;

    fn edit(edit_duration: u64, media_time: i64) -> ElstEntry {
        ElstEntry { edit_duration, media_time, media_rate: FixedPointNumber::new(1, 0) }
    }

    /// Six frames of 512 ticks, the first at 1024; a second has 15360 ticks, 1000 in the list.
    fn presented(edits: &[ElstEntry]) -> Presentation {
        let shown: Vec<(i64, u32)> = (0..6).map(|index| (1024 + 512 * index, 512)).collect();
        present(edits, (1000, 15_360), &shown).expect("presents")
    }

    #[test]
    fn what_is_hidden_is_not_presented() {
        let ticks = |first: i64, count: i64| (0..=count).map(|index| first + 512 * index).collect::<Vec<_>>();
        assert_eq!(presented(&[]), Presentation { frames: (0..6).collect(), ticks: ticks(1024, 6) });
        // The delay of B-frames.
        assert_eq!(presented(&[edit(200, 1024)]), Presentation { frames: (0..6).collect(), ticks: ticks(0, 6) });
        assert_eq!(presented(&[edit(199, 1024)]).frames.len(), 6, "a duration that lost a part of a millisecond");
        assert_eq!(presented(&[edit(0, 1024)]).frames.len(), 6);
        // A lead-in and an end.
        assert_eq!(presented(&[edit(100, 2048)]), Presentation { frames: vec![2, 3, 4], ticks: ticks(0, 3) });
        // A frame that began before is not shown.
        assert_eq!(presented(&[edit(0, 1025)]).frames, [1, 2, 3, 4, 5]);
        // A delay: 100 ms are 1536 ticks.
        assert_eq!(presented(&[edit(100, -1), edit(200, 1024)]).ticks, ticks(1536, 6));
        // Two pieces, the later first.
        let pieces = presented(&[edit(67, 2560), edit(67, 1024)]);
        assert_eq!((pieces.frames, pieces.ticks), (vec![3, 4, 5, 0, 1, 2], vec![0, 512, 1024, 1029, 1541, 2053, 2058]));
        assert!(presented(&[edit(10, 90_000)]).frames.is_empty());
    }

    #[test]
    fn other_lists_are_refused() {
        let half = ElstEntry { media_rate: FixedPointNumber::new(0, 1 << 14), ..edit(100, 0) };
        assert!(present(&[half], (1000, 1000), &[(0, 1)]).is_err());
        assert!(present(&vec![edit(0, 0); 100], (1000, 1000), &[(0, 1)]).is_err());
        assert!(present(&[edit(u64::MAX, i64::MAX), edit(u64::MAX, 0)], (1, u32::MAX), &[(0, 1)]).is_ok(), "no overflow");
    }
}
