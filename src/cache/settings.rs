//! What a user asks for.

use std::str::FromStr;

use crate::cache::{bound::CacheBound, curve::CacheCurve, method::CacheMethod};
use crate::error::{Error, Result};

/// Which evaluations of the model reuse what its layers did before, so that they take next to no time. For runs of many steps: models that
/// are distilled to a few leave nothing to reuse.
///
/// ```
/// use wan_animate::{Cache, CacheBound, CacheMethod};
///
/// let cache = "mag:0.12".parse::<Cache>()?.end(CacheBound::Percent(90.0)).max_consecutive(2);
/// assert_eq!(cache.method, CacheMethod::MAG);
/// # Ok::<(), wan_animate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Cache {
    /// How it is decided.
    pub method: CacheMethod,
    /// The first evaluation that may be reused; with two experts, of each. Default: as the method says; the first one never is.
    #[cfg_attr(feature = "serde", serde(default))]
    pub start: Option<CacheBound>,
    /// The last evaluation that may be reused. Default: the last one of all; for `Mag` and `Tea` the one before it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub end: Option<CacheBound>,
    /// Evaluations reused in a row at most. Default: as many as the method says.
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_consecutive: Option<usize>,
    /// Evaluations reused at most, of a segment and expert. Default: any number. For `FirstBlock` and `DualBlock`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_reused: Option<usize>,
    /// What was measured on the model, for `Mag`. Default: the built-in curve of what is like it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub curve: Option<CacheCurve>,
}

impl From<CacheMethod> for Cache {
    fn from(method: CacheMethod) -> Self {
        Self { method, start: None, end: None, max_consecutive: None, max_reused: None, curve: None }
    }
}

impl FromStr for Cache {
    type Err = Error;

    /// A [`CacheMethod`], without bounds.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(|method: CacheMethod| method.into())
    }
}

impl Cache {
    /// Sets the [`start`](Self::start).
    pub fn start(self, start: CacheBound) -> Self {
        Self { start: Some(start), ..self }
    }

    /// Sets the [`end`](Self::end).
    pub fn end(self, end: CacheBound) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Sets [`max_consecutive`](Self::max_consecutive).
    pub fn max_consecutive(self, count: usize) -> Self {
        Self { max_consecutive: Some(count), ..self }
    }

    /// Sets [`max_reused`](Self::max_reused).
    pub fn max_reused(self, count: usize) -> Self {
        Self { max_reused: Some(count), ..self }
    }

    /// Sets the [`curve`](Self::curve).
    pub fn curve(self, curve: CacheCurve) -> Self {
        Self { curve: Some(curve), ..self }
    }

    /// What is wrong with it, whatever it is for.
    pub(crate) fn check(&self) -> Result<()> {
        self.method.check()?;
        self.start.into_iter().chain(self.end).try_for_each(CacheBound::check)?;
        if self.curve.is_some() && !matches!(self.method, CacheMethod::Mag { .. }) {
            return Err(Error::Input(format!("a curve for the cache `{}`: only `mag` follows one", self.method)));
        }
        Ok(())
    }
}
