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
    /// The last evaluation that may be reused. Default: the last one of all; for `Mag`, `Tea` and `Easy` the one before it.
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
        if self.curve.as_ref().is_some_and(|curve| !curve.is_sound()) {
            return Err(Error::Input("the cache's curve: each list needs two falling noise levels at least, with ratios above 0".into()));
        }
        if self.max_reused.is_some() && !matches!(self.method, CacheMethod::FirstBlock { .. } | CacheMethod::DualBlock { .. }) {
            let message =
                format!("a limit of all that is reused for the cache `{}`: only `first-block` and `dual-block` have one", self.method);
            return Err(Error::Input(message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_method_does_not_have_are_refused() {
        let cache = |text: &str| text.parse::<Cache>().expect("a cache");
        let curve = || serde_json::from_str::<CacheCurve>(r#"{"experts": [[[1.0, 1.0], [0.5, 0.9]]]}"#).expect("a curve");
        for wrong in [cache("mag").max_reused(3), cache("mask:10").max_reused(3), cache("tea:0.2").curve(curve())] {
            assert!(matches!(wrong.check(), Err(Error::Input(_))), "{wrong:?}");
        }
        for right in [cache("first-block:0.1").max_reused(3), cache("dual-block:0.1").max_reused(3), cache("mag").curve(curve())] {
            assert!(right.check().is_ok(), "{right:?}");
        }
    }

    #[test]
    fn a_curve_that_cannot_be_followed_is_refused() {
        for text in [
            r#"{"experts": []}"#,
            r#"{"experts": [[]]}"#,
            r#"{"experts": [[[0.5, 1.0], [0.9, 1.0]]]}"#,
            r#"{"experts": [[[1.0, 1.0], [0.5, 0.0]]]}"#,
        ] {
            let curve = serde_json::from_str(text).expect("numbers and lists");
            assert!(matches!(Cache::from(CacheMethod::MAG).curve(curve).check(), Err(Error::Input(_))), "{text}");
        }
    }
}
