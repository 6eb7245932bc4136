//! The one table of a run.

use std::fmt;

pub struct Table {
    /// Operations a second of nothing but fused multiply-adds.
    pub peak: f64,
    pub rows: Vec<Row>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

pub struct Row {
    pub name: String,
    pub flops: f64,
    /// Read and written, 0 where unknown.
    pub bytes: f64,
    pub seconds: f64,
}

impl Table {
    pub fn new(peak: f64) -> Self {
        Self { peak, rows: Vec::new(), missing: Vec::new() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{:<52} {:>10} {:>9} {:>8} {:>8}", "", "seconds", "GFLOP/s", "of peak", "GB/s")?;
        for Row { name, flops, bytes, seconds } in &self.rows {
            let rate = flops / seconds;
            let bandwidth = if *bytes == 0.0 { String::new() } else { format!("{:.2}", bytes / seconds / 1e9) };
            writeln!(f, "{name:<52} {seconds:>10.6} {:>9.2} {:>8.3} {bandwidth:>8}", rate / 1e9, rate / self.peak)?;
        }
        self.missing.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
