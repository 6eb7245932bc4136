//! Which of two models a checkpoint of Animate-2 holds: their tensors have the same names and sizes.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// See [`Builder::variant`](crate::Builder::variant). Each has the defaults of its official release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Animate2Variant {
    /// 40 steps with a guidance scale of 3. `animate-2`.
    Base,
    /// 10 steps without guidance. `animate-2-distilled`.
    Distilled,
}

impl Animate2Variant {
    /// By the class of blocks that an index of diffusers names.
    pub(crate) fn of_blocks(class: &str) -> Option<Self> {
        match class {
            "WanAnimate2Blocks" => Some(Self::Base),
            "WanAnimate2DistilledBlocks" => Some(Self::Distilled),
            _ => None,
        }
    }

    pub(crate) fn steps(self) -> usize {
        match self {
            Self::Base => 40,
            Self::Distilled => 10,
        }
    }

    pub(crate) fn guidance_scale(self) -> f64 {
        match self {
            Self::Base => 3.0,
            Self::Distilled => 1.0,
        }
    }

    pub(crate) fn log_scale(self) -> f32 {
        match self {
            Self::Base => 0.0,
            Self::Distilled => -1.3,
        }
    }
}

impl fmt::Display for Animate2Variant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "animate-2",
            Self::Distilled => "animate-2-distilled",
        })
    }
}

crate::as_text::as_text!(Animate2Variant);

impl FromStr for Animate2Variant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "animate-2" => Ok(Self::Base),
            "animate-2-distilled" => Ok(Self::Distilled),
            _ => Err(Error::Input(format!("unknown variant `{name}`: choose animate-2 or animate-2-distilled"))),
        }
    }
}
