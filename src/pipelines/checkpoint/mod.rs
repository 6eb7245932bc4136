//! From where the parts of a checkpoint are to loaded networks, which do not change from then on and are shared by all generations.
//!
//! - [`source`]: where the parts are; [`recipe`]: what is to be loaded of them, and how.
//! - [`open`]: opens them in the layout of diffusers, of the official [`release`], or one by one.
//! - [`parts`]: what every pipeline has, with its [`transformer`], or two [`experts`]; prompts that were encoded before are [`texts`].
//! - [`rules`]: how images are prepared, by whose rules.

pub(crate) mod expert;
pub(crate) mod experts;
pub(crate) mod open;
pub(crate) mod parts;
pub(crate) mod recipe;
pub(crate) mod release;
pub(crate) mod rules;
pub(crate) mod source;
pub(crate) mod texts;
pub(crate) mod transformer;
