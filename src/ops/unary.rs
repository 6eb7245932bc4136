//! Functions of one element that stand alone: what other ops do on the way is [`Activation`](crate::ops::Activation).

use crate::error::Result;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::params};

const FLAT: &[Element] = &[Element::F32x4];

pub static UNARY: Kernel = Kernel {
    slots: &[Slot::read("x", FLAT), Slot::write("out", FLAT)],
    variants: &[&[("ACT", &[0]), ("FUNCTION", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])]],
    ..Kernel::of("unary", include_str!("../../wgsl/unary.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, a: f32, b: f32 });

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// Hyperbolic tangent
    Tanh,
    /// e^x
    Exp,
    /// Square root
    Sqrt,
    /// The error function
    Erf,
    /// log(1 + e^x)
    Softplus,
    /// x * tanh(softplus(x))
    Mish,
    /// |x|
    Abs,
    /// 1 / x
    Reciprocal,
    /// x held between two bounds
    Clip(f32, f32),
    /// x where it is positive, else this times x
    LeakyRelu(f32),
    /// a x + b, from 0 to 1
    HardSigmoid(f32, f32),
    /// a x + b
    Affine(f32, f32),
}

impl Function {
    /// Its number in the kernel, and its settings.
    fn code(self) -> (u32, f32, f32) {
        match self {
            Self::Tanh => (0, 0.0, 0.0),
            Self::Exp => (1, 0.0, 0.0),
            Self::Sqrt => (2, 0.0, 0.0),
            Self::Erf => (3, 0.0, 0.0),
            Self::Softplus => (4, 0.0, 0.0),
            Self::Mish => (5, 0.0, 0.0),
            Self::Abs => (6, 0.0, 0.0),
            Self::Reciprocal => (7, 0.0, 0.0),
            Self::Clip(low, high) => (8, low, high),
            Self::LeakyRelu(slope) => (9, slope, 0.0),
            Self::HardSigmoid(a, b) => (10, a, b),
            Self::Affine(a, b) => (11, a, b),
        }
    }
}

/// The function of each element, in f32.
pub fn unary(rec: &mut Recorder, x: &Tensor, function: Function) -> Result<Tensor> {
    let out = rec.alloc(x.shape(), crate::dtype::DType::F32)?;
    let (code, a, b) = function.code();
    let params = Params { count: x.len() as u32, a, b };
    let args = [Arg::flat(x), Arg::flat(&out)];
    rec.dispatch(&UNARY, &[("ACT", 0), ("FUNCTION", code)], &params, &args, x.len().div_ceil(256), Cost::of(x.len() as f64, &args))?;
    Ok(out)
}
