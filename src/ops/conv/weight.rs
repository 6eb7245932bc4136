//! Weights of convolutions, in the order in which the kernels of a family read them.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Arg, Family, Sink, Tensor, arena::bytes_of};
use crate::ops::operand::operand_dtype;

/// Makes the values of a weight.
pub type ReadValues<'a> = dyn Fn() -> Result<Vec<f32>> + 'a;

/// Weights of a convolution on the GPU.
#[derive(Clone, Debug)]
pub struct ConvWeight {
    /// [out channels, taps * in channels]; for [`Family::Sg`] [tiles * taps * in channels in fours, channels of a tile].
    weight: Tensor,
    family: Family,
    kernel: [usize; 3],
    in_channels: usize,
    out_channels: usize,
}

impl ConvWeight {
    /// See [`ConvWeight::upload`]; for a given family.
    pub(super) fn upload_for(
        family: Family,
        sink: &dyn Sink,
        label: &str,
        shape: [usize; 5],
        dtype: DType,
        read: &ReadValues,
    ) -> Result<Self> {
        let [out_channels, in_channels, t, h, w] = shape;
        let (taps, dtype, count) = (t * h * w, operand_dtype(dtype, in_channels), shape.iter().product::<usize>());
        if count == 0 {
            return Err(Error::Input(format!("`{label}`: no values for {shape:?}")));
        }
        let (size, order): ([usize; 2], Order) = match family {
            Family::Sg => (tiles(out_channels, in_channels, taps), in_tiles),
            _ => ([out_channels, taps * in_channels], in_rows),
        };
        let read = || match read()? {
            values if values.len() == count => Ok(dtype.store(&order(out_channels, in_channels, taps, &values)).into()),
            values => Err(Error::Input(format!("`{label}`: {} values for {shape:?}", values.len()))),
        };
        let weight = sink.read(label, &size, dtype, bytes_of(&size, dtype)?, &read)?;
        Ok(Self { weight, family, kernel: [t, h, w], in_channels, out_channels })
    }

    /// Out channels.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// In channels.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Extent in time, height and width.
    pub fn kernel(&self) -> [usize; 3] {
        self.kernel
    }

    /// The kernels that read it.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Products that make one number of the result.
    pub(super) fn depth(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.in_channels
    }

    pub(super) fn arg(&self) -> Arg<'_> {
        match self.family {
            Family::Sg => Arg::rows(&self.weight),
            Family::Coop => Arg::halves(&self.weight),
            _ => Arg::aligned(&self.weight, self.in_channels.is_multiple_of(4)),
        }
    }
}

/// Channels that all lanes of a subgroup make at once.
pub(super) const CHANNELS: usize = 4 * Family::SG_LANES as usize;

/// Channels of a tile: 96, 64 or 32, where they leave the least over; of fewer than 17 channels 16, 8 or 4.
pub(super) fn tile_channels(out_channels: usize) -> usize {
    if out_channels <= CHANNELS / 2 {
        return out_channels.next_power_of_two().max(4);
    }
    let tiles = [3 * CHANNELS, 2 * CHANNELS, CHANNELS];
    tiles.into_iter().min_by_key(|&tile| out_channels.next_multiple_of(tile)).unwrap_or(CHANNELS)
}

/// From [out, in, taps], given by these three, to the order of a family.
type Order = fn(usize, usize, usize, &[f32]) -> Vec<f32>;

/// [out, taps, in], so that the channels of a pixel lie together.
fn in_rows(_out: usize, inner: usize, taps: usize, values: &[f32]) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(values.len());
    for row in values.chunks(inner * taps) {
        for tap in 0..taps {
            ordered.extend((0..inner).map(|channel| row[channel * taps + tap]));
        }
    }
    ordered
}

/// The extents of what [`in_tiles`] makes.
fn tiles(out: usize, inner: usize, taps: usize) -> [usize; 2] {
    let width = tile_channels(out);
    [out.div_ceil(width) * taps * inner.next_multiple_of(4), width]
}

/// [tile, tap, in, out within the tile], with zeros up to a multiple of four in channels and whole tiles.
fn in_tiles(out: usize, inner: usize, taps: usize, values: &[f32]) -> Vec<f32> {
    let ([rows, width], depth) = (tiles(out, inner, taps), inner.next_multiple_of(4));
    let mut ordered = vec![0.0; rows * width];
    for (row, kernels) in values.chunks(inner * taps).enumerate() {
        for (channel, kernel) in kernels.chunks(taps).enumerate() {
            for (tap, &value) in kernel.iter().enumerate() {
                ordered[((row / width * taps + tap) * depth + channel) * width + row % width] = value;
            }
        }
    }
    ordered
}
