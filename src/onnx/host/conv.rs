//! Convolutions and transposed convolutions, as products of matrices.

use super::window::Window;
use crate::linalg::exact_product;
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};

/// The most elements of windows brought together at a time.
const MAX_GATHERED: usize = 1 << 22;

/// What a convolution is of: extents without those that slide.
struct Extents {
    batch: usize,
    groups: usize,
    /// Channels of a group, in and out.
    channels: [usize; 2],
}

pub(super) fn conv<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, weight) = (call.floats_of_rank(0, 3)?, call.floats_of_rank(1, 3)?);
    let groups = groups(call)?;
    let (batch, out) = (x.shape[0], weight.shape[0]);
    if weight.rank() != x.rank() || x.shape[1] != weight.shape[1] * groups || !out.is_multiple_of(groups) {
        return wrong(format!("its weights {:?} in {groups} groups do not fit its input {:?}", weight.shape, x.shape));
    }
    let bias = call.floats_of_shape(2, &[out])?;
    let window = Window::of(call, &x.shape[2..], Some(&weight.shape[2..]), false)?;
    let extents = Extents { batch, groups, channels: [weight.shape[1], out / groups] };
    let shape = [&[batch, out], window.places().as_slice()].concat();
    Output::floats(shape, move || {
        let mut result = match extents.channels {
            [1, _] => depthwise(&extents, &window, x.f32()?, weight.f32()?),
            _ => grouped(&extents, &window, x.f32()?, weight.f32()?),
        };
        add_bias(&mut result, bias, out, window.axes.iter().map(|slide| slide.places).product())?;
        Ok(result)
    })
}

fn groups(call: &Call) -> Result<usize, Fault> {
    let groups = call.node.int_or("group", 1)?;
    usize::try_from(groups).ok().filter(|&groups| groups > 0).map_or_else(|| wrong(format!("it has {groups} groups")), Ok)
}

fn add_bias(result: &mut [f32], bias: Option<Fact>, channels: usize, places: usize) -> Result<(), Fault> {
    let Some(bias) = bias else { return Ok(()) };
    let bias = bias.f32()?;
    if places > 0 {
        for (number, plane) in result.chunks_exact_mut(places).enumerate() {
            let bias = bias[number % channels];
            plane.iter_mut().for_each(|value| *value += bias);
        }
    }
    Ok(())
}

/// Each group: weights [out, in * kernel] times windows [in * kernel, places].
fn grouped(extents: &Extents, window: &Window, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let [z, y, width] = window.axes.map(|slide| slide.places);
    let ([inputs, outputs], inner) = (extents.channels, extents.channels[0] * window.kernel());
    let image: usize = window.axes.iter().map(|slide| slide.image).product();
    let places = z * y * width;
    let mut result = vec![0.0; extents.batch * extents.groups * outputs * places];
    if result.is_empty() || inputs * image == 0 {
        return result;
    }
    let lines = (MAX_GATHERED / (inner * width)).clamp(1, z * y);
    for (number, (x, result)) in x.chunks_exact(inputs * image).zip(result.chunks_exact_mut(outputs * places)).enumerate() {
        let weight = &weight[number % extents.groups * outputs * inner..][..outputs * inner];
        if is_whole(window) {
            result.copy_from_slice(&exact_product(weight, x, inner));
            continue;
        }
        for begin in (0..z * y).step_by(lines) {
            let end = (begin + lines).min(z * y);
            let part = exact_product(weight, &gather(window, x, inputs, begin, end), inner);
            let columns = (end - begin) * width;
            for (row, part) in result.chunks_exact_mut(places).zip(part.chunks_exact(columns)) {
                row[begin * width..][..columns].copy_from_slice(part);
            }
        }
    }
    result
}

/// Whether windows are single elements that lie as in the image.
fn is_whole(window: &Window) -> bool {
    window.axes.iter().all(|slide| slide.kernel == 1 && slide.stride == 1 && slide.pads == [0, 0])
}

/// The windows at lines `begin..end` of places: [channels * kernel, places].
fn gather(window: &Window, x: &[f32], channels: usize, begin: usize, end: usize) -> Vec<f32> {
    let [z, y, line] = window.axes;
    let columns = (end - begin) * line.places;
    let mut gathered = vec![0.0; channels * window.kernel() * columns];
    let rows = gathered.chunks_exact_mut(columns);
    for ((channel, kz, ky, kx), row) in elements(window, channels).zip(rows) {
        let plane = &x[channel * z.image * y.image * line.image..][..z.image * y.image * line.image];
        let inside = line.inside(kx);
        for (at, out) in (begin..end).zip(row.chunks_exact_mut(line.places)) {
            let (Some(iz), Some(iy)) = (z.at(at / y.places, kz), y.at(at % y.places, ky)) else { continue };
            let Some(first) = line.at(inside.start, kx) else { continue };
            let from = plane[(iz * y.image + iy) * line.image + first..].iter().step_by(line.stride);
            out[inside.clone()].iter_mut().zip(from).for_each(|(out, &from)| *out = from);
        }
    }
    gathered
}

/// Channels and elements of a window, as weights have them.
fn elements(window: &Window, channels: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let [z, y, x] = window.axes.map(|slide| slide.kernel);
    (0..channels * z * y * x).map(move |at| (at / (z * y * x), at / (y * x) % z, at / x % y, at % x))
}

/// Groups of one channel, over all cores.
fn depthwise(extents: &Extents, window: &Window, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let outputs = extents.channels[1];
    let channels = extents.groups * outputs;
    let places: usize = window.axes.iter().map(|slide| slide.places).product();
    let image: usize = window.axes.iter().map(|slide| slide.image).product();
    let mut result = vec![0.0; extents.batch * channels * places];
    if result.is_empty() {
        return result;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = (extents.batch * channels).div_ceil(threads);
    std::thread::scope(|scope| {
        for (thread, planes) in result.chunks_mut(share * places).enumerate() {
            scope.spawn(move || {
                let mut sums = vec![0.0; places];
                for (number, out) in planes.chunks_exact_mut(places).enumerate() {
                    let number = thread * share + number;
                    let weight = &weight[number % channels * window.kernel()..][..window.kernel()];
                    sums.fill(0.0);
                    slide_over(window, &x[number / outputs * image..][..image], weight, &mut sums);
                    out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = sum as f32);
                }
            });
        }
    });
    result
}

/// Adds up one channel's image times the window's weights.
fn slide_over(window: &Window, x: &[f32], weight: &[f32], out: &mut [f64]) {
    let [z, y, line] = window.axes;
    for ((_, kz, ky, kx), &weight) in elements(window, 1).zip(weight) {
        let inside = line.inside(kx);
        for (at, out) in out.chunks_exact_mut(line.places).enumerate() {
            let (Some(iz), Some(iy)) = (z.at(at / y.places, kz), y.at(at % y.places, ky)) else { continue };
            let Some(first) = line.at(inside.start, kx) else { continue };
            let from = x[(iz * y.image + iy) * line.image + first..].iter().step_by(line.stride);
            out[inside.clone()].iter_mut().zip(from).for_each(|(out, &from)| *out += f64::from(weight) * f64::from(from));
        }
    }
}

/// A transposed convolution: what each element would be the window's product of, added up.
pub(super) fn conv_transpose<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, weight) = (call.floats_of_rank(0, 3)?, call.floats_of_rank(1, 3)?);
    let groups = groups(call)?;
    let (batch, channels) = (x.shape[0], x.shape[1]);
    if weight.rank() != x.rank() || weight.shape[0] != channels || !channels.is_multiple_of(groups) {
        return wrong(format!("its weights {:?} in {groups} groups do not fit its input {:?}", weight.shape, x.shape));
    }
    let outputs = weight.shape[1];
    let bias = call.floats_of_shape(2, &[outputs * groups])?;
    let window = Window::transposed(call, &x.shape[2..], &weight.shape[2..])?;
    let extents = Extents { batch, groups, channels: [channels / groups, outputs] };
    let shape = [&[batch, outputs * groups], window.image().as_slice()].concat();
    Output::floats(shape, move || {
        let mut result = scattered(&extents, &window, x.f32()?, weight.f32()?);
        add_bias(&mut result, bias, outputs * groups, window.image().iter().product())?;
        Ok(result)
    })
}

fn scattered(extents: &Extents, window: &Window, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let [inputs, outputs] = extents.channels;
    let places: usize = window.axes.iter().map(|slide| slide.places).product();
    let image: usize = window.axes.iter().map(|slide| slide.image).product();
    let rows = outputs * window.kernel();
    let mut result = vec![0.0; extents.batch * extents.groups * outputs * image];
    if result.is_empty() || inputs * places == 0 {
        return result;
    }
    for (number, (x, result)) in x.chunks_exact(inputs * places).zip(result.chunks_exact_mut(outputs * image)).enumerate() {
        let weight = &weight[number % extents.groups * inputs * rows..][..inputs * rows];
        let transposed: Vec<f32> = (0..rows).flat_map(|row| weight[row..].iter().step_by(rows).copied()).collect();
        scatter(window, &exact_product(&transposed, x, inputs), outputs, result);
    }
    result
}

/// Adds windows [channels * kernel, places] to the image where they were gathered from.
fn scatter(window: &Window, gathered: &[f32], channels: usize, image: &mut [f32]) {
    let [z, y, line] = window.axes;
    let columns = z.places * y.places * line.places;
    for ((channel, kz, ky, kx), row) in elements(window, channels).zip(gathered.chunks_exact(columns)) {
        let plane = &mut image[channel * z.image * y.image * line.image..][..z.image * y.image * line.image];
        let inside = line.inside(kx);
        for (at, from) in row.chunks_exact(line.places).enumerate() {
            let (Some(iz), Some(iy)) = (z.at(at / y.places, kz), y.at(at % y.places, ky)) else { continue };
            let Some(first) = line.at(inside.start, kx) else { continue };
            let to = plane[(iz * y.image + iy) * line.image + first..].iter_mut().step_by(line.stride);
            to.zip(&from[inside.clone()]).for_each(|(to, &from)| *to += from);
        }
    }
}
