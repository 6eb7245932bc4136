//! From a request to frames.
//!
//! - [`builder`]: a checkpoint folder to loaded [`parts`].
//! - [`request`]: the settings of one generation, their defaults and their validation.
//! - [`segments`]: which input frames each window reads and which frames it gives, as pure arithmetic.
//! - [`conditioning`]: what the model is shown beside the noise: reference, carried frames, background and mask.
//! - [`denoise`]: the loop over a scheduler's plan, one evaluation a call.
//! - [`generation`]: all of it as an iterator of [`Event`]s, a piece of work at a time.
