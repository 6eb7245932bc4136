//! From where on, and up to where, evaluations may be reused.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A place among the evaluations of a run: a step's number, or a part of them. `7`, `20%`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CacheBound {
    /// A step, counted from 1 as progress is told. Where a solver takes two evaluations a step, evaluations are counted.
    Step(usize),
    /// Per cent of the steps, 0 to 100.
    Percent(f64),
}

impl CacheBound {
    /// How many of `count` steps lie before what may be reused, where it is the first that may.
    pub(super) fn before(self, count: usize) -> usize {
        match self {
            Self::Step(step) => step.saturating_sub(1),
            Self::Percent(_) => self.up_to(count),
        }
    }

    /// How many of `count` steps lie up to it, where it is the last that may.
    pub(super) fn up_to(self, count: usize) -> usize {
        match self {
            Self::Step(step) => step,
            Self::Percent(percent) => (count as f64 * percent / 100.0 + 0.5) as usize,
        }
    }

    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Step(0) => Err(Error::Input("a bound of the cache at step 0; steps are counted from 1".into())),
            Self::Percent(percent) if !(0.0..=100.0).contains(&percent) => {
                Err(Error::Input(format!("a bound of the cache at {percent}%; it must be 0% to 100%")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for CacheBound {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "{step}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

crate::as_text::as_text!(CacheBound);

impl FromStr for CacheBound {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Step),
        };
        let bound = parsed.ok_or_else(|| Error::Input(format!("`{text}`: not a step, such as 7, or a part of them, such as 20%")))?;
        bound.check().map(|()| bound)
    }
}
