//! Quantised numbers to floats, just before they are used.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::INDEX};
use crate::weights::{BlockFormat, Encoding};

pub static DEQUANTIZE: Kernel = Kernel {
    slots: &[
        Slot::read("stored", INDEX),
        Slot::read("scales", &[Element::Absent, Element::F32]),
        Slot::write("out", &[Element::F32x4, Element::F16x4]),
    ],
    variants: &[&[("FORMAT", &FORMATS), ("ROW_SCALES", &[0, 1]), ("F16_OUT", &[0, 1])]],
    ..Kernel::of("dequantize", include_str!("../../wgsl/dequantize.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, cols: u32, scale: f32 });

/// What numbers are multiplied with.
#[derive(Clone, Debug)]
pub enum Scales {
    /// All with one factor.
    One(f32),
    /// Each row with its own: `[rows]` in f32.
    Rows(Tensor),
}

/// All numbers that `wgsl/dequantize.wgsl` has for encodings.
const FORMATS: [u32; 3 + BlockFormat::ALL.len()] = {
    let mut formats = [0; 3 + BlockFormat::ALL.len()];
    let mut format = 0;
    while format < formats.len() {
        formats[format] = format as u32;
        format += 1;
    }
    formats
};

/// The number that `wgsl/dequantize.wgsl` has for an encoding; none where it cannot dequantize it.
fn format(encoding: Encoding) -> Option<u32> {
    Some(match encoding {
        Encoding::F8E4M3 => 0,
        Encoding::F8E5M2 => 1,
        Encoding::I8 => 2,
        Encoding::Block(block) => 3 + BlockFormat::ALL.iter().position(|known| *known == block)? as u32,
        _ => return None,
    })
}

/// Whether rows of `cols` numbers in this encoding can be dequantized: whole blocks, in vec4s.
pub fn can_dequantize(encoding: Encoding, cols: usize) -> bool {
    let unit = encoding.block().map_or(4, BlockFormat::elements);
    format(encoding).is_some() && cols > 0 && cols.is_multiple_of(unit)
}

/// Rows [rows, cols] as `dtype`, f32 or f16 (rounded to the nearest, saturating), from their stored bytes, which `stored` holds as words.
pub fn dequantize(
    rec: &mut Recorder,
    stored: &Tensor,
    encoding: Encoding,
    [rows, cols]: [usize; 2],
    scales: &Scales,
    dtype: DType,
) -> Result<Tensor> {
    let format = format(encoding).filter(|_| can_dequantize(encoding, cols));
    let format = format.ok_or_else(|| Error::Unsupported(format!("dequantizing rows of {cols} numbers stored as {encoding}")))?;
    let bytes = encoding.bytes((rows * cols) as u64);
    if bytes.is_none_or(|bytes| bytes > stored.buffer_bytes()) {
        return Err(Error::Input(format!("{} bytes for {encoding} [{rows}, {cols}]", stored.buffer_bytes())));
    }
    let (scale, rows_scales) = match scales {
        Scales::One(scale) => (*scale, None),
        Scales::Rows(scales) if scales.len() == rows => (1.0, Some(scales)),
        Scales::Rows(scales) => return Err(Error::Input(format!("{} scales for {rows} rows", scales.len()))),
    };
    let out = rec.alloc(&[rows, cols], dtype)?;
    let params = Params { count: out.len() as u32, cols: cols as u32, scale };
    let constants = [("FORMAT", format), ("ROW_SCALES", u32::from(rows_scales.is_some())), ("F16_OUT", u32::from(dtype == DType::F16))];
    let args = [Arg::index(stored), rows_scales.map_or(Arg::ABSENT, Arg::scalar), Arg::flat(&out)];
    rec.dispatch(&DEQUANTIZE, &constants, &params, &args, out.len().div_ceil(1024), Cost::of(2.0 * out.len() as f64, &args))?;
    Ok(out)
}
