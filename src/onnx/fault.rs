//! Why a node cannot be computed, before it is known which node of which file it is.

/// What is wrong with a node.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// It contradicts its operator's definition, or what it is given does.
    Wrong(String),
    /// A valid use of its operator that is not supported.
    Unsupported(String),
    /// What it computes, and be it only its shape, depends on elements that are not known yet.
    Unknown,
}

/// A graph that contradicts the definition.
pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wrong(message.into()))
}

/// A valid graph that is not supported.
pub(super) fn unsupported<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Unsupported(message.into()))
}
