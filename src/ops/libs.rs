//! Shared functions of kernels, in `wgsl/lib`.

pub(crate) const ACTIVATION: &str = include_str!("../../wgsl/lib/activation.wgsl");
/// Needed by kernels that turn blocks on their way to workgroup memory.
pub(crate) const TURNED: &str = include_str!("../../wgsl/lib/turned.wgsl");
/// Needed by kernels that feed cooperative matrices with two operands.
pub(crate) const OPERAND_TILES: &str = include_str!("../../wgsl/lib/operand_tiles.wgsl");
pub(crate) const REDUCE: &str = include_str!("../../wgsl/lib/reduce.wgsl");
/// Bias, activation, gate and residual, on their way to the output.
pub(crate) const EPILOGUE: &str = include_str!("../../wgsl/lib/epilogue.wgsl");
/// Activation and residual of a convolution, on their way to the output.
pub(crate) const FINISH: &str = include_str!("../../wgsl/lib/finish.wgsl");
/// What taps of a convolution see.
pub(crate) const TAPS: &str = include_str!("../../wgsl/lib/taps.wgsl");
pub(crate) const ATTENTION: &str = include_str!("../../wgsl/lib/attention.wgsl");
pub(crate) const ATTENTION_BIAS: &str = include_str!("../../wgsl/lib/attention_bias.wgsl");
/// Needed by norms that divide by a row's root of the mean square.
pub(crate) const ROW_FACTOR: &str = include_str!("../../wgsl/lib/row_factor.wgsl");
/// Needed where scores go through workgroup memory.
pub(crate) const ATTENTION_WEIGHTS: &str = include_str!("../../wgsl/lib/attention_weights.wgsl");
pub(crate) const REDUCE_MAX: &str = include_str!("../../wgsl/lib/reduce_max.wgsl");
/// Needed by kernels that move windows over images.
pub(crate) const WINDOW: &str = include_str!("../../wgsl/lib/window.wgsl");
/// Needed by kernels that walk along axes with strides.
pub(crate) const WALK: &str = include_str!("../../wgsl/lib/walk.wgsl");
