//! Which steps reuse what others computed, on the command line.

use std::path::PathBuf;

use clap::Args;
use wan_animate::{Cache, CacheBound, CacheCurve, Error, Result};

#[derive(Args, Debug)]
pub struct CacheOptions {
    /// Steps that reuse what the model's layers did before: off, mag[:THRESHOLD[:MAX[:RETENTION]]], tea:DISTANCE, first-block:THRESHOLD,
    /// dual-block:THRESHOLD[:F[:B]], easy:THRESHOLD, taylor:INTERVAL[:ORDER], scm:slow|medium|fast|ultra or mask:1101.. For runs of more than 12 steps.
    #[arg(long, value_name = "METHOD", default_value = "off")]
    cache: String,
    /// The first step that may be reused: a number from 1, or per cent of the steps.
    #[arg(long, value_name = "N|P%")]
    cache_start: Option<CacheBound>,
    /// The last step that may be reused.
    #[arg(long, value_name = "N|P%")]
    cache_end: Option<CacheBound>,
    /// Steps reused in a row at most.
    #[arg(long, value_name = "N")]
    cache_max_consecutive: Option<usize>,
    /// For mag: what was measured on the model, in place of the built-in curve. JSON, {"experts": [[[sigma, ratio], ..]]}.
    #[arg(long, value_name = "FILE")]
    cache_curve: Option<PathBuf>,
    /// Computes all steps, and writes what mag goes by, measured on this model: a file for --cache-curve, with any number of steps.
    #[arg(long, value_name = "FILE")]
    pub calibrate: Option<PathBuf>,
}

impl CacheOptions {
    pub fn cache(&self) -> Result<Option<Cache>> {
        let Self { cache, cache_start, cache_end, cache_max_consecutive, cache_curve, .. } = self;
        if cache == "off" {
            let is_set = cache_start.is_some() || cache_end.is_some() || cache_max_consecutive.is_some() || cache_curve.is_some();
            return if is_set { Err(Error::Input("options of a cache without --cache".into())) } else { Ok(None) };
        }
        let mut cache: Cache = cache.parse()?;
        cache.start = *cache_start;
        cache.end = *cache_end;
        cache.max_consecutive = *cache_max_consecutive;
        cache.curve = cache_curve.as_ref().map(CacheCurve::open).transpose()?;
        Ok(Some(cache))
    }
}
