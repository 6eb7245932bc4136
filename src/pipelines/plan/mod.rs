//! What a generation will take, and what is to stay on the GPU so that it takes no more than it may.
//!
//! A plan is a dry run: the same code, on a copy of the pipeline on a [dry](crate::Device::dry) device, which knows tensors by their headers alone. So its
//! figures are those of the real run, and there is no second description of the models that could disagree with the first.
//!
//! A [`search`] tries arrangements of what stays on the GPU until what was [`rehearsed`] is within the budget, or it is a [`refusal`]. What
//! comes of it is a [`report`], by [`stage`]s; [`start`] begins a generation in the arrangement that was found.

pub(crate) mod refusal;
pub(crate) mod rehearsed;
pub(crate) mod report;
pub(crate) mod search;
pub(crate) mod stage;
pub(crate) mod start;
