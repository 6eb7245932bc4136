//! How it is decided what is reused.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How it is decided which evaluations are computed. Written as `mag:0.12:3:0.2` and so on; what may be left out has a default.
///
/// `Mag`, `Tea`, `Taylor`, `Scm` and `Mask` decide when the request is planned, so that its plan is exact. The others look at the model on the way,
/// for which the GPU is waited for once for each pass of a step; they are planned as if all were computed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CacheMethod {
    /// MagCache: by how much the residual of the layers shrinks from step to step, which is a curve over the noise level. Built in are those that
    /// its authors measured; [`CacheCurve`](crate::CacheCurve) holds one's own. `mag[:THRESHOLD[:MAX[:RETENTION]]]`
    Mag {
        /// How much error may add up, 0 or more. Default: 0.12.
        threshold: f64,
        /// Evaluations reused in a row at most. Default: 3.
        max_consecutive: usize,
        /// The part of the evaluations, of each expert, that is computed first, 0 to 1. Default: 0.2.
        retention: f64,
    },
    /// TeaCache: by how much the embedding of the timestep changes. `tea:DISTANCE`
    Tea {
        /// How much change may add up, as in its authors' code: 0.13 to 0.26 for 14B models at 480p, 0.18 to 0.3 at 720p, 0.05 to 0.08 for 1.3B.
        /// Services that offer 0 to 1 do not say what theirs means; here it is this.
        distance: f64,
    },
    /// First block cache: the first block is always computed; the others, where what it did changed by more than the threshold.
    /// `first-block:THRESHOLD`
    FirstBlock {
        /// Relative change, 0 or more; diffusers has 0.05.
        threshold: f64,
    },
    /// DBCache of cache-dit: the first and the last blocks are always computed, and the first steps, 8 where no
    /// [`start`](crate::Cache::start) says otherwise. `dual-block:THRESHOLD[:F[:B]]`
    DualBlock {
        /// Relative change of what the first blocks did, 0 or more; cache-dit has 0.08. From 1 on it is not looked at.
        threshold: f64,
        /// Blocks at the beginning, 1 or more. Default: 8.
        front: usize,
        /// Blocks at the end. Default: 0.
        back: usize,
    },
    /// EasyCache: by how much latents change, and by how much predictions did before when latents changed. It keeps predictions alone, in place of
    /// what the layers did. The first ten steps are computed, where no [`start`](crate::Cache::start) says otherwise. `easy:THRESHOLD`
    Easy {
        /// How much change of the prediction may add up, in parts of its size, 0 or more; its authors have 0.05 to 0.2.
        threshold: f64,
    },
    /// TaylorSeer: every so many-th evaluation is computed, and the residual between is extrapolated. The first three are computed, where no
    /// [`start`](crate::Cache::start) says otherwise. `taylor:INTERVAL[:ORDER]`
    Taylor {
        /// Evaluations from one that is computed to the next, 1 or more; diffusers has 5.
        interval: usize,
        /// Of the polynomial, 0 to 2; each takes a further residual. Default: 1.
        order: usize,
    },
    /// The masks of cache-dit. `scm:POLICY`
    Scm(ScmPolicy),
    /// Exactly these are computed: one for each evaluation. `mask:1101..`
    Mask(Vec<bool>),
}

/// How much of a run cache-dit's masks leave to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "names of the same words")]
pub enum ScmPolicy {
    Slow,
    Medium,
    Fast,
    Ultra,
}

/// What `--help` and errors say of the form.
const FORMS: &str = "mag[:THRESHOLD[:MAX[:RETENTION]]], tea:DISTANCE, first-block:THRESHOLD, dual-block:THRESHOLD[:F[:B]], \
                     easy:THRESHOLD, taylor:INTERVAL[:ORDER], scm:slow|medium|fast|ultra or mask:1101..";

impl CacheMethod {
    /// MagCache with its defaults.
    pub const MAG: Self = Self::Mag { threshold: 0.12, max_consecutive: 3, retention: 0.2 };

    /// Blocks at the beginning and at the end that are always computed.
    pub(crate) fn ends(&self) -> (usize, usize) {
        match *self {
            Self::FirstBlock { .. } => (1, 0),
            Self::DualBlock { front, back, .. } => (front, back),
            _ => (0, 0),
        }
    }

    /// Of the polynomial by which residuals are extrapolated.
    pub(crate) fn order(&self) -> usize {
        if let Self::Taylor { order, .. } = self { *order } else { 0 }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Input(format!("cache `{self}`: {what}")));
        match *self {
            Self::Mag { threshold, .. } | Self::FirstBlock { threshold } | Self::DualBlock { threshold, .. } | Self::Easy { threshold }
                if !(threshold.is_finite() && threshold >= 0.0) =>
            {
                wrong(format!("a threshold of {threshold}; it must be 0 or more"))
            }
            Self::Mag { retention, .. } if !(0.0..=1.0).contains(&retention) => {
                wrong(format!("a retention of {retention}; it must be 0 to 1"))
            }
            Self::Tea { distance } if !(distance.is_finite() && distance >= 0.0) => {
                wrong(format!("a distance of {distance}; it must be 0 or more"))
            }
            Self::DualBlock { front: 0, .. } => wrong("0 blocks at the beginning; it must be 1 at least".into()),
            Self::Taylor { interval: 0, .. } => wrong("an interval of 0; it must be 1 at least".into()),
            Self::Taylor { order: 3.., .. } => wrong("the order must be 0 to 2".into()),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ScmPolicy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Slow => "slow",
            Self::Medium => "medium",
            Self::Fast => "fast",
            Self::Ultra => "ultra",
        })
    }
}

impl FromStr for ScmPolicy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "slow" => Ok(Self::Slow),
            "medium" => Ok(Self::Medium),
            "fast" => Ok(Self::Fast),
            "ultra" => Ok(Self::Ultra),
            _ => Err(Error::Input(format!("unknown policy `{name}`: choose slow, medium, fast or ultra"))),
        }
    }
}

crate::as_text::as_text!(ScmPolicy);

impl fmt::Display for CacheMethod {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Mag { threshold, max_consecutive, retention } => write!(f, "mag:{threshold}:{max_consecutive}:{retention}"),
            Self::Tea { distance } => write!(f, "tea:{distance}"),
            Self::FirstBlock { threshold } => write!(f, "first-block:{threshold}"),
            Self::DualBlock { threshold, front, back } => write!(f, "dual-block:{threshold}:{front}:{back}"),
            Self::Easy { threshold } => write!(f, "easy:{threshold}"),
            Self::Taylor { interval, order } => write!(f, "taylor:{interval}:{order}"),
            Self::Scm(policy) => write!(f, "scm:{policy}"),
            Self::Mask(mask) => write!(f, "mask:{}", digits(mask)),
        }
    }
}

/// 1 for what is computed, 0 for what is not.
pub fn digits(mask: &[bool]) -> String {
    mask.iter().map(|&computed| if computed { '1' } else { '0' }).collect()
}

crate::as_text::as_text!(CacheMethod);

impl FromStr for CacheMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::Input(format!("`{text}`: not a cache; choose {FORMS}"));
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let method = read(name, &words).ok_or_else(unknown)?;
        method.check().map(|()| method)
    }
}

fn read(name: &str, words: &[&str]) -> Option<CacheMethod> {
    fn word<T: FromStr>(words: &[&str], at: usize, default: Option<T>) -> Option<T> {
        words.get(at).map_or(default, |word| word.parse().ok())
    }
    let (method, most) = match name {
        "mag" => {
            let threshold = word(words, 0, Some(0.12))?;
            (CacheMethod::Mag { threshold, max_consecutive: word(words, 1, Some(3))?, retention: word(words, 2, Some(0.2))? }, 3)
        }
        "tea" => (CacheMethod::Tea { distance: word(words, 0, None)? }, 1),
        "first-block" => (CacheMethod::FirstBlock { threshold: word(words, 0, None)? }, 1),
        "dual-block" => {
            let (front, back) = (word(words, 1, Some(8))?, word(words, 2, Some(0))?);
            (CacheMethod::DualBlock { threshold: word(words, 0, None)?, front, back }, 3)
        }
        "easy" => (CacheMethod::Easy { threshold: word(words, 0, None)? }, 1),
        "taylor" => (CacheMethod::Taylor { interval: word(words, 0, None)?, order: word(words, 1, Some(1))? }, 2),
        "scm" => (CacheMethod::Scm(word(words, 0, None)?), 1),
        "mask" => {
            let mask = words.first().filter(|mask| !mask.is_empty() && mask.bytes().all(|digit| matches!(digit, b'0' | b'1')))?;
            (CacheMethod::Mask(mask.bytes().map(|digit| digit == b'1').collect()), 1)
        }
        _ => return None,
    };
    (words.len() <= most).then_some(method)
}
