//! Weight matrices on the GPU: as floats, or quantised as they are in their file.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::largest_buffer;
use crate::gpu::{Recorder, Sink};
use crate::ops::epilogue::Epilogue;
use crate::ops::expand::{Scales, expand, is_expandable};
use crate::ops::product::call::Product;
use crate::tensor::Tensor;
use crate::weights::{Encoding, Quantized};

/// Bytes that rows of a quantised matrix may take while they are floats, unless four rows take more.
pub const SCRATCH_BYTES: u64 = 64 << 20;

/// A weight matrix [rows, cols] on the GPU, out features by in features as in a checkpoint, cut into runs of rows: where it is larger than
/// one binding may be, and where expanding more at once would take more than [`SCRATCH_BYTES`].
///
/// Quantised numbers stay as they are stored. They are expanded to floats, a run of rows at a time, in memory of the recorder's that the
/// next run takes again; LoRAs are added there, in f32 before anything is rounded.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Floats(Vec<Tensor>),
    Quantized { encoding: Encoding, expanded: DType, down: Option<Tensor>, runs: Vec<Run> },
}

/// Some rows of a quantised matrix.
#[derive(Clone, Debug)]
struct Run {
    rows: usize,
    /// Their bytes, as words.
    stored: Tensor,
    scales: Scales,
    /// [rows, rank]: times the matrix's `down` it is what LoRAs add.
    up: Option<Tensor>,
}

impl Matrix {
    /// Uploads `bytes`, the matrix in row-major order. 16-bit rows must be a multiple of four long.
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 2], dtype: DType, bytes: &[u8]) -> Result<Self> {
        let [rows, cols] = shape;
        let row_bytes = cols * dtype.bytes() as usize;
        if bytes.is_empty() || bytes.len() != rows * row_bytes {
            return Err(Error::Input(format!("`{label}`: {} bytes for {dtype} [{rows}, {cols}]", bytes.len())));
        }
        if dtype != DType::F32 && cols % 4 != 0 {
            return Err(Error::Unsupported(format!("`{label}`: {dtype} rows of {cols}, which is no multiple of four")));
        }
        let rows_a_run = rows_within(sink, label, row_bytes as u64)?;
        let runs = bytes
            .chunks(rows_a_run.min(rows) * row_bytes)
            .map(|chunk| sink.upload(label, &[chunk.len() / row_bytes, cols], dtype, chunk))
            .collect::<Result<_>>()?;
        Ok(Self { rows, cols, form: Form::Floats(runs) })
    }

    /// Uploads a matrix in its stored form, to be expanded to `expanded`: f32 or f16.
    pub fn upload_quantized(sink: &dyn Sink, label: &str, shape: [usize; 2], quantized: &Quantized, expanded: DType) -> Result<Self> {
        let ([rows, cols], Quantized { encoding, bytes, scales, change }) = (shape, quantized);
        let row_bytes = encoding.bytes(cols as u64).filter(|_| is_expandable(*encoding, cols));
        let row_bytes = row_bytes.ok_or_else(|| Error::Unsupported(format!("`{label}`: {encoding} rows of {cols}")))?;
        let fits = bytes.len() as u64 == rows as u64 * row_bytes && (scales.len() <= 1 || scales.len() == rows);
        if rows == 0 || !fits {
            return Err(Error::Input(format!("`{label}`: {} bytes, {} scales for {encoding} [{rows}, {cols}]", bytes.len(), scales.len())));
        }
        let floats = |dtype: DType| cols as u64 * dtype.bytes();
        // A changed run is there in f32 and in its final form.
        let scratch = floats(expanded) + change.as_ref().map_or(0, |_| floats(DType::F32));
        let most = rows_within(sink, label, row_bytes.max(floats(DType::F32)))?;
        let most = most.min((SCRATCH_BYTES / scratch) as usize & !3).max(4);
        let rows_a_run = rows.div_ceil(rows.div_ceil(most)).next_multiple_of(4);
        let upload = |shape: &[usize], values: &[f32]| sink.upload(label, shape, DType::F32, bytemuck::cast_slice(values));
        let run = |(first, bytes): (usize, &[u8])| {
            let count = bytes.len() / row_bytes as usize;
            Ok(Run {
                rows: count,
                stored: sink.upload_stored(label, bytes)?,
                scales: match &scales[..] {
                    [] => Scales::One(1.0),
                    [scale] => Scales::One(*scale),
                    scales => Scales::Rows(upload(&[count], &scales[first..][..count])?),
                },
                up: change
                    .as_ref()
                    .map(|change| upload(&[count, change.rank], &change.up[first * change.rank..][..count * change.rank]))
                    .transpose()?,
            })
        };
        let runs = (0..rows).step_by(rows_a_run).zip(bytes.chunks(rows_a_run * row_bytes as usize)).map(run).collect::<Result<_>>()?;
        let down = change.as_ref().map(|change| upload(&[cols, change.rank], &change.down)).transpose()?;
        Ok(Self { rows, cols, form: Form::Quantized { encoding: *encoding, expanded, down, runs } })
    }

    /// Out features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// In features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How its numbers are stored on the GPU.
    pub fn encoding(&self) -> Encoding {
        match &self.form {
            Form::Floats(runs) => runs[0].dtype().into(),
            Form::Quantized { encoding, .. } => *encoding,
        }
    }

    /// Calls `work` with each run of rows as floats and the number of its first row, in order.
    pub fn for_each_run(&self, rec: &mut Recorder, mut work: impl FnMut(&mut Recorder, usize, &Tensor) -> Result<()>) -> Result<()> {
        let mut first = 0;
        let mut next = |rec: &mut Recorder, run: &Tensor| {
            work(rec, first, run)?;
            first += run.rows();
            Ok(())
        };
        match &self.form {
            Form::Floats(runs) => runs.iter().try_for_each(|run| next(rec, run)),
            Form::Quantized { encoding, expanded, down, runs } => runs.iter().try_for_each(|run| {
                let run = run.expand(rec, *encoding, self.cols, down.as_ref(), *expanded)?;
                next(rec, &run)
            }),
        }
    }
}

impl Run {
    fn expand(&self, rec: &mut Recorder, encoding: Encoding, cols: usize, down: Option<&Tensor>, dtype: DType) -> Result<Tensor> {
        let shape = [self.rows, cols];
        let (Some(up), Some(down)) = (&self.up, down) else {
            return expand(rec, &self.stored, encoding, shape, &self.scales, dtype);
        };
        let base = expand(rec, &self.stored, encoding, shape, &self.scales, DType::F32)?;
        let out = rec.alloc(&shape, dtype)?;
        let epilogue = Epilogue { residual: Some(&base), ..Default::default() };
        Product { x: up, w: down, first: 0, epilogue, out: &out }.record(rec)?;
        Ok(out)
    }
}

/// How many rows, a multiple of four, there may be in one buffer.
fn rows_within(sink: &dyn Sink, label: &str, row_bytes: u64) -> Result<usize> {
    let most = largest_buffer(&sink.device());
    match (most / row_bytes) as usize & !3 {
        0 => Err(Error::Limits(format!("`{label}`: four rows of {row_bytes} bytes are past the limit of {most} a binding"))),
        rows => Ok(rows),
    }
}
