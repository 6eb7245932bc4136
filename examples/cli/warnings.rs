//! Warnings of the library, for a person to see.

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // wgpu warns of what nobody can do anything about.
        metadata.level() <= Level::Warn && !["wgpu", "naga"].iter().any(|other| metadata.target().starts_with(other))
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            eprintln!("warning: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Prints warnings from here on.
pub fn print() {
    // Nobody else sets a logger.
    let _ = log::set_logger(&Warnings).map(|()| log::set_max_level(LevelFilter::Warn));
}
