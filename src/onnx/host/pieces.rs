//! Operators that put tensors together and cut them up.

use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::strided::{Places, broadcast, strides};
use crate::onnx::value::Data;

/// Tensors one behind the other along an axis.
pub(super) fn concat<'a>(call: &Call<'a>) -> Outputs<'a> {
    let inputs = (0..call.inputs.len()).map(|number| call.input(number)).collect::<Result<Vec<_>, _>>()?;
    let first = call.input(0)?;
    let Some(axis) = call.node.int("axis")? else { return wrong("it has no axis") };
    let axis = first.axis(axis)?;
    let without = |shape: &[usize]| [&shape[..axis], &shape[axis + 1..]].concat();
    let mut shape = first.shape.to_vec();
    for input in &inputs[1..] {
        if input.rank() != first.rank() || without(input.shape) != without(first.shape) || input.kind != first.kind {
            return wrong(format!("its inputs of shapes {:?} and {:?} do not fit along axis {axis}", first.shape, input.shape));
        }
        shape[axis] += input.shape[axis];
    }
    let width = shape[axis..].iter().product::<usize>();
    Output::only(shape.clone(), first.kind, move || {
        let mut result = Data::zeros(first.kind, shape.iter().product());
        let mut offset = 0;
        for input in inputs {
            let own = input.shape[axis..].iter().product::<usize>();
            result.put_lines(input.data()?, own, width, offset)?;
            offset += own;
        }
        Ok(result)
    })
}

/// A part of a tensor: where it begins, how far apart its elements are and how many there are, by axis.
struct Span {
    shape: Vec<usize>,
    begins: Vec<usize>,
    steps: Vec<isize>,
}

impl Span {
    fn all(x: Fact) -> Self {
        Self { shape: x.shape.to_vec(), begins: vec![0; x.rank()], steps: vec![1; x.rank()] }
    }

    fn of<'a>(self, x: Fact<'a>) -> Result<Output<'a>, Fault> {
        Output::new(self.shape.clone(), x.kind, move || {
            let strides = strides(x.shape);
            let offset = self.begins.iter().zip(&strides).map(|(&begin, stride)| begin as isize * stride).sum();
            let steps: Vec<_> = self.steps.iter().zip(&strides).map(|(step, stride)| step * stride).collect();
            Ok(x.data()?.pick(Places::new(&self.shape, &steps, offset)))
        })
    }
}

/// A tensor cut along an axis.
pub(super) fn split<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let axis = x.axis(call.node.int_or("axis", 0)?)?;
    let (extent, outputs) = (x.shape[axis], call.node.outputs.len());
    let sizes = match call.ints_of("split", 1)? {
        Some(sizes) => sizes.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>().unwrap_or_default(),
        None => {
            let count = call.node.int_or("num_outputs", outputs as i64)?;
            let count = usize::try_from(count).ok().filter(|&count| count > 0 && count == outputs);
            let Some(count) = count else { return wrong(format!("it has {outputs} outputs, its attribute says otherwise")) };
            let size = extent.div_ceil(count);
            (0..count).map(|part| extent.saturating_sub(part * size).min(size)).collect()
        }
    };
    let whole = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if whole != Some(extent) || sizes.len() != outputs {
        return wrong(format!("its {outputs} parts {sizes:?} do not make up its extent of {extent}"));
    }
    let mut begin = 0;
    let part = |size| {
        let mut part = Span::all(x);
        (part.shape[axis], part.begins[axis]) = (size, begin);
        begin += size;
        part.of(x)
    };
    sizes.into_iter().map(part).collect()
}

/// Every so manieth element between two ends, along some axes.
pub(super) fn slice<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let (Some(starts), Some(ends)) = (call.ints_of("starts", 1)?, call.ints_of("ends", 2)?) else {
        return wrong("it does not say where to begin and to end");
    };
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let axes = call.ints_of("axes", 3)?.unwrap_or(&all);
    let ones = vec![1; starts.len()];
    let steps = call.ints(4)?.unwrap_or(&ones);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&count| count != starts.len()) {
        return wrong("it has not as many ends, axes and steps as starts");
    }
    let mut part = Span::all(x);
    for (((&start, &end), &axis), &step) in starts.iter().zip(ends).zip(axes).zip(steps) {
        let axis = x.axis(axis)?;
        let extent = x.shape[axis] as i64;
        let place = |at: i64, low: i64, high: i64| (if at < 0 { at.saturating_add(extent) } else { at }).clamp(low, high);
        let (begin, count) = match step {
            0 => return wrong("it has a step of 0"),
            1.. => {
                let (begin, end) = (place(start, 0, extent), place(end, 0, extent));
                (begin, (end - begin).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
            }
            _ => {
                let (begin, end) = (place(start, -1, extent - 1), place(end, -1, extent - 1));
                (begin.max(0), (begin - end).max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
            }
        };
        (part.begins[axis], part.shape[axis]) = (begin as usize, count as usize);
        // The step of a single element reaches nothing, and might be too wide to compute with.
        part.steps[axis] = if count > 1 { step as isize } else { 1 };
    }
    Ok(vec![part.of(x)?])
}

/// A tensor stretched to a shape, which may itself be stretched.
pub(super) fn expand<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let wanted = extents(call.ints(1)?)?;
    let Some(shape) = broadcast(x.shape, &wanted) else {
        return wrong(format!("its input of shape {:?} cannot be stretched to {wanted:?}", x.shape));
    };
    Output::moved(x, shape.clone(), move || Places::broadcast(x.shape, &shape))
}

fn extents(ints: Option<&[i64]>) -> Result<Vec<usize>, Fault> {
    let ints = ints.map_or_else(|| wrong("it has no shape"), Ok)?;
    let extents = ints.iter().map(|&int| usize::try_from(int)).collect::<Result<Vec<_>, _>>();
    extents.or_else(|_| wrong(format!("it makes the shape {ints:?}")))
}

/// A tensor again and again along each axis.
pub(super) fn tile<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let repeats = extents(call.ints(1)?)?;
    if repeats.len() != x.rank() || 2 * x.rank() > 16 {
        return wrong(format!("it repeats {repeats:?} times along the axes of a tensor of shape {:?}", x.shape));
    }
    let shape: Vec<_> = x.shape.iter().zip(&repeats).map(|(extent, repeat)| extent.saturating_mul(*repeat)).collect();
    Output::moved(x, shape, move || {
        // An axis becomes two: its repetitions, which go nowhere, and itself.
        let (mut axes, mut steps) = (Vec::new(), Vec::new());
        for ((&extent, &repeat), &stride) in x.shape.iter().zip(&repeats).zip(&strides(x.shape)) {
            axes.extend([repeat, extent]);
            steps.extend([0, stride]);
        }
        Places::new(&axes, &steps, 0)
    })
}

/// How many elements are put before and after those of each axis; negative ones are cut off.
fn pads(call: &Call, x: Fact) -> Result<Vec<[i64; 2]>, Fault> {
    const MOST: i64 = 1 << 30;
    let pads = call.ints_of("pads", 1)?.map_or_else(|| wrong("it has no pads"), Ok)?;
    let all: Vec<i64> = (0..x.rank() as i64).collect();
    let axes = call.ints(3)?.unwrap_or(&all);
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| !(-MOST..=MOST).contains(pad)) {
        return wrong(format!("its pads {pads:?} do not fit {} axes", axes.len()));
    }
    let mut result = vec![[0, 0]; x.rank()];
    for (number, &axis) in axes.iter().enumerate() {
        result[x.axis(axis)?] = [pads[number], pads[number + axes.len()]];
    }
    Ok(result)
}

type Source = fn(i64, i64) -> Option<i64>;

/// Which element each place along an axis takes, by how far it is from the first; `None` for the number around a tensor.
fn source(mode: &str) -> Result<Source, Fault> {
    Ok(match mode {
        "constant" => |at, extent| (0..extent).contains(&at).then_some(at),
        "edge" => |at, extent| Some(at.clamp(0, extent - 1)),
        "wrap" => |at, extent| Some(at.rem_euclid(extent)),
        "reflect" => |at, extent| {
            let period = (2 * (extent - 1)).max(1);
            let at = at.rem_euclid(period);
            Some(at.min(period - at).min(extent - 1))
        },
        other => return unsupported(format!("its mode `{other}` is not supported")),
    })
}

/// A tensor with more elements around it.
pub(super) fn pad<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let (pads, mode) = (pads(call, x)?, call.node.text_or("mode", "constant")?);
    let shape = x.shape.iter().zip(&pads).map(|(&extent, [before, after])| usize::try_from(extent as i64 + before + after));
    let Ok(shape) = shape.collect::<Result<Vec<_>, _>>() else { return wrong("it cuts off more than there is") };
    let source = source(mode)?;
    if mode != "constant" && x.count() == 0 && shape.iter().product::<usize>() > 0 {
        return wrong("it repeats elements of a tensor that has none");
    }
    let fill = match (call.given(2), call.node.float("value")?) {
        (Some(fill), _) if fill.count() == 1 => Some(fill.data()?.clone()),
        (_, value) => value.map(|value| Data::F32(vec![value])),
    };
    Output::only(shape.clone(), x.kind, move || {
        let count = shape.iter().product();
        let mut result = match fill.filter(|fill| fill.kind() == x.kind) {
            Some(fill) => fill.filled(count),
            None => Data::zeros(x.kind, count),
        };
        // By axis: what each place takes its element from, times the stride.
        let strides = strides(x.shape);
        let sources: Vec<Vec<Option<usize>>> = (0..shape.len())
            .map(|axis| {
                let place = |at| source(at as i64 - pads[axis][0], x.shape[axis] as i64).map(|from| from as usize * strides[axis] as usize);
                (0..shape[axis]).map(place).collect()
            })
            .collect();
        // Line by line along the last axis; a single number has none.
        let (line, sources) = sources.split_last().map_or((&[Some(0)][..], &[][..]), |(line, sources)| (&line[..], sources));
        let lines = (0..count / line.len().max(1)).filter_map(|number| {
            let mut rest = number;
            let from = sources.iter().rev().try_fold(0, |sum, source| {
                let at = rest % source.len();
                rest /= source.len();
                source[at].map(|from| sum + from)
            });
            from.map(|from| (number * line.len(), from))
        });
        let places =
            lines.flat_map(|(place, begin)| (place..).zip(line).filter_map(move |(place, from)| from.map(|from| (place, begin + from))));
        result.put(x.data()?, places)?;
        Ok(result)
    })
}
