//! What is tested and timed: ops on given inputs, with results known within bounds, and ops that must refuse.

use std::sync::Arc;

use half::f16;
use wan_animate::Result;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::recorder::POISON;

use crate::approx::Approx;
use crate::host::Host;

/// An op on inputs that were sent: records it, anew with each call.
pub type Op = Box<dyn Fn(&mut Recorder) -> Result<Tensor>>;

/// Sends the inputs, weights among them.
pub type Prepare = Box<dyn Fn(&mut Recorder) -> Result<Op> + Send + Sync>;

/// An op on given inputs, and what must come out.
pub struct Case {
    pub name: String,
    pub prepare: Prepare,
    pub oracle: Box<dyn Fn() -> Vec<Approx> + Send + Sync>,
}

impl Case {
    pub fn new<const N: usize>(
        name: impl Into<String>,
        inputs: [&Host; N],
        run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static,
        oracle: impl Fn() -> Vec<Approx> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), prepare: sending(inputs, run), oracle: Box::new(oracle) }
    }

    /// One whose inputs are more than tensors of activations.
    pub fn prepared(
        name: impl Into<String>,
        prepare: impl Fn(&mut Recorder) -> Result<Op> + Send + Sync + 'static,
        oracle: impl Fn() -> Vec<Approx> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), prepare: Box::new(prepare), oracle: Box::new(oracle) }
    }

    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Sends the inputs and records the op.
    pub fn run(&self, rec: &mut Recorder) -> Result<Tensor> {
        (self.prepare)(rec)?(rec)
    }

    /// What is wrong with a result, if anything.
    pub fn fault(&self, got: &Output, exact: &[Approx]) -> Option<String> {
        if got.values.len() != exact.len() {
            return Some(format!("{}: {} values instead of {}", self.name, got.values.len(), exact.len()));
        }
        if got.behind.is_empty() || got.behind.iter().any(|&word| word != POISON) {
            return Some(format!("{}: a stray write", self.name));
        }
        if let Some(exact) = exact.iter().find(|exact| !exact.value.is_nan() && !exact.error.is_finite()) {
            return Some(format!("{}: anything would be near enough to {}", self.name, exact.value));
        }
        let stored = |exact: Approx| if got.dtype == DType::F16 { exact.as_f16() } else { exact };
        let mut values = got.values.iter().zip(exact).map(|(&got, &exact)| (got, stored(exact))).enumerate();
        let (i, (got, exact)) = values.find(|(_, (got, exact))| !exact.allows(*got))?;
        Some(format!("{}: element {i} is {got}, expected {} within {:e}", self.name, exact.value, exact.error))
    }
}

/// What sizes are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// A software driver is done with in milliseconds.
    Small,
    /// Of Wan's 14B transformer and its autoencoder at 480p and 720p.
    Wan,
}

impl Sizes {
    /// Tokens and numbers of each, of some activations.
    pub fn tokens(self) -> [usize; 2] {
        match self {
            Self::Small => [1024, 1536],
            Self::Wan => [32_760, 5120],
        }
    }

    /// What is timed in small sizes alone: nearly no time goes to it.
    pub fn small<const N: usize>(self, cases: impl FnOnce() -> [Case; N]) -> impl Iterator<Item = Case> {
        (self == Self::Small).then(cases).into_iter().flatten()
    }
}

/// An op that must refuse with a message that holds `says`.
pub struct Refusal {
    pub says: &'static str,
    pub prepare: Prepare,
}

impl Refusal {
    pub fn new<const N: usize>(
        says: &'static str,
        inputs: [&Host; N],
        run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self { says, prepare: sending(inputs, run) }
    }
}

pub fn op(run: impl Fn(&mut Recorder) -> Result<Tensor> + 'static) -> Result<Op> {
    Ok(Box::new(run))
}

fn sending<const N: usize>(
    inputs: [&Host; N],
    run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static,
) -> Prepare {
    let (inputs, run) = (inputs.map(Clone::clone), Arc::new(run));
    Box::new(move |rec| {
        let tensors = inputs.iter().map(|input| input.send(rec)).collect::<Result<Vec<_>>>()?;
        let run = run.clone();
        op(move |rec| run(rec, std::array::from_fn(|i| &tensors[i])))
    })
}

/// A downloaded tensor and what lies behind it in its buffer.
#[derive(Debug, PartialEq)]
pub struct Output {
    pub dtype: DType,
    pub values: Vec<f64>,
    /// From the next multiple of 16 bytes on: kernels may write whole vec4s.
    pub behind: Vec<u32>,
}

impl Output {
    pub fn download(rec: &mut Recorder, tensor: &Tensor) -> Result<Self> {
        let bytes = rec.download_buffer(tensor)?;
        let (data, _) = bytes.split_at(tensor.len() * tensor.dtype().bytes() as usize);
        let values = match tensor.dtype() {
            DType::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            _ => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        };
        let behind = bytemuck::pod_collect_to_vec(&bytes[data.len().next_multiple_of(16)..]);
        Ok(Self { dtype: tensor.dtype(), values, behind })
    }
}
