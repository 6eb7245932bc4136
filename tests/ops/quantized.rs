//! Quantised matrices that hold every code, and what they stand for.

use std::borrow::Cow;

use half::f16;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::unversioned::weights::{BlockFormat, Encoding, LowRank, Quantized};
use wan_animate::{Device, Result};

use crate::cases::dequantize::oracle::dequantize;
use crate::host::Host;

/// A way of storing numbers, with where the f16 scales of its blocks are.
pub type Form = (Encoding, &'static [usize]);

/// Those without blocks.
pub const PLAIN: [Form; 3] = [(Encoding::F8E4M3, &[]), (Encoding::F8E5M2, &[]), (Encoding::I8, &[])];

/// All that are dequantized on the GPU.
pub fn forms() -> impl Iterator<Item = Form> {
    PLAIN.into_iter().chain(BlockFormat::ALL.map(block))
}

pub fn block(block: BlockFormat) -> Form {
    (Encoding::Block(block), block.scales_at())
}

/// Zeros, the smallest and largest numbers below the normal range, the smallest normal one, and sizes up to the largest.
const HALVES: [u16; 13] = [0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x83ff, 0x3c00, 0xb555, 0x2e66, 0x7bff, 0xfbff, 0x1234];

#[derive(Clone, Debug)]
pub struct Stored {
    pub shape: [usize; 2],
    pub encoding: Encoding,
    pub bytes: Vec<u8>,
    pub scales: Vec<f32>,
    pub change: Option<LowRank>,
}

impl Stored {
    /// Every byte of a block takes every value within 256 blocks, and its scales go through [`HALVES`].
    pub fn new(form: (Encoding, &[usize]), shape: [usize; 2]) -> Self {
        Self::from(form, shape, 0)
    }

    /// The same from block `first` on.
    pub fn from((encoding, halves): (Encoding, &[usize]), shape: [usize; 2], first: usize) -> Self {
        let [rows, cols] = shape;
        let size = encoding.block().map_or(1, BlockFormat::bytes);
        let count = encoding.bytes((rows * cols) as u64).expect("whole blocks") as usize / size;
        let mut bytes = Vec::with_capacity(count * size);
        for block in first..first + count {
            let begin = bytes.len();
            bytes.extend((0..size).map(|at| ((block + block / 256 * 5 + at * 37) % 256) as u8));
            for (which, &at) in halves.iter().enumerate() {
                let half = HALVES[(block / HALVES.len().pow(which as u32)) % HALVES.len()];
                bytes[begin + at..][..2].copy_from_slice(&half.to_le_bytes());
            }
        }
        let is_number = |code: &u8| match encoding {
            Encoding::F8E4M3 => code & 0x7f != 0x7f,
            Encoding::F8E5M2 => code & 0x7f < 0x7c,
            _ => true,
        };
        let bytes = bytes.into_iter().map(|code| if is_number(&code) { code } else { 0 }).collect();
        Self { shape, encoding, bytes, scales: Vec::new(), change: None }
    }

    pub fn scaled(self, scales: &[f32]) -> Self {
        Self { scales: scales.to_vec(), ..self }
    }

    /// With a scale of its own for each row: of all sizes, of both signs, and zero.
    pub fn scaled_by_row(self) -> Self {
        let scale = |row: usize| match row % 5 {
            0 => 0.0,
            1 => 1.0e-30,
            odd => (row as f32 * 0.37 - 2.0) * 10f32.powi(odd as i32 - 3),
        };
        Self { scales: (0..self.shape[0]).map(scale).collect(), ..self }
    }

    pub fn changed(self, rank: usize) -> Self {
        let [rows, cols] = self.shape;
        let (up, down) = (Host::random(31, &[rows, rank], 0.5).values, Host::random(32, &[cols, rank], 0.5).values);
        Self { change: Some(LowRank { rank, up, down }), ..self }
    }

    pub fn upload(&self, device: &Device, dequantized: DType) -> Result<Matrix> {
        let Self { encoding, bytes, scales, change, .. } = self.clone();
        let quantized = Quantized { encoding, bytes: Cow::Owned(bytes), scales, change };
        Matrix::upload_quantized(device, "w", self.shape, quantized.form(), dequantized, &|| Ok(quantized.clone()))
    }

    /// The floats to the last bit, without the change: one rounding to f32, where f16 is wanted one more.
    pub fn floats(&self, dtype: DType) -> Host {
        let exact = dequantize(self.encoding, &self.bytes);
        let scale = |i: usize| f64::from(*self.scales.get(i / self.shape[1]).or(self.scales.first()).unwrap_or(&1.0));
        let value = |i: usize| {
            let value = (exact[i] * scale(i)) as f32;
            if dtype == DType::F16 { f16::from_f32(value.clamp(-65504.0, 65504.0)).to_f32() } else { value }
        };
        Host { dtype, ..Host::new(&self.shape, value) }
    }
}

/// All runs of a matrix as one tensor.
pub fn dequantized(rec: &mut Recorder, matrix: &Matrix, dtype: DType) -> Result<wan_animate::unversioned::gpu::Tensor> {
    let out = rec.alloc(&[matrix.rows(), matrix.cols()], dtype)?;
    matrix.for_each_run(rec, |rec, first, run| rec.copy(run, 0, &out, first * run.cols(), run.len()))?;
    Ok(out)
}
