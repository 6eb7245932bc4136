//! What a session keeps of the work of layers, so that a pass can reuse it in place of them.
//!
//! It is their [residual](residual): what they added to the tokens. The [work] of a pass says whether they are computed, and whether what they
//! did may be needed later.

pub mod layer_cache;
pub mod parked;
pub mod residual;
pub mod work;
