//! The one error type, its variants named by whose fault it is and so by who can mend it.

use std::path::{Path, PathBuf};

/// What every fallible function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an application's own code fails with.
type Foreign = Box<dyn std::error::Error + Send + Sync>;

/// Why something failed. The message says what was wrong, where, and what to do; variants, fields and [`code`](Self::code) are for programs.
///
/// ```
/// use wan_animate::Error;
///
/// fn advice(error: &Error) -> String {
///     match error {
///         Error::DeviceLost(_) => "resume on a new device".into(),
///         Error::Limits { smallest: Some(bytes), .. } => format!("set a budget of {bytes} bytes"),
///         error if error.is_retryable() => "try again later".into(),
///         error => error.to_string(),
///     }
/// }
/// assert_eq!(advice(&Error::Busy), "try again later");
/// ```
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The GPU, its driver or the lack of one: no adapter, an unknown adapter name, a refusal of the driver's.
    #[error("device: {0}")]
    Device(String),
    /// The GPU was lost: it was reset, unplugged, or its device destroyed. What was made on the device is gone; what is left of a
    /// generation, [`Generation::state`](crate::Generation::state), can be [resumed](crate::Request::resume) on a new one.
    #[error("device: {0}")]
    DeviceLost(String),
    /// A checkpoint file is damaged, incomplete, or not what its configuration says.
    #[error("weights: {}{}: {message}", file.display(), tensor.as_ref().map(|t| format!(": tensor `{t}`")).unwrap_or_default())]
    #[non_exhaustive]
    Weights {
        /// The file (or folder) at fault.
        file: PathBuf,
        /// The tensor at fault, where it is one.
        tensor: Option<String>,
        /// What is wrong with it.
        message: String,
    },
    /// A setting, an image or a video that the caller gave cannot be used.
    #[error("input: {0}")]
    Input(String),
    /// The request is fine but too large for this adapter or budget.
    #[error("limits: {message}")]
    #[non_exhaustive]
    Limits {
        /// Bytes that are needed, in all or in one buffer; `None` where they are not known, or it is not memory that is short.
        needed: Option<u64>,
        /// Bytes that there are, or that the budget, the limit or the adapter allows; `None` likewise.
        available: Option<u64>,
        /// The smallest [memory budget](crate::MemoryBudget) with which it can be done, where a smaller one was refused.
        smallest: Option<u64>,
        /// What is too large, and what to choose instead.
        message: String,
    },
    /// Another generation has the device, and this one was told not to wait for it.
    #[error("busy: another generation has this device: wait until it is over")]
    Busy,
    /// A valid request that this version of the crate cannot serve.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The caller's [`Cancel`](crate::Cancel) was set.
    #[error("cancelled")]
    Cancelled,
    /// The application's own code failed, such as its [`FrameSource`](crate::video::FrameSource), with the error that `source()` gives.
    /// Made by [`Error::foreign`].
    #[error("input: what the application gave failed")]
    Foreign(#[source] Foreign),
    /// The operating system refused to read or write a file.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said. The message has its words, so that it is no `source()`, which would say them again.
        error: std::io::Error,
    },
}

impl Error {
    /// The [error of an application's own](Self::Foreign), boxed or not: for `map_err`.
    pub fn foreign(error: impl Into<Foreign>) -> Self {
        Self::Foreign(error.into())
    }

    /// A short name of the variant that stays the same from version to version, for logs, metrics and protocols: `device`, `device-lost`,
    /// `weights`, `input`, `limits`, `busy`, `unsupported`, `cancelled`, `foreign` or `io`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Device(_) => "device",
            Self::DeviceLost(_) => "device-lost",
            Self::Weights { .. } => "weights",
            Self::Input(_) => "input",
            Self::Limits { .. } => "limits",
            Self::Busy => "busy",
            Self::Unsupported(_) => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Foreign(_) => "foreign",
            Self::Io { .. } => "io",
        }
    }

    /// Whether the caller's own [`Cancel`](crate::Cancel) is the reason, so that there is nothing to report.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Whether the same request may succeed another time: later ([`Busy`](Self::Busy)), or on a new device
    /// ([`DeviceLost`](Self::DeviceLost)). All other errors come again until something is changed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy | Self::DeviceLost(_))
    }

    /// A fault of a whole checkpoint file.
    pub(crate) fn weights(file: &Path, message: impl Into<String>) -> Self {
        Self::Weights { file: file.into(), tensor: None, message: message.into() }
    }

    /// A fault of one tensor in a checkpoint file.
    pub(crate) fn tensor(file: &Path, tensor: &str, message: impl Into<String>) -> Self {
        Self::Weights { file: file.into(), tensor: Some(tensor.into()), message: message.into() }
    }

    /// Too much of something, of which no bytes are known.
    pub(crate) fn limits(message: impl Into<String>) -> Self {
        Self::Limits { needed: None, available: None, smallest: None, message: message.into() }
    }

    /// Too many bytes.
    pub(crate) fn memory(needed: u64, available: u64, message: impl Into<String>) -> Self {
        Self::Limits { needed: Some(needed), available: Some(available), smallest: None, message: message.into() }
    }

    /// For `map_err`: adds the path that an I/O error lacks.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Io { path: path.into(), error }
    }
}
