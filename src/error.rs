//! The one error type, its variants named by whose fault it is and so by who can mend it.

use std::path::{Path, PathBuf};

/// What every fallible function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed. The message says what was wrong, where, and what to do.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The GPU, its driver or the lack of one: no adapter, an unknown adapter name, a lost device.
    #[error("device: {0}")]
    Device(String),
    /// A checkpoint file is damaged, incomplete, or not what its configuration says.
    #[error("weights: {}{}: {message}", file.display(), tensor.as_ref().map(|t| format!(": tensor `{t}`")).unwrap_or_default())]
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
    #[error("limits: {0}")]
    Limits(String),
    /// A valid request that this version of the crate cannot serve.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The caller's [`Cancel`](crate::Cancel) was set.
    #[error("cancelled")]
    Cancelled,
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// A fault of a whole checkpoint file.
    pub(crate) fn weights(file: &Path, message: impl Into<String>) -> Self {
        Self::Weights { file: file.into(), tensor: None, message: message.into() }
    }

    /// A fault of one tensor in a checkpoint file.
    pub(crate) fn tensor(file: &Path, tensor: &str, message: impl Into<String>) -> Self {
        Self::Weights { file: file.into(), tensor: Some(tensor.into()), message: message.into() }
    }

    /// For `map_err`: adds the path that an I/O error lacks.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }
}
