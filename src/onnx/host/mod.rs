//! The operators on the host: what they take, and the code that tells the shapes of their results and computes them.

mod binary;
mod conv;
mod einsum;
mod elements;
mod finish;
mod fused;
mod index;
mod layout;
mod make;
mod matmul;
mod normalize;
mod phases;
mod pieces;
mod pool;
mod reduce;
pub(super) mod resize;
mod select;
mod unary;
pub(super) mod window;

use std::ops::RangeInclusive;

use super::call::{Call, Outputs};
use super::fault::wrong;

pub(super) struct Operator {
    name: &'static str,
    /// How many inputs it may have.
    pub(super) inputs: RangeInclusive<usize>,
    /// Which attributes it may have: another one might change what it means.
    pub(super) attributes: &'static [&'static str],
    apply: for<'a> fn(&Call<'a>) -> Outputs<'a>,
    /// Whether its work may be out of proportion to what it takes and makes.
    pub(super) is_heavy: bool,
}

/// The most inputs of operators that take any number.
const ANY: usize = 1 << 12;

/// Of versions before 7: since then there is no other way.
const BROADCAST: &[&str] = &["axis", "broadcast"];
const WINDOW: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides", "count_include_pad", "p", "storage_order"];
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const ARG: &[&str] = &["axis", "keepdims", "select_last_index"];
const RESIZE: &[&str] = &[
    "antialias",
    "axes",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "keep_aspect_ratio_policy",
    "mode",
    "nearest_mode",
    "scales",
];

macro_rules! operators {
    ($($apply:path, $inputs:expr, $attributes:expr, $heavy:expr => $($name:literal)+;)+) => {
        &[$($(Operator { name: $name, inputs: $inputs, attributes: $attributes, apply: $apply, is_heavy: $heavy },)+)+]
    };
}

#[rustfmt::skip]
const OPERATORS: &[Operator] = operators! {
    unary::map, 1..=1, &[], false => "Ceil" "Floor" "Round" "Sqrt" "Exp" "Log" "Reciprocal" "Erf" "Sin" "Cos" "Tan" "Asin" "Acos" "Atan" "Sinh" "Cosh"
        "Asinh" "Acosh" "Atanh" "Tanh" "Sigmoid" "Softplus" "Softsign" "HardSwish" "Mish";
    unary::map, 1..=1, &["alpha"], false => "LeakyRelu" "Elu" "Celu" "ThresholdedRelu" "Swish";
    unary::map, 1..=1, &["alpha", "beta"], false => "HardSigmoid";
    unary::map, 1..=1, &["alpha", "gamma"], false => "Selu";
    unary::map, 1..=1, &["bias", "lambd"], false => "Shrink";
    unary::map, 1..=1, &["approximate"], false => "Gelu";
    unary::map_any, 1..=1, &[], false => "Abs" "Neg" "Sign" "Relu";
    unary::not, 1..=1, &[], false => "Not";
    unary::is_special, 1..=1, &["detect_negative", "detect_positive"], false => "IsInf" "IsNaN";
    unary::clip, 1..=3, &["min", "max"], false => "Clip";
    binary::arithmetic, 2..=2, BROADCAST, false => "Add" "Sub" "Mul" "Div";
    binary::arithmetic, 2..=2, &["fmod"], false => "Mod";
    binary::power, 2..=2, BROADCAST, false => "Pow";
    binary::compare, 2..=2, BROADCAST, false => "Equal" "Less" "LessOrEqual" "Greater" "GreaterOrEqual";
    binary::connect, 2..=2, BROADCAST, false => "And" "Or" "Xor";
    binary::prelu, 2..=2, &[], false => "PRelu";
    binary::variadic, 1..=ANY, &[], false => "Max" "Min" "Sum" "Mean";
    binary::select, 3..=3, &[], false => "Where";
    conv::conv, 2..=3, CONV, true => "Conv";
    conv::conv_transpose, 2..=3, CONV, true => "ConvTranspose";
    einsum::einsum, 1..=ANY, &["equation"], true => "Einsum";
    index::gather, 2..=2, &["axis"], false => "Gather";
    index::gather_elements, 2..=2, &["axis"], false => "GatherElements";
    index::gather_nd, 2..=2, &["batch_dims"], false => "GatherND";
    index::scatter_elements, 3..=3, &["axis", "reduction"], false => "ScatterElements" "Scatter";
    index::scatter_nd, 3..=3, &["reduction"], false => "ScatterND";
    layout::identity, 1..=1, &[], false => "Identity";
    layout::reshape, 1..=2, &["allowzero", "shape"], false => "Reshape";
    layout::flatten, 1..=1, &["axis"], false => "Flatten";
    layout::squeeze, 1..=2, &["axes"], false => "Squeeze";
    layout::unsqueeze, 1..=2, &["axes"], false => "Unsqueeze";
    layout::transpose, 1..=1, &["perm"], false => "Transpose";
    layout::depth_to_space, 1..=1, &["blocksize", "mode"], false => "DepthToSpace";
    layout::space_to_depth, 1..=1, &["blocksize", "mode"], false => "SpaceToDepth";
    make::shape, 1..=1, &["start", "end"], false => "Shape";
    make::size, 1..=1, &[], false => "Size";
    make::constant_of_shape, 1..=1, &["value"], false => "ConstantOfShape";
    make::range, 3..=3, &[], false => "Range";
    make::cast, 1..=1, &["to", "saturate", "round_mode"], false => "Cast";
    make::cast_like, 2..=2, &["saturate", "round_mode"], false => "CastLike";
    make::dropout, 1..=3, &["is_test", "ratio", "seed"], false => "Dropout";
    make::eye_like, 1..=1, &["dtype", "k"], false => "EyeLike";
    make::trilu, 1..=2, &["upper"], false => "Trilu";
    make::one_hot, 3..=3, &["axis"], false => "OneHot";
    matmul::matmul, 2..=2, &[], true => "MatMul";
    matmul::gemm, 2..=3, &["alpha", "beta", "broadcast", "transA", "transB"], true => "Gemm";
    normalize::softmax, 1..=1, &["axis"], false => "Softmax" "LogSoftmax" "Hardmax";
    normalize::lp, 1..=1, &["axis", "p"], false => "LpNormalization";
    normalize::layer, 2..=3, &["axis", "epsilon", "stash_type"], false => "LayerNormalization" "RMSNormalization";
    normalize::batch, 5..=5, &["epsilon", "is_test", "momentum", "spatial", "training_mode"], false => "BatchNormalization";
    normalize::groups, 3..=3, &["epsilon", "num_groups", "stash_type"], false => "InstanceNormalization" "GroupNormalization";
    pieces::concat, 1..=ANY, &["axis"], false => "Concat";
    pieces::split, 1..=2, &["axis", "num_outputs", "split"], false => "Split";
    pieces::slice, 1..=5, &["axes", "ends", "starts"], false => "Slice";
    pieces::expand, 2..=2, &[], false => "Expand";
    pieces::tile, 2..=2, &[], false => "Tile";
    pieces::pad, 1..=4, &["mode", "pads", "value"], false => "Pad";
    pool::max, 1..=1, WINDOW, true => "MaxPool" "GlobalMaxPool";
    pool::average, 1..=1, WINDOW, true => "AveragePool" "GlobalAveragePool";
    pool::norm, 1..=1, WINDOW, true => "LpPool" "GlobalLpPool";
    reduce::reduce, 1..=2, REDUCE, false => "ReduceSum" "ReduceMean" "ReduceMax" "ReduceMin" "ReduceProd" "ReduceL1" "ReduceL2" "ReduceSumSquare"
        "ReduceLogSum" "ReduceLogSumExp";
    reduce::arg, 1..=1, ARG, false => "ArgMax" "ArgMin";
    reduce::cumulative, 2..=2, &["exclusive", "reverse"], false => "CumSum";
    resize::resize, 1..=4, RESIZE, false => "Resize" "Upsample";
    select::top_k, 1..=2, &["axis", "k", "largest", "sorted"], false => "TopK";
    select::non_zero, 1..=1, &[], false => "NonZero";
    select::non_max_suppression, 2..=5, &["center_point_box"], true => "NonMaxSuppression";
};

/// Operators that fusions make; files cannot name them.
const FUSED: &[Operator] = operators! {
    fused::conv, 2..=5, CONV, true => "FusedConv";
    fused::linear, 3..=4, &[], true => "Linear";
    fused::scaled_dot_product, 3..=3, &["scale"], true => "ScaledDotProduct";
};

/// The operator of a name, be it one that fusions make.
pub(super) fn any_operator(name: &str) -> Option<&'static Operator> {
    operator(name).or_else(|| FUSED.iter().find(|operator| operator.name == name))
}

/// The operator that ONNX calls so.
pub(super) fn operator(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

impl Operator {
    /// What the operator gives: at least as many values as the node has names for.
    pub(super) fn apply<'a>(&self, call: &Call<'a>) -> Outputs<'a> {
        let outputs = (self.apply)(call)?;
        let wanted = call.node.outputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if wanted > outputs.len() {
            return wrong(format!("it has {wanted} outputs; {} are supported", outputs.len()));
        }
        Ok(outputs)
    }
}
