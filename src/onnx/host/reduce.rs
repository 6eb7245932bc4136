//! Reductions along axes.

use crate::onnx::call::{Call, Fact, Output, Outputs, axes_of};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::strided::Places;
use crate::onnx::value::{Data, Kind};

/// The elements of a tensor in groups that are reduced to one each.
struct Groups {
    shape: Vec<usize>,
    /// The kept axes, then the reduced ones.
    order: Vec<usize>,
    /// Elements of a group.
    size: usize,
}

impl Groups {
    fn of(x: Fact, axes: &[usize]) -> Self {
        let kept = (0..x.rank()).filter(|axis| !axes.contains(axis));
        let order = kept.chain(axes.iter().copied()).collect();
        Self { shape: x.shape.to_vec(), order, size: axes.iter().map(|&axis| x.shape[axis]).product() }
    }

    fn reduce<T: Copy>(&self, elements: &[T], count: usize, reduce: impl Fn(&[T]) -> T) -> Vec<T> {
        let mut places = Places::permuted(&self.shape, &self.order);
        let mut group = Vec::with_capacity(self.size);
        let one = |_| {
            group.clear();
            group.extend(places.by_ref().take(self.size).map(|place| elements[place]));
            reduce(&group)
        };
        (0..count).map(one).collect()
    }
}

/// The shape without the reduced axes, or with one element along them.
fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let extent = |(axis, &extent)| if axes.contains(&axis) { keep.then_some(1) } else { Some(extent) };
    shape.iter().enumerate().filter_map(extent).collect()
}

/// Any of the reductions to one number.
pub(super) fn reduce<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let given = call.ints_of("axes", 1)?.unwrap_or_default();
    let axes = match given {
        [] if call.node.flag("noop_with_empty_axes", false)? => Vec::new(),
        [] => (0..x.rank()).collect(),
        axes => axes_of(axes, x.rank())?,
    };
    let shape = reduced(x.shape, &axes, call.node.flag("keepdims", true)?);
    let groups = Groups::of(x, &axes);
    let (op, count) = (call.node.op.as_str(), shape.iter().product());
    Output::only(shape, x.kind, move || match x.data()? {
        Data::F32(x) => Ok(Data::F32(groups.reduce(x, count, floats(op)))),
        Data::I64(x) => Ok(Data::I64(groups.reduce(x, count, ints(op)?))),
        Data::Bool(x) => Ok(Data::Bool(groups.reduce(x, count, bools(op)?))),
    })
}

fn floats(op: &str) -> fn(&[f32]) -> f32 {
    fn sum(x: &[f32], of: impl Fn(f64) -> f64) -> f64 {
        x.iter().map(|&x| of(x.into())).sum()
    }
    match op {
        "ReduceSum" => |x| sum(x, |x| x) as f32,
        "ReduceMean" => |x| (sum(x, |x| x) / x.len() as f64) as f32,
        "ReduceMax" => |x| x.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a || b.is_nan() { b } else { a }),
        "ReduceMin" => |x| x.iter().fold(f32::INFINITY, |a, &b| if b < a || b.is_nan() { b } else { a }),
        "ReduceProd" => |x| x.iter().map(|&x| f64::from(x)).product::<f64>() as f32,
        "ReduceL1" => |x| sum(x, f64::abs) as f32,
        "ReduceL2" => |x| sum(x, |x| x * x).sqrt() as f32,
        "ReduceSumSquare" => |x| sum(x, |x| x * x) as f32,
        "ReduceLogSum" => |x| sum(x, |x| x).ln() as f32,
        _ => |x| {
            let most = x.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            if !most.is_finite() {
                return most;
            }
            (sum(x, |x| (x - f64::from(most)).exp()).ln() + f64::from(most)) as f32
        },
    }
}

fn ints(op: &str) -> Result<fn(&[i64]) -> i64, Fault> {
    Ok(match op {
        "ReduceSum" => |x| x.iter().fold(0, |a, &b| a.wrapping_add(b)),
        "ReduceMean" => |x| x.iter().fold(0, |a: i64, &b| a.wrapping_add(b)).checked_div(x.len() as i64).unwrap_or(0),
        "ReduceMax" => |x| x.iter().copied().max().unwrap_or(i64::MIN),
        "ReduceMin" => |x| x.iter().copied().min().unwrap_or(i64::MAX),
        "ReduceProd" => |x| x.iter().fold(1, |a, &b| a.wrapping_mul(b)),
        "ReduceL1" => |x| x.iter().fold(0, |a, &b| a.wrapping_add(b.wrapping_abs())),
        "ReduceSumSquare" => |x| x.iter().fold(0, |a, &b| a.wrapping_add(b.wrapping_mul(b))),
        _ => return wrong("it reduces whole numbers to what is none"),
    })
}

fn bools(op: &str) -> Result<fn(&[bool]) -> bool, Fault> {
    Ok(match op {
        "ReduceMax" => |x| x.contains(&true),
        "ReduceMin" => |x| !x.contains(&false),
        _ => return wrong("it reduces truth values to what is none"),
    })
}

/// Where along an axis the largest or smallest element is.
pub(super) fn arg<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let axis = x.axis(call.node.int_or("axis", 0)?)?;
    let (is_max, takes_last) = (call.node.op == "ArgMax", call.node.flag("select_last_index", false)?);
    if x.shape[axis] == 0 {
        return wrong("it looks for the best of no elements");
    }
    let shape = reduced(x.shape, &[axis], call.node.flag("keepdims", true)?);
    let (outer, extent, inner) = x.around(axis);
    Output::only(shape, Kind::I64, move || {
        let data = x.data()?;
        let best = |start: usize| {
            let is_better = |a: usize, b: usize| match data {
                Data::F32(x) if is_max => x[a] > x[b] || takes_last && x[a] == x[b],
                Data::F32(x) => x[a] < x[b] || takes_last && x[a] == x[b],
                Data::I64(x) if is_max => x[a] > x[b] || takes_last && x[a] == x[b],
                Data::I64(x) => x[a] < x[b] || takes_last && x[a] == x[b],
                Data::Bool(_) => false,
            };
            (1..extent).fold(0, |best, at| if is_better(start + at * inner, start + best * inner) { at } else { best }) as i64
        };
        Ok(Data::I64((0..outer * inner).map(|at| best(at / inner * extent * inner + at % inner)).collect()))
    })
}

/// Sums of all elements up to each along an axis.
pub(super) fn cumulative<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let axis = call.int(1)?.map_or_else(|| wrong("it does not say along which axis"), |axis| x.axis(axis))?;
    let (excludes, reverses) = (call.node.flag("exclusive", false)?, call.node.flag("reverse", false)?);
    let (outer, extent, inner) = x.around(axis);
    // The places along the axis of each line, in the order of summing.
    let lines = move || {
        (0..outer * inner).map(move |line| {
            let start = line / inner * extent * inner + line % inner;
            (0..extent).map(move |at| start + if reverses { extent - 1 - at } else { at } * inner)
        })
    };
    Output::only(x.shape.to_vec(), x.kind, move || match x.data()? {
        Data::F32(x) => {
            let mut result = vec![0.0; x.len()];
            for line in lines() {
                line.fold(0.0f64, |sum, place| {
                    let next = sum + f64::from(x[place]);
                    result[place] = if excludes { sum } else { next } as f32;
                    next
                });
            }
            Ok(Data::F32(result))
        }
        Data::I64(x) => {
            let mut result = vec![0; x.len()];
            for line in lines() {
                line.fold(0i64, |sum, place| {
                    let next = sum.wrapping_add(x[place]);
                    result[place] = if excludes { sum } else { next };
                    next
                });
            }
            Ok(Data::I64(result))
        }
        Data::Bool(_) => wrong("it is given truth values where numbers belong"),
    })
}
