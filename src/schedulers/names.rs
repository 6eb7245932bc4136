//! The names that users know schedulers by: this crate's short ones, Runware's, and diffusers' classes.

use std::fmt;
use std::str::FromStr;

use super::{scheduler::Scheduler, spacing::Spacing};
use crate::{Error, Result};

/// A scheduler as a user names it: `unipc`, `DPM++ 2M Karras`, `Euler a`, `FlowMatchHeunDiscreteScheduler`, `Default`, ...
///
/// Case does not matter, and `_` or `-` may stand for a space.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Sampler {
    /// The scheduler; none for the checkpoint's own.
    pub scheduler: Option<Scheduler>,
    /// How the noise levels are spread; none for as the checkpoint says.
    pub spacing: Option<Spacing>,
}

impl From<Scheduler> for Sampler {
    fn from(scheduler: Scheduler) -> Self {
        Self { scheduler: Some(scheduler), spacing: None }
    }
}

impl Sampler {
    /// The same scheduler with noise levels spread like this.
    pub fn with_spacing(self, spacing: Spacing) -> Self {
        Self { spacing: Some(spacing), ..self }
    }
}

/// The name that is parsed again; a [`Spacing`] that is a list has none, and is told by its length.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.scheduler {
            Some(scheduler) => write!(f, "{scheduler}")?,
            None => write!(f, "default")?,
        }
        match &self.spacing {
            None => Ok(()),
            Some(Spacing::Uniform) => write!(f, " uniform"),
            Some(Spacing::Karras) => write!(f, " karras"),
            Some(Spacing::Exponential) => write!(f, " exponential"),
            Some(Spacing::Beta) => write!(f, " beta"),
            Some(Spacing::Sigmas(list)) => write!(f, " with {} noise levels", list.len()),
            Some(Spacing::Timesteps(list)) => write!(f, " with {} timesteps", list.len()),
        }
    }
}

impl FromStr for Sampler {
    type Err = Error;

    /// # Errors
    /// [`Error::Unsupported`] for schedulers that exist but are not defined for flow matching, [`Error::Input`] for
    /// other names.
    fn from_str(name: &str) -> Result<Self> {
        let plain = name.trim().to_lowercase().replace(['_', '-'], " ");
        let words: Vec<&str> = plain.split_whitespace().collect();
        // "Uniform Karras" is Karras: what the levels are spread by comes last.
        let is_spacing = |word: &&&str| spacing(word).is_some();
        let count = words.len() - words.iter().skip(1).rev().take_while(is_spacing).count();
        let spacing = words[count..].last().and_then(|word| spacing(word));
        let words = &words[..count];
        match words.join(" ").as_str() {
            "default" => Ok(Self { scheduler: None, spacing }),
            plain => Ok(Self { scheduler: Some(scheduler(plain, name)?), spacing }),
        }
    }
}

/// The shortest of the names that are parsed.
impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.names()[0])
    }
}

impl FromStr for Scheduler {
    type Err = Error;

    /// Understands the names of a [`Sampler`] that name a scheduler alone.
    fn from_str(name: &str) -> Result<Self> {
        match name.parse()? {
            Sampler { scheduler: Some(scheduler), spacing: None } => Ok(scheduler),
            _ => Err(Error::Input(format!("`{name}` is not the name of a scheduler alone"))),
        }
    }
}

crate::as_text::as_text!(Scheduler);

fn spacing(word: &str) -> Option<Spacing> {
    match word {
        "uniform" => Some(Spacing::Uniform),
        "karras" => Some(Spacing::Karras),
        "exponential" => Some(Spacing::Exponential),
        "beta" => Some(Spacing::Beta),
        _ => None,
    }
}

fn scheduler(plain: &str, name: &str) -> Result<Scheduler> {
    if let Some(known) = Scheduler::ALL.iter().find(|scheduler| scheduler.names().contains(&plain)) {
        return Ok(*known);
    }
    if let Some(why) = undefined(plain) {
        return Err(Error::Unsupported(format!(
            "scheduler `{name}`: not defined for flow matching, which these models are made for: {why}"
        )));
    }
    let all: Vec<_> = Scheduler::ALL.iter().map(Scheduler::to_string).collect();
    Err(Error::Input(format!(
        "unknown scheduler `{name}`: choose default, {} or ddim, if you like with uniform, karras, exponential or beta behind",
        all.join(", ")
    )))
}

/// Why a scheduler that exists for diffusion has no meaning for a flow, and what is near it.
fn undefined(plain: &str) -> Option<&'static str> {
    match plain {
        "ddpm" | "ddpmscheduler" | "unclipscheduler" => {
            Some("its steps are the posteriors of a diffusion's own schedule; euler a adds noise along a flow")
        }
        "pndm" | "pndmscheduler" => Some("its steps are made of a diffusion's cumulative signal; ipndm has the same weights along a flow"),
        "edmeulerscheduler" | "edmdpmsolvermultistepscheduler" | "cosinedpmsolvermultistepscheduler" => {
            Some("its scaling is that of networks trained with EDM's preconditioning; take euler, or dpm++ 2m")
        }
        "dpmsolvermultistepinverse" | "dpmsolvermultistepinversescheduler" | "ddiminversescheduler" => {
            Some("it goes from a video to noise, and makes none; dpm++ 2m goes the other way")
        }
        "scoresdevescheduler" | "scoresdevpscheduler" | "sasolverscheduler" | "repaintscheduler" | "vqdiffusionscheduler" => {
            Some("its equation is that of another diffusion; euler a and dpm++ sde add noise along a flow")
        }
        _ => None,
    }
}
