//! Weight matrices on the GPU: as floats, or quantised as they are in their file.

use std::cell::OnceCell;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Sink, Tensor, arena::largest_buffer, recorder::Read};
use crate::ops::dequantize::{Scales, can_dequantize, dequantize};
use crate::ops::{epilogue::Epilogue, gemm::call::Gemm};
use crate::weights::{encoding::Encoding, quantized::Quantized, quantized::QuantizedForm};

/// Bytes that rows of a quantised matrix may take while they are floats, unless four rows take more.
pub const SCRATCH_BYTES: u64 = 64 << 20;

/// A weight matrix [rows, cols] on the GPU, out features by in features as in a checkpoint, cut into runs of rows: where it is larger than
/// one binding may be, and where dequantizing more at once would take more than [`SCRATCH_BYTES`].
///
/// Quantised numbers stay as they are stored. They are dequantized to floats, a run of rows at a time, in memory of the recorder's that the
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
    Quantized { encoding: Encoding, dequantized: DType, down: Option<Tensor>, runs: Vec<RowRun> },
}

/// Some rows of a quantised matrix.
#[derive(Clone, Debug)]
struct RowRun {
    rows: usize,
    /// Their bytes, as words.
    stored: Tensor,
    scales: Scales,
    /// [rows, rank]: times the matrix's `down` it is what LoRAs add.
    up: Option<Tensor>,
}

impl Matrix {
    /// Uploads the bytes that `read` gives, the matrix in row-major order. 16-bit rows must be a multiple of four long.
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 2], dtype: DType, read: &Read) -> Result<Self> {
        let [rows, cols] = shape;
        let row_bytes = cols * dtype.bytes() as usize;
        if rows * cols == 0 {
            return Err(Error::Input(format!("`{label}`: 0 bytes for {dtype} [{rows}, {cols}]")));
        }
        if dtype != DType::F32 && cols % 4 != 0 {
            return Err(Error::Unsupported(format!("`{label}`: {dtype} rows of {cols}, which is no multiple of four")));
        }
        let rows_a_run = rows_within(sink, label, row_bytes as u64)?;
        let whole = OnceCell::new();
        let whole = || match once(&whole, read)? {
            bytes if bytes.len() == rows * row_bytes => Ok(bytes),
            bytes => Err(Error::Input(format!("`{label}`: {} bytes for {dtype} [{rows}, {cols}]", bytes.len()))),
        };
        let run = |first: usize| {
            let count = rows_a_run.min(rows - first);
            let size = count * row_bytes;
            sink.take(label, &[count, cols], dtype, size as u64, &|| Ok(whole()?[first * row_bytes..][..size].into()))
        };
        Ok(Self { rows, cols, form: Form::Floats((0..rows).step_by(rows_a_run).map(run).collect::<Result<_>>()?) })
    }

    /// Uploads a matrix in its stored form, which `read` gives, to be dequantized to `dequantized`: f32 or f16.
    pub fn upload_quantized<'a>(
        sink: &dyn Sink,
        label: &str,
        shape: [usize; 2],
        form: QuantizedForm,
        dequantized: DType,
        read: &dyn Fn() -> Result<Quantized<'a>>,
    ) -> Result<Self> {
        let ([rows, cols], QuantizedForm { encoding, scales, rank }) = (shape, form);
        let row_bytes = encoding.bytes(cols as u64).filter(|_| rows > 0 && can_dequantize(encoding, cols));
        let row_bytes = row_bytes.ok_or_else(|| Error::Unsupported(format!("`{label}`: {rows} {encoding} rows of {cols}")))? as usize;
        let whole = OnceCell::new();
        let read = || match once(&whole, read)? {
            whole if whole.bytes.len() == rows * row_bytes && whole.form() == form && (scales <= 1 || scales == rows) => Ok(whole),
            whole => Err(Error::Input(format!("`{label}`: {} bytes, {scales} scales for {encoding} [{rows}, {cols}]", whole.bytes.len()))),
        };
        let change = || Ok::<_, Error>(read()?.change.as_ref().map_or((&[][..], &[][..]), |change| (&change.up[..], &change.down[..])));
        let floats =
            |shape: &[usize], values: &Read| sink.take(label, shape, DType::F32, 4 * shape.iter().product::<usize>() as u64, values);
        let rows_a_run = rows_of_a_run(sink, label, shape, row_bytes as u64, dequantized, rank.is_some())?;
        let run = |first: usize| {
            let count = rows_a_run.min(rows - first);
            let (at, size) = (first * row_bytes, count * row_bytes);
            let stored = sink.take(label, &[size.div_ceil(4)], DType::F32, size as u64, &|| Ok(read()?.bytes[at..][..size].into()))?;
            let scales = match scales {
                // Where nothing was read, nothing is dequantized either.
                0 | 1 => Scales::One(whole.get().and_then(|whole| whole.scales.first().copied()).unwrap_or(1.0)),
                _ => Scales::Rows(floats(&[count], &|| Ok(bytemuck::cast_slice(&read()?.scales[first..][..count]).into()))?),
            };
            let up = |rank| floats(&[count, rank], &|| Ok(bytemuck::cast_slice(&change()?.0[first * rank..][..count * rank]).into()));
            Ok(RowRun { rows: count, stored, scales, up: rank.map(up).transpose()? })
        };
        let runs = (0..rows).step_by(rows_a_run).map(run).collect::<Result<_>>()?;
        let down = rank.map(|rank| floats(&[cols, rank], &|| Ok(bytemuck::cast_slice(change()?.1).into()))).transpose()?;
        Ok(Self { rows, cols, form: Form::Quantized { encoding, dequantized, down, runs } })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

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
            Form::Quantized { encoding, dequantized, down, runs } => runs.iter().try_for_each(|run| {
                let run = run.dequantize(rec, *encoding, self.cols, down.as_ref(), *dequantized)?;
                next(rec, &run)
            }),
        }
    }
}

impl RowRun {
    fn dequantize(&self, rec: &mut Recorder, encoding: Encoding, cols: usize, down: Option<&Tensor>, dtype: DType) -> Result<Tensor> {
        let shape = [self.rows, cols];
        let (Some(up), Some(down)) = (&self.up, down) else {
            return dequantize(rec, &self.stored, encoding, shape, &self.scales, dtype);
        };
        let base = dequantize(rec, &self.stored, encoding, shape, &self.scales, DType::F32)?;
        let out = rec.alloc(&shape, dtype)?;
        let epilogue = Epilogue { residual: Some(&base), ..Default::default() };
        Gemm { x: up, w: down, first: 0, epilogue, out: &out }.record(rec)?;
        Ok(out)
    }
}

/// What was made already, or is now.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if cell.get().is_none() {
        let made = make()?;
        return Ok(cell.get_or_init(|| made));
    }
    Ok(cell.get().expect("it was just there"))
}

/// How many rows of a quantised matrix are one run.
fn rows_of_a_run(
    sink: &dyn Sink,
    label: &str,
    [rows, cols]: [usize; 2],
    row_bytes: u64,
    dequantized: DType,
    changed: bool,
) -> Result<usize> {
    let floats = |dtype: DType| cols as u64 * dtype.bytes();
    // A changed run is there in f32 and in its final form.
    let scratch = floats(dequantized) + if changed { floats(DType::F32) } else { 0 };
    let most = rows_within(sink, label, row_bytes.max(floats(DType::F32)))?;
    let most = most.min((SCRATCH_BYTES / scratch) as usize & !3).max(4);
    Ok(rows.div_ceil(rows.div_ceil(most)).next_multiple_of(4))
}

/// How many rows, a multiple of four, there may be in one buffer.
fn rows_within(sink: &dyn Sink, label: &str, row_bytes: u64) -> Result<usize> {
    let most = sink.device().map_or(u64::MAX, |device| largest_buffer(&device));
    match (most / row_bytes) as usize & !3 {
        0 => {
            let message = format!("`{label}`: four rows of {row_bytes} bytes are past the limit of {most} a binding");
            Err(Error::memory(row_bytes.saturating_mul(4), most, message))
        }
        rows => Ok(rows),
    }
}
