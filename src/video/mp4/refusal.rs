//! Why a file is not read here.

use crate::Error;

/// A file that others may read, for a reason, or one that nobody can.
pub(super) enum Refusal {
    Unsupported(String),
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// [`Refusal::Unsupported`] as what a function returns.
pub(super) fn unsupported<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(reason.into()))
}
