//! Two linear layers with an activation between them.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{linear::Linear, loader::Loader};
use crate::ops::Activation;

/// `fc2(activation(fc1(x)))`.
#[derive(Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    /// How what is between them is stored.
    hidden: DType,
}

impl Mlp {
    /// From `width` to `hidden` and back; `names` are those of the two layers.
    pub fn load(loader: &Loader, names: [&str; 2], [width, hidden]: [usize; 2], activation: Activation) -> Result<Self> {
        Ok(Self {
            fc1: Linear::load(loader, names[0], width, hidden)?,
            fc2: Linear::load(&loader.with_precision(loader.precision().of_floats()), names[1], hidden, width)?,
            activation,
            hidden: loader.precision().operand(),
        })
    }

    /// residual + gate * mlp(x [L, C]), in f32. The gate is `[C]`, or 1 where left out.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, gate: Option<&Tensor>, residual: &Tensor) -> Result<Tensor> {
        let hidden = self.fc1.forward_activated(rec, x, self.activation, self.hidden)?;
        self.fc2.forward_residual(rec, &hidden, gate, residual)
    }
}
