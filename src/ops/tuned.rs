//! Tiles chosen by timing.

use web_time::Instant;

use crate::error::Result;
use crate::gpu::Recorder;

/// The fastest of `count` tiles by timing an op, which `record` records with one of them; none where tiles are not timed. `class` says what
/// op it is and what its speed depends on.
pub(super) fn fastest_tile(
    rec: &mut Recorder,
    class: &str,
    count: usize,
    record: impl Fn(&mut Recorder, usize) -> Result<()>,
) -> Option<usize> {
    const RUNS: u32 = 3;
    let device = rec.device().clone();
    device.tuning().choose(class, count, |tile| {
        record(rec, tile)?;
        rec.finish()?;
        let begun = Instant::now();
        (0..RUNS).try_for_each(|_| record(rec, tile))?;
        rec.finish()?;
        Ok((begun.elapsed() / RUNS).as_secs_f64())
    })
}
