//! Convolutions and transposed convolutions, as products of matrices.

use std::ops::Range;

use ndarray::Array2;

use super::finish::Finish;
use super::phases::Phases;
use super::window::Window;
use crate::cores::on_all_cores;
use crate::linalg::{COLUMNS, matrix, multiply, multiply_by_columns};
use crate::onnx::call::{Call, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};

/// The most elements of windows brought together at a time.
const MAX_GATHERED: usize = 1 << 22;

/// How many planes are worked on together, by one core.
const PLANES: usize = 16;

/// How many sums are worked on together: they stay in the first cache.
const RUN: usize = 1 << 11;

/// What a convolution is of: extents without those that slide.
struct Extents {
    batch: usize,
    groups: usize,
    /// Channels of a group, in and out.
    channels: [usize; 2],
}

pub(super) fn conv<'a>(call: &Call<'a>) -> Outputs<'a> {
    let bias = call.given(2);
    conv_and(call, move || Ok(Finish { row_bias: bias.map(|bias| bias.f32()).transpose()?.unwrap_or_default(), ..Finish::default() }))
}

/// A convolution, and what follows it with its bias.
pub(super) fn conv_and<'a>(call: &Call<'a>, finish: impl FnOnce() -> Result<Finish<'a>, Fault> + 'a) -> Outputs<'a> {
    let (x, weight) = (call.floats_of_rank(0, 3)?, call.floats_of_rank(1, 3)?);
    let groups = groups(call)?;
    let (batch, out) = (x.shape[0], weight.shape[0]);
    if weight.rank() != x.rank() || x.shape[1] != weight.shape[1] * groups || !out.is_multiple_of(groups) {
        return wrong(format!("its weights {:?} in {groups} groups do not fit its input {:?}", weight.shape, x.shape));
    }
    call.floats_of_shape(2, &[out])?;
    let window = Window::of(call, &x.shape[2..], Some(&weight.shape[2..]), false)?;
    let extents = Extents { batch, groups, channels: [weight.shape[1], out / groups] };
    let shape = [&[batch, out], window.places().as_slice()].concat();
    Output::floats(shape, move || {
        let (x, weight, finish) = (x.f32()?, weight.f32()?, finish()?);
        let places: usize = window.axes.iter().map(|slide| slide.places).product();
        let mut result = vec![0.0; batch * out * places];
        let by_planes = (extents.channels[0] == 1).then(|| Phases::new(&window, 0.0)).flatten();
        match by_planes {
            _ if result.is_empty() || x.is_empty() => finish.apply_to_all(places, &mut result),
            Some(phases) => depthwise(&extents, &window, &phases, [x, weight], &finish, &mut result),
            None => grouped(&extents, &window, [x, weight], &finish, &mut result),
        }
        Ok(result)
    })
}

fn groups(call: &Call) -> Result<usize, Fault> {
    let groups = call.node.int_or("group", 1)?;
    usize::try_from(groups).ok().filter(|&groups| groups > 0).map_or_else(|| wrong(format!("it has {groups} groups")), Ok)
}

/// Each group: weights [out, in * kernel] times windows [in * kernel, places].
fn grouped(extents: &Extents, window: &Window, [x, weight]: [&[f32]; 2], finish: &Finish, result: &mut [f32]) {
    let [z, y, width] = window.axes.map(|slide| slide.places);
    let ([inputs, outputs], inner) = (extents.channels, extents.channels[0] * window.kernel());
    let image: usize = window.axes.iter().map(|slide| slide.image).product();
    let places = z * y * width;
    let lines = (COLUMNS / width).min(MAX_GATHERED / (inner * width)).max(1);
    for (number, (x, result)) in x.chunks_exact(inputs * image).zip(result.chunks_exact_mut(outputs * places)).enumerate() {
        let weight = matrix(&weight[number % extents.groups * outputs * inner..][..outputs * inner], outputs, inner);
        let finish = |[row, column]: [usize; 2], sums: &mut [f32]| finish.apply([number * outputs + row, column], places, sums);
        if is_whole(window) {
            multiply(weight, matrix(x, inner, places), finish, result);
            continue;
        }
        let gathered = |columns: Range<usize>| gather(window, x, inputs, columns.start / width..columns.end / width).into();
        multiply_by_columns(weight, [places, lines * width], gathered, finish, result);
    }
}

/// Whether windows are single elements that lie as in the image.
fn is_whole(window: &Window) -> bool {
    window.axes.iter().all(|slide| slide.kernel == 1 && slide.stride == 1 && slide.pads == [0, 0])
}

/// The windows at some lines of places: [channels * kernel, places].
fn gather(window: &Window, x: &[f32], channels: usize, lines: Range<usize>) -> Array2<f32> {
    let [z, y, line] = window.axes;
    let columns = lines.len() * line.places;
    let mut gathered = vec![0.0; channels * window.kernel() * columns];
    let rows = gathered.chunks_exact_mut(columns);
    for ((channel, kz, ky, kx), row) in elements(window, channels).zip(rows) {
        let plane = &x[channel * z.image * y.image * line.image..][..z.image * y.image * line.image];
        let inside = line.inside(kx);
        for (at, out) in lines.clone().zip(row.chunks_exact_mut(line.places)) {
            let (Some(iz), Some(iy)) = (z.at(at / y.places, kz), y.at(at % y.places, ky)) else { continue };
            let Some(first) = line.at(inside.start, kx) else { continue };
            let from = plane[(iz * y.image + iy) * line.image + first..].iter().step_by(line.stride);
            out[inside.clone()].iter_mut().zip(from).for_each(|(out, &from)| *out = from);
        }
    }
    Array2::from_shape_vec((channels * window.kernel(), columns), gathered).expect("as many elements as the matrix has")
}

/// Channels and elements of a window, as weights have them.
fn elements(window: &Window, channels: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let [z, y, x] = window.axes.map(|slide| slide.kernel);
    (0..channels * z * y * x).map(move |at| (at / (z * y * x), at / (y * x) % z, at / x % y, at % x))
}

/// Groups of one channel.
fn depthwise(extents: &Extents, window: &Window, phases: &Phases, [x, weight]: [&[f32]; 2], finish: &Finish, result: &mut [f32]) {
    let outputs = extents.channels[1];
    let [_, y, line] = window.axes;
    let (places, image, channels) = (y.places * line.places, y.image * line.image, extents.groups * outputs);
    let operations = 2 * result.len() * window.kernel();
    on_all_cores(operations, result.chunks_mut(PLANES * places).enumerate().collect(), |(part, planes)| {
        let (mut phases, mut sums) = (phases.clone(), vec![0.0; phases.count()]);
        for (number, out) in (part * PLANES..).zip(planes.chunks_exact_mut(places)) {
            phases.load(&x[number / outputs * image..][..image]);
            slide_over(&phases, line.kernel, &weight[number % channels * window.kernel()..][..window.kernel()], &mut sums);
            phases.gather(&sums, out);
            finish.apply([number, 0], places, out);
        }
    });
}

/// The sums of a plane's elements times the window's weights, of which `width` are a row.
fn slide_over(phases: &Phases, width: usize, weight: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for (part, sums) in sums.chunks_mut(RUN).enumerate() {
        let count = sums.len();
        let met = |at: usize| &phases.met(at / width, at % width)[part * RUN..][..count];
        // By four, so that the sums are read and written less often.
        let (fours, rest) = weight.as_chunks::<4>();
        for (at, &[e, f, g, h]) in (0..).step_by(4).zip(fours) {
            let x = met(at).iter().zip(met(at + 1)).zip(met(at + 2)).zip(met(at + 3));
            sums.iter_mut().zip(x).for_each(|(sum, (((a, b), c), d))| *sum += e * a + f * b + g * c + h * d);
        }
        for (at, &weight) in (4 * fours.len()..).zip(rest) {
            sums.iter_mut().zip(met(at)).for_each(|(sum, x)| *sum += weight * x);
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
        let row_bias = bias.map(|bias| bias.f32()).transpose()?.unwrap_or_default();
        Finish { row_bias, ..Finish::default() }.apply_to_all(window.image().iter().product(), &mut result);
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
        let weight = matrix(weight, inputs, rows).reversed_axes();
        let mut gathered = vec![0.0; rows * places];
        multiply(weight, matrix(x, inputs, places), |_, _| (), &mut gathered);
        scatter(window, &gathered, outputs, result);
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
