//! What is tested: ops on given inputs with results known within bounds, and ops that must refuse.

use half::f16;
use wan_animate::Result;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::recorder::POISON;

use crate::approx::Approx;
use crate::host::Host;

/// Sends the inputs and records the op.
pub type Run = Box<dyn Fn(&mut Recorder) -> Result<Tensor> + Send + Sync>;

/// An op on given inputs, and what must come out.
pub struct Case {
    pub name: String,
    pub run: Run,
    pub oracle: Box<dyn Fn() -> Vec<Approx> + Send + Sync>,
}

impl Case {
    pub fn new<const N: usize>(
        name: impl Into<String>,
        inputs: [&Host; N],
        run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static,
        oracle: impl Fn() -> Vec<Approx> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), run: sending(inputs, run), oracle: Box::new(oracle) }
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

/// An op that must refuse with a message that holds `says`.
pub struct Refusal {
    pub says: &'static str,
    pub run: Run,
}

impl Refusal {
    pub fn new<const N: usize>(
        says: &'static str,
        inputs: [&Host; N],
        run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self { says, run: sending(inputs, run) }
    }
}

fn sending<const N: usize>(inputs: [&Host; N], run: impl Fn(&mut Recorder, [&Tensor; N]) -> Result<Tensor> + Send + Sync + 'static) -> Run {
    let inputs = inputs.map(Clone::clone);
    Box::new(move |rec| {
        let tensors = inputs.iter().map(|input| input.send(rec)).collect::<Result<Vec<_>>>()?;
        run(rec, std::array::from_fn(|i| &tensors[i]))
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
