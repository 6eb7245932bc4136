//! Pools.

use super::phases::Phases;
use super::window::Window;
use crate::cores::on_all_cores;
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported};
use crate::onnx::strided::strides;
use crate::onnx::value::{Data, Kind};

fn window(call: &Call, x: Fact) -> Result<(Window, Vec<usize>), Fault> {
    let window = match call.node.op.starts_with("Global") {
        true => Window::whole(&x.shape[2..]),
        false => Window::of(call, &x.shape[2..], None, call.node.flag("ceil_mode", false)?)?,
    };
    let places = if call.node.op.starts_with("Global") { vec![1; x.rank() - 2] } else { window.places() };
    Ok((window, [&x.shape[..2], &places].concat()))
}

/// Calls `visit` with every place of the window in every plane, and the elements of the image that it covers there.
fn slide(window: &Window, planes: usize, mut visit: impl FnMut([usize; 3], &[usize])) {
    let [z, y, x] = window.axes;
    let mut covered = Vec::new();
    for plane in 0..planes {
        for at in 0..z.places * y.places * x.places {
            let place = [at / (y.places * x.places), at / x.places % y.places, at % x.places];
            covered.clear();
            for iz in z.covered(place[0]) {
                for iy in y.covered(place[1]) {
                    let line = ((plane * z.image + iz) * y.image + iy) * x.image;
                    covered.extend(x.covered(place[2]).map(|ix| line + ix));
                }
            }
            visit(place, &covered);
        }
    }
}

/// Largest elements, and, as a second output, where they are.
pub(super) fn max<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    if x.rank() < 3 {
        return unsupported(format!("its input has the shape {:?}: batch, channels and an image were expected", x.shape));
    }
    let (window, shape) = window(call, x)?;
    let planes = x.shape[0] * x.shape[1];
    let by_columns = call.node.flag("storage_order", false)?;
    let values = Output::new(shape.clone(), x.kind, move || match x.data()? {
        Data::F32(x) => Ok(Data::F32(match Phases::new(&window, f32::NEG_INFINITY) {
            Some(phases) => largest_by_planes(&window, &phases, planes, x),
            None => largest(&window, planes, x, f32::NEG_INFINITY).into_iter().map(|(_, value)| value).collect(),
        })),
        Data::I64(x) => Ok(Data::I64(largest(&window, planes, x, i64::MIN).into_iter().map(|(_, value)| value).collect())),
        Data::Bool(_) => unsupported("it pools truth values"),
    })?;
    let image = window.image();
    let indices = Output::new(shape, Kind::I64, move || {
        let places = largest(&window, planes, x.f32()?, f32::NEG_INFINITY).into_iter().map(|(place, _)| place);
        Ok(Data::I64(places.map(|place| if by_columns { column_major(place, &image) } else { place } as i64).collect()))
    })?;
    Ok(vec![values, indices])
}

fn largest<T: Copy + PartialOrd>(window: &Window, planes: usize, x: &[T], least: T) -> Vec<(usize, T)> {
    let mut result = Vec::new();
    slide(window, planes, |_, covered| {
        let first = (covered.first().copied().unwrap_or(0), least);
        result.push(covered.iter().fold(first, |best, &at| if x[at] > best.1 { (at, x[at]) } else { best }));
    });
    result
}

fn largest_by_planes(window: &Window, phases: &Phases, planes: usize, x: &[f32]) -> Vec<f32> {
    let [_, y, line] = window.axes;
    let (places, image) = (y.places * line.places, y.image * line.image);
    let mut result = vec![f32::NEG_INFINITY; planes * places];
    if result.is_empty() || image == 0 {
        return result;
    }
    let parts = result.chunks_exact_mut(places).zip(x.chunks_exact(image)).collect();
    on_all_cores(planes * places * window.kernel(), parts, |(out, plane): (&mut [f32], _)| {
        let (mut phases, mut best) = (phases.clone(), vec![f32::NEG_INFINITY; phases.count()]);
        phases.load(plane);
        for element in 0..window.kernel() {
            let met = phases.met(element / line.kernel, element % line.kernel);
            best.iter_mut().zip(met).for_each(|(best, &x)| *best = if x > *best { x } else { *best });
        }
        phases.gather(&best, out);
    });
    result
}

/// The number of an element where the first axis of the image is contiguous.
fn column_major(place: usize, image: &[usize]) -> usize {
    let all: usize = image.iter().product();
    let (plane, within) = (place / all, place % all);
    let mut step = 1;
    let strides = strides(image);
    let number = strides.iter().zip(image).map(|(&stride, &extent)| {
        let index = within / stride as usize % extent;
        step *= extent;
        index * step / extent
    });
    plane * all + number.sum::<usize>()
}

pub(super) fn average<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats_of_rank(0, 3)?;
    let (window, shape) = window(call, x)?;
    let planes = x.shape[0] * x.shape[1];
    let counts_pads = call.node.flag("count_include_pad", false)?;
    Output::floats(shape, move || {
        let (x, mut result) = (x.f32()?, Vec::new());
        slide(&window, planes, |place, covered| {
            let sum: f64 = covered.iter().map(|&at| f64::from(x[at])).sum();
            let with_pads = || (0..3).map(|axis| window.axes[axis].within_pads(place[axis])).product();
            let count: usize = if counts_pads { with_pads() } else { covered.len() };
            result.push((sum / count.max(1) as f64) as f32);
        });
        Ok(result)
    })
}

/// Norms of order `p`.
pub(super) fn norm<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats_of_rank(0, 3)?;
    let (window, shape) = window(call, x)?;
    let planes = x.shape[0] * x.shape[1];
    let p = call.node.int_or("p", 2)? as f64;
    Output::floats(shape, move || {
        let (x, mut result) = (x.f32()?, Vec::new());
        slide(&window, planes, |_, covered| {
            let sum: f64 = covered.iter().map(|&at| f64::from(x[at]).abs().powf(p)).sum();
            result.push(sum.powf(1.0 / p) as f32);
        });
        Ok(result)
    })
}
