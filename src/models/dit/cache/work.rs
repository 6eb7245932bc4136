//! What a pass does about layers that may be reused, and about tokens that need not see all others.

use crate::cache::judge::Judge;
use crate::models::dit::radial::RadialAttention;

/// See the module. By default all layers are computed, and nothing is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work<'a> {
    /// Layers at the beginning and at the end that are always computed.
    pub ends: (usize, usize),
    /// The number of the pass, for those that extrapolate.
    pub number: usize,
    /// Of the polynomial by which residuals are extrapolated.
    pub order: usize,
    /// Whether what is kept may be needed by a later pass.
    pub keeps: bool,
    /// Whether the size of what layers add is compared with that in the pass before.
    pub measures: bool,
    /// What is done about the layers between.
    pub how: How<'a>,
    /// Which tokens see which, where not all see all.
    pub radial: Option<RadialAttention>,
}

/// How it is decided whether the layers between the ends are computed.
#[derive(Clone, Copy, Debug, Default)]
pub enum How<'a> {
    #[default]
    Compute,
    Reuse,
    /// By what the layers at the beginning did.
    Judge(&'a Judge),
}
