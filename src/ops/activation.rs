//! Functions of single elements, which several kernels apply on their way.

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

/// A function applied to each element; the numbers are those of `wgsl/lib/activation.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// x
    #[default]
    None = 0,
    /// x * sigmoid(x)
    Silu = 1,
    /// GELU by the tanh formula
    GeluTanh = 2,
    /// GELU by the error function
    GeluErf = 3,
    /// x * sigmoid(1.702 x)
    QuickGelu = 4,
    /// sqrt(2) * (x if x > 0, else 0.2 x)
    ScaledLeakyRelu = 5,
    /// max(x, 0)
    Relu = 6,
    /// x within -1..=1
    HardTanh = 7,
    /// x within 0..=6
    Relu6 = 8,
    /// 1 / (1 + e^-x)
    Sigmoid = 9,
    /// x * (x / 6 + 1/2, within 0..=1)
    HardSwish = 10,
}

impl Activation {
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Silu,
        Self::GeluTanh,
        Self::GeluErf,
        Self::QuickGelu,
        Self::ScaledLeakyRelu,
        Self::Relu,
        Self::HardTanh,
        Self::Relu6,
        Self::Sigmoid,
        Self::HardSwish,
    ];

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
