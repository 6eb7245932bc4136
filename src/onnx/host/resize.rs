//! Images, or tensors of any kind, at another size.

use crate::cores::on_all_cores;
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::value::Data;

/// How a coordinate of the result is found in the input.
#[derive(Clone, Copy)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    CropAndResize,
}

impl Coordinates {
    fn of(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "half_pixel" => Self::HalfPixel,
            "half_pixel_symmetric" => Self::HalfPixelSymmetric,
            "pytorch_half_pixel" => Self::PytorchHalfPixel,
            "align_corners" => Self::AlignCorners,
            "asymmetric" => Self::Asymmetric,
            "tf_crop_and_resize" => Self::CropAndResize,
            other => return unsupported(format!("its coordinate_transformation_mode `{other}` is not supported")),
        })
    }
}

/// What is between the elements.
#[derive(Clone, Copy)]
enum Mode {
    Nearest(Rounding),
    Linear,
    /// With this coefficient.
    Cubic(f64),
}

#[derive(Clone, Copy)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

impl Rounding {
    fn of(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "round_prefer_floor" => Self::PreferFloor,
            "round_prefer_ceil" => Self::PreferCeil,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            other => return unsupported(format!("its nearest_mode `{other}` is not supported")),
        })
    }

    fn round(self, x: f64) -> f64 {
        match self {
            Self::PreferFloor => (x - 0.5).ceil(),
            Self::PreferCeil => (x + 0.5).floor(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
        }
    }
}

/// How one axis is resized.
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    /// The part of the input that is taken, from 0 to 1.
    roi: [f64; 2],
    coordinates: Coordinates,
    mode: Mode,
    antialias: bool,
    exclude_outside: bool,
}

impl Axis {
    /// Where an element of the result is in the input.
    fn coordinate(&self, at: usize) -> f64 {
        let (at, from, to) = (at as f64, self.from as f64, self.scale * self.from as f64);
        let half = (at + 0.5) / self.scale - 0.5;
        match self.coordinates {
            Coordinates::HalfPixel => half,
            Coordinates::HalfPixelSymmetric => from / 2.0 * (1.0 - self.to as f64 / to) + half,
            Coordinates::PytorchHalfPixel if self.to == 1 => -0.5,
            Coordinates::PytorchHalfPixel => half,
            Coordinates::AlignCorners if to == 1.0 => 0.0,
            Coordinates::AlignCorners => at * (from - 1.0) / (to - 1.0),
            Coordinates::Asymmetric => at / self.scale,
            Coordinates::CropAndResize => {
                let [begin, end] = self.roi;
                let within = if self.to == 1 { (end - begin) * (from - 1.0) / 2.0 } else { at * (end - begin) * (from - 1.0) / (to - 1.0) };
                begin * (from - 1.0) + within
            }
        }
    }

    /// Which elements of the input an element of the result is made of, with their weights; `None` outside a cropped part.
    fn taps(&self, at: usize) -> Option<Vec<(usize, f32)>> {
        let x = self.coordinate(at);
        let last = self.from as f64 - 1.0;
        if matches!(self.coordinates, Coordinates::CropAndResize) && !(0.0..=last).contains(&x) {
            return None;
        }
        let clamped = |x: f64| x.clamp(0.0, last) as usize;
        let (reach, weight): (f64, fn(f64, f64) -> f64) = match self.mode {
            Mode::Nearest(rounding) => return Some(vec![(clamped(rounding.round(x)), 1.0)]),
            Mode::Linear => (1.0, |x, _| (1.0 - x.abs()).max(0.0)),
            Mode::Cubic(_) => (2.0, cubic),
        };
        let coefficient = if let Mode::Cubic(coefficient) = self.mode { coefficient } else { 0.0 };
        let shrink = if self.antialias { self.scale.min(1.0) } else { 1.0 };
        let begin = (x - reach / shrink).floor().max(-reach / shrink - 1.0) as i64 + 1;
        let end = (x + reach / shrink).ceil().min(last + reach / shrink + 1.0) as i64;
        let mut taps: Vec<_> = (begin..end).map(|at| (at as f64, weight((at as f64 - x) * shrink, coefficient))).collect();
        if self.exclude_outside {
            taps.retain(|(at, _)| (0.0..=last).contains(at));
        }
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        Some(taps.into_iter().filter(|(_, weight)| *weight != 0.0).map(|(at, weight)| (clamped(at), (weight / sum) as f32)).collect())
    }
}

fn cubic(x: f64, a: f64) -> f64 {
    match x.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

/// The new extents with the factors that coordinates are computed by.
fn sizes(call: &Call, x: Fact, axes: &[usize], scales: Option<&[f32]>) -> Result<Vec<(usize, f64)>, Fault> {
    const MOST: f64 = (1u64 << 30) as f64;
    let mut result: Vec<_> = x.shape.iter().map(|&extent| (extent, 1.0)).collect();
    if let Some(sizes) = call.ints(3)?.filter(|sizes| !sizes.is_empty()) {
        if sizes.len() != axes.len() || sizes.iter().any(|&size| !(1..=MOST as i64).contains(&size)) {
            return wrong(format!("its sizes {sizes:?} do not fit {} axes", axes.len()));
        }
        let factors: Vec<f64> = sizes.iter().zip(axes).map(|(&size, &axis)| size as f64 / x.shape[axis] as f64).collect();
        let common = match call.node.text_or("keep_aspect_ratio_policy", "stretch")? {
            "stretch" => None,
            "not_larger" => factors.iter().copied().reduce(f64::min),
            "not_smaller" => factors.iter().copied().reduce(f64::max),
            other => return unsupported(format!("its keep_aspect_ratio_policy `{other}` is not supported")),
        };
        for ((&axis, &size), factor) in axes.iter().zip(sizes).zip(factors) {
            let kept = common.map(|common| (common * x.shape[axis] as f64).round().min(MOST) as usize);
            result[axis] = (kept.unwrap_or(size as usize), common.unwrap_or(factor));
        }
        return Ok(result);
    }
    match scales {
        Some(scales) if scales.len() == axes.len() && scales.iter().all(|&scale| scale > 0.0) => {
            for (&axis, &scale) in axes.iter().zip(scales) {
                let extent = (x.shape[axis] as f64 * f64::from(scale)).floor();
                if extent > MOST {
                    return unsupported(format!("it makes {extent} elements along an axis"));
                }
                result[axis] = (extent as usize, scale.into());
            }
            Ok(result)
        }
        scales => wrong(format!("its scales {scales:?} do not fit {} axes", axes.len())),
    }
}

/// Resize, and Upsample as it was before.
pub(super) fn resize<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, plans) = (call.input(0)?, plans(call)?);
    let shape = plans.iter().map(|plan| plan.to).collect();
    let outside = call.node.float_or("extrapolation_value", 0.0)?;
    Output::only(shape, x.kind, move || resized(x, &plans, outside))
}

/// Which elements along an axis an element of the result is made of, with their weights.
pub(in crate::onnx) type Taps = Vec<(usize, f32)>;

/// For each axis, what each element of the result is made of; `None` for what is outside a cropped part.
pub(in crate::onnx) fn taps(call: &Call) -> Result<Vec<Vec<Option<Taps>>>, Fault> {
    Ok(plans(call)?.iter().map(|plan| (0..plan.to).map(|at| plan.taps(at)).collect()).collect())
}

/// How each axis is resized.
fn plans(call: &Call) -> Result<Vec<Axis>, Fault> {
    let (x, node) = (call.input(0)?, call.node);
    let is_old = node.op == "Upsample" || call.opset < 11;
    let axes = match node.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let scales = match node.floats("scales")? {
        Some(scales) => Some(scales),
        None => call.given(if is_old { 1 } else { 2 }).map(|scales| scales.f32()).transpose()?,
    };
    let sizes = sizes(call, x, &axes, scales.filter(|scales| !scales.is_empty()))?;
    let settings = Settings::of(call, is_old)?;
    let roi = match settings.coordinates {
        Coordinates::CropAndResize => call.given(1).map_or_else(|| wrong("it has no roi"), |roi| roi.f32())?,
        _ => &[],
    };
    if !roi.is_empty() && roi.len() != 2 * axes.len() {
        return wrong(format!("its roi {roi:?} does not fit {} axes", axes.len()));
    }
    let plan = |(axis, &(to, scale)): (usize, &(usize, f64))| {
        let number = axes.iter().position(|&other| other == axis).filter(|_| !roi.is_empty());
        let roi = number.map_or([0.0, 1.0], |number| [roi[number].into(), roi[number + axes.len()].into()]);
        if x.shape[axis] == 0 && to > 0 {
            return wrong("it resizes an image of no elements");
        }
        Ok(settings.axis(x.shape[axis], to, scale, roi))
    };
    sizes.iter().enumerate().map(plan).collect()
}

struct Settings {
    coordinates: Coordinates,
    mode: Mode,
    antialias: bool,
    exclude_outside: bool,
}

impl Settings {
    fn of(call: &Call, is_old: bool) -> Result<Self, Fault> {
        let node = call.node;
        let coordinates = if is_old { "asymmetric" } else { node.text_or("coordinate_transformation_mode", "half_pixel")? };
        let rounding = if is_old { "floor" } else { node.text_or("nearest_mode", "round_prefer_floor")? };
        let mode = match node.text_or("mode", "nearest")? {
            "nearest" => Mode::Nearest(Rounding::of(rounding)?),
            "linear" | "bilinear" => Mode::Linear,
            "cubic" => Mode::Cubic(node.float_or("cubic_coeff_a", -0.75)?.into()),
            other => return unsupported(format!("its mode `{other}` is not supported")),
        };
        let (antialias, exclude_outside) = (node.flag("antialias", false)?, node.flag("exclude_outside", false)?);
        Ok(Self { coordinates: Coordinates::of(coordinates)?, mode, antialias, exclude_outside })
    }

    fn axis(&self, from: usize, to: usize, scale: f64, roi: [f64; 2]) -> Axis {
        let Self { coordinates, mode, antialias, exclude_outside } = *self;
        Axis { from, to, scale, roi, coordinates, mode, antialias, exclude_outside }
    }
}

/// One axis after the other.
fn resized(x: Fact, plans: &[Axis], outside: f32) -> Result<Data, Fault> {
    let mut data = x.data()?.clone();
    for (number, plan) in plans.iter().enumerate() {
        let is_same = plan.from == plan.to && plan.scale == 1.0 && !matches!(plan.coordinates, Coordinates::CropAndResize);
        if is_same {
            continue;
        }
        let outer: usize = plans[..number].iter().map(|plan| plan.to).product();
        let inner: usize = plans[number + 1..].iter().map(|plan| plan.from).product();
        let taps: Vec<_> = (0..plan.to).map(|at| plan.taps(at)).collect();
        data = along(&data, [outer, plan.from, inner], &taps, outside)?;
    }
    Ok(data)
}

/// Makes each slice along the middle axis of slices of the input.
fn along(data: &Data, [outer, from, inner]: [usize; 3], taps: &[Option<Vec<(usize, f32)>>], outside: f32) -> Result<Data, Fault> {
    let is_nearest = taps.iter().all(|taps| taps.as_ref().is_some_and(|taps| matches!(taps[..], [(_, 1.0)])));
    if is_nearest {
        let slices = (0..outer).flat_map(|outer| taps.iter().flatten().map(move |taps| (outer * from + taps[0].0) * inner));
        return Ok(data.pick(slices.flat_map(|begin| begin..begin + inner)));
    }
    let Data::F32(x) = data else { return unsupported("it interpolates between elements that are no floating-point numbers") };
    let mut result = vec![0.0; outer * taps.len() * inner];
    let operations = 4 * result.len();
    let parts = result.chunks_exact_mut((taps.len() * inner).max(1)).zip(x.chunks_exact((from * inner).max(1))).collect();
    on_all_cores(operations, parts, |(made, x): (&mut [f32], &[f32])| {
        for (made, taps) in made.chunks_exact_mut(inner).zip(taps) {
            match taps {
                // Of single elements, without the ado of slices.
                Some(taps) if inner == 1 => made[0] = taps.iter().map(|&(at, weight)| weight * x[at]).sum(),
                Some(taps) => taps.iter().for_each(|&(at, weight)| {
                    made.iter_mut().zip(&x[at * inner..][..inner]).for_each(|(to, &from)| *to += weight * from);
                }),
                None => made.fill(outside),
            }
        }
    });
    Ok(Data::F32(result))
}
