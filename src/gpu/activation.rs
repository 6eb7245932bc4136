//! Functions of single elements, which several kernels apply on their way.

macro_rules! activations {
    ($($(#[$attribute:meta])* $name:ident = $number:literal, $formula:literal;)*) => {
        /// A function applied to each element.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Activation {
            $($(#[$attribute])* $name = $number,)*
        }

        impl Activation {
            /// In the order of their numbers.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$name),*];
        }

        /// What `// #import activate` names: the function of the constant ACT. `wgsl/lib/activation.wgsl` has what formulas share.
        pub(super) const ACTIVATE: &str = concat!(
            "fn activate(x: vec4<f32>) -> vec4<f32> {\n",
            $("    if (ACT == ", $number, "u) { return ", $formula, "; }\n",)*
            "    return x;\n}\n"
        );
    };
}

activations! {
    /// x
    #[default]
    None = 0, "x";
    /// x * sigmoid(x)
    Silu = 1, "x * sigmoid(x)";
    /// GELU by the tanh formula: 0.5 (1 + tanh y) is sigmoid(2 y), which keeps its precision where tanh y is near -1.
    GeluTanh = 2, "x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))";
    /// GELU by the error function
    GeluErf = 3, "0.5 * x * (1.0 + erf(x * 0.7071067811865476))";
    /// x * sigmoid(1.702 x)
    QuickGelu = 4, "x * sigmoid(1.702 * x)";
    /// sqrt(2) * (x if x > 0, else 0.2 x)
    ScaledLeakyRelu = 5, "select(0.2 * x, x, x > vec4<f32>(0.0)) * 1.4142135623730951";
    /// max(x, 0)
    Relu = 6, "max(x, vec4<f32>(0.0))";
    /// x within -1..=1
    HardTanh = 7, "hard_tanh(x)";
    /// x within 0..=6
    Relu6 = 8, "clamp(x, vec4<f32>(), vec4<f32>(6.0))";
    /// 1 / (1 + e^-x)
    Sigmoid = 9, "sigmoid(x)";
    /// x * (x / 6 + 1/2, within 0..=1)
    HardSwish = 10, "x * clamp(x / 6.0 + 0.5, vec4<f32>(), vec4<f32>(1.0))";
}

/// All values of the constant `ACT`.
pub(crate) const ACTIVATIONS: &[u32] = &{
    let mut numbers = [0; Activation::ALL.len()];
    let mut i = 0;
    while i < numbers.len() {
        numbers[i] = Activation::ALL[i] as u32;
        i += 1;
    }
    numbers
};

impl Activation {
    /// The function that the configurations of transformers call `name`; none where this crate does not have it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "linear" => Self::None,
            "silu" | "swish" => Self::Silu,
            "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Self::GeluTanh,
            "gelu" | "gelu_python" => Self::GeluErf,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}
