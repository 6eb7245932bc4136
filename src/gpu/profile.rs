//! Where the time goes: how long each dispatch took, by kernel and by stage.
//!
//! A device that was built with [`DeviceBuilder::profile`](crate::DeviceBuilder::profile) gives each dispatch a pass of its own between
//! two timestamps of the GPU. An adapter without timestamps gets each dispatch as a submission of its own, timed on the host, so
//! that small ones look longer than they are. Either way the GPU has less to overlap: a profiled run is slower.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// The kernel's name: an op's, and its family's where it has several.
    pub kernel: &'static str,
    /// What the generation was doing, such as `denoising`; empty outside of generations.
    pub stage: &'static str,
    /// Seconds since the first one began.
    pub start: f64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// All dispatches of a device so far, in order. See [`Device::profile`](crate::Device::profile).
#[derive(Debug, Default)]
pub struct Profile(Mutex<Vec<Span>>);

impl Profile {
    /// The dispatches.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().clone()
    }

    /// A table for people: each kernel of each stage with its seconds, its share of all and its dispatches, the longest first.
    pub fn table(&self) -> String {
        let spans = self.lock();
        let mut rows: HashMap<_, (f64, usize)> = HashMap::new();
        for span in spans.iter() {
            let (seconds, count) = rows.entry((span.stage, span.kernel)).or_default();
            (*seconds, *count) = (*seconds + span.seconds, *count + 1);
        }
        let all: f64 = rows.values().map(|row| row.0).sum();
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let mut text = format!("{:<13} {:<16} {:>10} {:>6} {:>10}\n", "stage", "kernel", "seconds", "%", "dispatches");
        for ((stage, kernel), (seconds, count)) in rows {
            let share = 100.0 * seconds / all.max(f64::MIN_POSITIVE);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{stage:<13} {kernel:<16} {seconds:>10.4} {share:>6.1} {count:>10}");
        }
        text
    }

    /// The dispatches as a trace for chrome://tracing or <https://ui.perfetto.dev>: JSON, one line a stage, times in microseconds.
    pub fn chrome_trace(&self) -> String {
        let event = |span: &Span| {
            serde_json::json!({
                "name": span.kernel,
                "cat": span.stage,
                "ph": "X",
                "ts": span.start * 1e6,
                "dur": span.seconds * 1e6,
                "pid": "GPU",
                "tid": span.stage,
            })
        };
        let events: Vec<_> = self.lock().iter().map(event).collect();
        serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let span = |kernel, stage, start, seconds| Span { kernel, stage, start, seconds };
        Profile(Mutex::new(vec![
            span("matmul", "denoising", 0.0, 0.5),
            span("conv", "decoding", 0.5, 2.0),
            span("matmul", "denoising", 2.5, 1.0),
        ]))
    }

    #[test]
    fn a_table_sums_by_stage_and_kernel() {
        let table = profile().table();
        let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["decoding", "conv", "2.0000", "57.1", "1"]);
        assert_eq!(rows[2], ["denoising", "matmul", "1.5000", "42.9", "2"]);
    }

    #[test]
    fn a_trace_is_json_in_microseconds() {
        let trace: serde_json::Value = serde_json::from_str(&profile().chrome_trace()).expect("JSON");
        let last = &trace["traceEvents"][2];
        assert_eq!((last["name"].as_str(), last["ts"].as_f64(), last["dur"].as_f64()), (Some("matmul"), Some(2.5e6), Some(1e6)));
    }
}
