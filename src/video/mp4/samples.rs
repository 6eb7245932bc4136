//! Where the bytes of each coded frame or packet are, and when it is shown.

use std::path::Path;

use shiguredo_mp4::aux::SampleTableAccessor;
use shiguredo_mp4::boxes::{SampleEntry, StblBox};

use super::movie::damaged;
use crate::Result;

/// A coded frame or packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// When it is shown, before the edit list, in the track's ticks.
    pub(super) shown: i64,
    pub(super) duration: u32,
    /// Whether the container says that decoding can start here.
    pub(super) sync: bool,
}

/// The samples of a track, in the order of decoding, and the sample entry that they all use; `None` where they use several.
pub(super) fn read_samples<'a>(path: &Path, stbl: &'a StblBox, file_len: u64) -> Result<(Vec<Sample>, Option<&'a SampleEntry>)> {
    let table = SampleTableAccessor::new(stbl).map_err(|e| damaged(path, &e.to_string()))?;
    let num_samples = u64::from(table.sample_count());
    // No sample is empty, so more samples than bytes cannot be; this bounds what is allocated.
    if num_samples > file_len {
        return Err(damaged(path, "it claims more frames than it has bytes"));
    }
    let mut samples = Vec::with_capacity(num_samples as usize);
    for sample in table.samples() {
        let (offset, size) = (sample.data_offset(), sample.data_size());
        if offset.checked_add(u64::from(size)).is_none_or(|end| end > file_len) {
            let message = format!("frame {} of {num_samples} lies beyond its end; it is cut short", samples.len());
            return Err(damaged(path, &message));
        }
        let shown = i64::try_from(sample.timestamp()).ok().and_then(|at| at.checked_add(sample.composition_time_offset().unwrap_or(0)));
        // Room for sums of times.
        let shown = shown.filter(|shown| shown.unsigned_abs() < 1 << 60).ok_or_else(|| damaged(path, "its times are impossible"))?;
        samples.push(Sample { offset, size, shown, duration: sample.duration(), sync: sample.is_sync_sample() });
    }
    let mut used: Vec<usize> = table.chunks().filter(|chunk| chunk.sample_count() > 0).map(|chunk| chunk.sample_entry_index()).collect();
    used.dedup();
    let entry = if let [only] = used[..] { stbl.stsd_box.entries.get(only) } else { None };
    Ok((samples, entry))
}
