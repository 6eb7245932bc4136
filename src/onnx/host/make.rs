//! Operators that make tensors from shapes and bounds.

use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::element::Element;
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::value::{Data, Kind};

/// The most numbers of a range.
const MAX_RANGE: f64 = (1 << 22) as f64;

/// A shape as a tensor, or a part of it.
pub(super) fn shape<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let rank = x.rank() as i64;
    let end = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
    let (begin, end) = (end(call.node.int_or("start", 0)?), end(call.node.int_or("end", rank)?));
    let extents: Vec<i64> = x.shape[begin..end.max(begin)].iter().map(|&extent| extent as i64).collect();
    Output::constant(vec![extents.len()], move || Data::I64(extents), Kind::I64)
}

/// The number of elements.
pub(super) fn size<'a>(call: &Call<'a>) -> Outputs<'a> {
    let count = call.input(0)?.count() as i64;
    Output::constant(Vec::new(), move || Data::I64(vec![count]), Kind::I64)
}

/// A tensor of equal elements.
pub(super) fn constant_of_shape<'a>(call: &Call<'a>) -> Outputs<'a> {
    let extents = call.ints(0)?.map_or_else(|| wrong("it has no shape"), Ok)?;
    let shape = extents.iter().map(|&extent| usize::try_from(extent)).collect::<Result<Vec<_>, _>>();
    let Ok(shape) = shape else { return wrong(format!("it makes the shape {extents:?}")) };
    let fill = match call.node.tensor("value")? {
        Some(value) if value.data().len() == 1 => value.data().clone(),
        Some(_) => return wrong("its value is not one element"),
        None => Data::F32(vec![0.0]),
    };
    let count = shape.iter().product();
    Output::only(shape, fill.kind(), move || Ok(fill.filled(count)))
}

/// Numbers from one bound up to another.
pub(super) fn range<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    if [start, limit, delta].iter().any(|bound| bound.count() != 1) {
        return wrong("its bounds are not one number each");
    }
    let count = |start: f64, limit: f64, delta: f64| match ((limit - start) / delta).ceil().max(0.0) {
        count if count <= MAX_RANGE => Ok(count as usize),
        count => unsupported(format!("it makes {count} numbers")),
    };
    match start.data()? {
        Data::F32(start) => {
            let (start, limit, delta) = (start[0], limit.f32()?[0], delta.f32()?[0]);
            let count = count(start.into(), limit.into(), delta.into())?;
            Output::floats(vec![count], move || Ok((0..count).map(|at| start + at as f32 * delta).collect()))
        }
        Data::I64(start) => {
            let (start, limit, delta) = (start[0], limit.i64()?[0], delta.i64()?[0]);
            let count = count(start as f64, limit as f64, delta as f64)?;
            let number = move |at| start.wrapping_add(delta.wrapping_mul(at as i64));
            Output::only(vec![count], Kind::I64, move || Ok(Data::I64((0..count).map(number).collect())))
        }
        Data::Bool(_) => wrong("its bounds are truth values"),
    }
}

pub(super) fn cast<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let to = call.node.int("to")?.map_or_else(|| wrong("it does not say to what"), Ok)?;
    let to = Element::new(to).map_err(|what| Fault::Unsupported(format!("it converts to {what}")))?;
    Output::only(x.shape.to_vec(), to.kind(), move || Ok(to.cast(x.data()?)))
}

/// The kind of another tensor.
pub(super) fn cast_like<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, kind) = (call.input(0)?, call.input(1)?.kind);
    Output::only(x.shape.to_vec(), kind, move || Ok(of_kind(kind).cast(x.data()?)))
}

/// The input as it is, and a mask of what was kept of it: all.
pub(super) fn dropout<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    if let Some(trains) = call.given(2)
        && trains.bool()?.contains(&true)
    {
        return unsupported("it is in training mode: export the model for inference");
    }
    Ok(vec![
        Output::new(x.shape.to_vec(), x.kind, move || x.data().cloned())?,
        Output::new(x.shape.to_vec(), Kind::Bool, move || Ok(Data::Bool(vec![true; x.count()])))?,
    ])
}

/// Ones on a diagonal.
pub(super) fn eye_like<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let &[rows, cols] = x.shape else { return wrong("its input is no matrix") };
    let shift = call.node.int_or("k", 0)?;
    let kind = match call.node.int("dtype")? {
        Some(number) => Element::new(number).map_err(|what| Fault::Unsupported(format!("it makes {what}")))?.kind(),
        None => x.kind,
    };
    let is_one = move |at: usize| (at / cols) as i64 == ((at % cols) as i64).saturating_sub(shift);
    let ones = move || Data::Bool((0..rows * cols).map(is_one).collect());
    Output::constant(vec![rows, cols], move || of_kind(kind).cast(&ones()), kind)
}

fn of_kind(kind: Kind) -> Element {
    match kind {
        Kind::F32 => Element::F32,
        Kind::I64 => Element::I64,
        Kind::Bool => Element::Bool,
    }
}

/// The part of matrices above or below a diagonal.
pub(super) fn trilu<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let &[.., rows, cols] = x.shape else { return wrong("its input is no matrix") };
    let shift = call.int(1)?.unwrap_or(0);
    let is_upper = call.node.flag("upper", true)?;
    Output::only(x.shape.to_vec(), x.kind, move || {
        let mut result = Data::zeros(x.kind, x.count());
        let is_kept = |place: &usize| {
            let above = (place % cols) as i64 - (place / cols % rows) as i64;
            if is_upper { above >= shift } else { above <= shift }
        };
        result.put(x.data()?, (0..x.count()).filter(is_kept).map(|place| (place, place)))?;
        Ok(result)
    })
}

/// A further axis along which one element is on and all others are off.
pub(super) fn one_hot<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    if values.shape != [2] {
        return wrong(format!("its values have the shape {:?}: one for off and one for on were expected", values.shape));
    }
    let depth = call.float(1)?.filter(|depth| (0.0..=MAX_RANGE as f32).contains(depth));
    let Some(depth) = depth.map(|depth| depth as usize) else { return wrong("it has no depth") };
    let all = vec![1; indices.rank() + 1];
    let axis = Fact::shaped(&all, indices.kind).axis(call.node.int_or("axis", -1)?)?;
    let mut shape = indices.shape.to_vec();
    shape.insert(axis, depth);
    let inner: usize = indices.shape[axis..].iter().product();
    Output::only(shape, values.kind, move || {
        let mut result = values.data()?.pick(std::iter::once(0)).filled(indices.count() * depth);
        let whole = match indices.data()? {
            Data::I64(indices) => indices.clone(),
            Data::F32(indices) => indices.iter().map(|&index| index as i64).collect(),
            Data::Bool(_) => return wrong("its indices are truth values"),
        };
        let own = |index: i64| usize::try_from(if index < 0 { index + depth as i64 } else { index }).ok().filter(|&at| at < depth);
        let on = whole.iter().enumerate().filter_map(|(at, &index)| Some((at, own(index)?)));
        result.put(values.data()?, on.map(|(at, index)| ((at / inner * depth + index) * inner + at % inner, 1)))?;
        Ok(result)
    })
}
