//! The names that users know schedulers by: this crate's short ones, Runware's, and diffusers' classes.

use std::str::FromStr;

use super::{scheduler::Scheduler, spacing::Spacing};
use crate::{Error, Result};

/// A scheduler as a user names it: `unipc`, `DPM++ 2M Karras`, `Euler a`, `FlowMatchHeunDiscreteScheduler`, `Default`, ...
///
/// Case does not matter, and `_` or `-` may stand for a space.
#[derive(Debug, Clone, PartialEq, Default)]
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

impl FromStr for Sampler {
    type Err = Error;

    /// # Errors
    /// [`Error::Unsupported`] for schedulers that exist but are not defined for flow matching or not implemented, [`Error::Input`] for
    /// other names.
    fn from_str(name: &str) -> Result<Self> {
        let plain = name.trim().to_lowercase().replace(['_', '-'], " ");
        let words: Vec<&str> = plain.split_whitespace().collect();
        let (spacing, words) = match words.split_last() {
            Some((&last, rest)) if !rest.is_empty() => spacing(last).map_or((None, &words[..]), |spacing| (Some(spacing), rest)),
            _ => (None, &words[..]),
        };
        match words.join(" ").as_str() {
            "default" => Ok(Self { scheduler: None, spacing }),
            plain => Ok(Self { scheduler: Some(scheduler(plain, name)?), spacing }),
        }
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
    match plain {
        "unipc" | "unipc 2m" | "unipcmultistepscheduler" => Ok(Scheduler::UniPc),
        "unipc 3m" => Ok(Scheduler::UniPc3M),
        "dpm++" | "dpm++ 2m" | "dpmsolvermultistepscheduler" => Ok(Scheduler::DpmPp2M),
        "dpm++ 2m sde" => Ok(Scheduler::DpmPp2MSde),
        "dpm++ 3m" => Ok(Scheduler::DpmPp3M),
        "dpm++ sde" | "dpmsolversdescheduler" => Ok(Scheduler::DpmPpSde),
        "euler" | "flowmatcheulerdiscretescheduler" | "eulerdiscretescheduler" => Ok(Scheduler::Euler),
        "ddim" | "ddimscheduler" => Ok(Scheduler::Euler),
        "euler a" | "euler ancestral" | "ltxeulerancestralrfscheduler" | "eulerancestraldiscretescheduler" => Ok(Scheduler::EulerAncestral),
        "heun" | "flowmatchheundiscretescheduler" | "heundiscretescheduler" => Ok(Scheduler::Heun),
        "lms" | "lmsdiscretescheduler" => Ok(Scheduler::Lms),
        "deis" | "deismultistepscheduler" => Ok(Scheduler::Deis),
        "ipndm" | "ipndmscheduler" => Ok(Scheduler::Ipndm),
        "lcm" | "lcmscheduler" | "flowmatchlcmscheduler" => Ok(Scheduler::Lcm),
        "tcd" | "tcdscheduler" => Ok(Scheduler::Tcd),
        "ddpm"
        | "ddpmscheduler"
        | "pndm"
        | "pndmscheduler"
        | "kdpm2discretescheduler"
        | "kdpm2ancestraldiscretescheduler"
        | "edmeulerscheduler"
        | "edmdpmsolvermultistepscheduler"
        | "cosinedpmsolvermultistepscheduler"
        | "unclipscheduler"
        | "repaintscheduler"
        | "scoresdevescheduler"
        | "scoresdevpscheduler"
        | "vqdiffusionscheduler" => Err(Error::Unsupported(format!("scheduler `{name}`: not defined for flow matching"))),
        "dpm++ 3m sde" | "dpmsolversinglestepscheduler" | "sasolverscheduler" => {
            Err(Error::Unsupported(format!("scheduler `{name}`: not implemented")))
        }
        _ => Err(Error::Input(format!(
            "unknown scheduler `{name}`: choose default, unipc, unipc 3m, dpm++ 2m, dpm++ 3m, dpm++ 2m sde, dpm++ sde, euler, euler a, heun, \
             lms, deis, ipndm, lcm, tcd or ddim, if you like with uniform, karras, exponential or beta behind"
        ))),
    }
}
