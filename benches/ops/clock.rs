//! Time that work takes.

use std::fmt;
use std::time::Instant;

use wan_animate::Result;

/// By the wall's clock, or the processor's.
#[derive(Clone, Copy)]
pub struct Clock {
    processor: bool,
}

impl Clock {
    /// `processor` where the work is this process's own and the system can tell.
    pub fn new(processor: bool) -> Self {
        Self { processor: processor && processor_seconds().is_some() }
    }

    pub fn is_processor(self) -> bool {
        self.processor
    }

    /// The least of three measurements of one run of `work`, which is told how often to repeat it, so that a measurement lasts long enough to
    /// be one. It runs once before, to have everything compiled.
    pub fn best(self, mut work: impl FnMut(usize) -> Result<()>) -> Result<f64> {
        let mut measure = |repeats| {
            let begun = self.now();
            work(repeats).map(|()| (self.now() - begun) / repeats as f64)
        };
        measure(1)?;
        let repeats = (0.5 / measure(1)?.max(1e-4)).ceil() as usize;
        (0..3).try_fold(f64::INFINITY, |best, _| measure(repeats).map(|seconds| seconds.min(best)))
    }

    fn now(self) -> f64 {
        thread_local!(static START: Instant = Instant::now());
        match processor_seconds().filter(|_| self.processor) {
            Some(seconds) => seconds,
            None => START.with(Instant::elapsed).as_secs_f64(),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if self.processor { "processor time / processors" } else { "wall time" })
    }
}

/// This process's seconds on all processors, were it spread evenly among them. Linux counts them in hundredths.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: f64 = fields.get(11..13)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / 100.0 / std::thread::available_parallelism().map_or(1, usize::from) as f64)
}
