//! Operators that choose among elements.

use std::cmp::Ordering;

use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::value::{Data, Kind};

/// The largest or smallest elements along an axis, and where they are.
pub(super) fn top_k<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let axis = x.axis(call.node.int_or("axis", -1)?)?;
    let wanted = call.node.int("k")?.map_or_else(|| call.int(1), |k| Ok(Some(k)))?;
    let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok()).filter(|&wanted| wanted <= x.shape[axis]);
    let Some(wanted) = wanted else { return wrong(format!("it wants more than there are of the {} elements", x.shape[axis])) };
    let is_largest = call.node.flag("largest", true)?;
    let mut shape = x.shape.to_vec();
    shape[axis] = wanted;
    let best = move || best_along(x, axis, wanted, is_largest);
    let extent = x.shape[axis];
    let inner = x.around(axis).2;
    let index = move |place: usize| (place / inner % extent) as i64;
    Ok(vec![
        Output::new(shape.clone(), x.kind, move || Ok(x.data()?.pick(best()?.into_iter())))?,
        Output::new(shape, Kind::I64, move || Ok(Data::I64(best()?.into_iter().map(index).collect())))?,
    ])
}

/// Both zeros are equal, and what is no number is the largest.
fn rising(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The places of the best elements of each line along an axis, in the order of the result. Of equals the first is better.
fn best_along(x: Fact, axis: usize, wanted: usize, is_largest: bool) -> Result<Vec<usize>, Fault> {
    let (outer, extent, inner) = x.around(axis);
    let data = x.data()?;
    let order = |a: &usize, b: &usize| {
        let order = match data {
            Data::F32(x) => rising(x[*a], x[*b]),
            Data::I64(x) => x[*a].cmp(&x[*b]),
            Data::Bool(x) => x[*a].cmp(&x[*b]),
        };
        if is_largest { order.reverse() } else { order }.then(a.cmp(b))
    };
    let mut result = vec![0; outer * wanted * inner];
    if result.is_empty() {
        return Ok(result);
    }
    for line in 0..outer * inner {
        let start = line / inner * extent * inner + line % inner;
        let mut places: Vec<_> = (0..extent).map(|at| start + at * inner).collect();
        places.sort_unstable_by(order);
        let start = line / inner * wanted * inner + line % inner;
        result[start..].iter_mut().step_by(inner).zip(places.into_iter().take(wanted)).for_each(|(to, place)| *to = place);
    }
    Ok(result)
}

/// The indices of elements that are not 0.
pub(super) fn non_zero<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let found: Vec<usize> = match x.data()? {
        Data::F32(x) => (0..x.len()).filter(|&at| x[at] != 0.0).collect(),
        Data::I64(x) => (0..x.len()).filter(|&at| x[at] != 0).collect(),
        Data::Bool(x) => (0..x.len()).filter(|&at| x[at]).collect(),
    };
    Output::only(vec![x.rank(), found.len()], Kind::I64, move || {
        let index = |axis: usize| {
            let (_, extent, inner) = x.around(axis);
            found.iter().map(move |place| (place / inner % extent) as i64)
        };
        Ok(Data::I64((0..x.rank()).flat_map(index).collect()))
    })
}

/// Corners of a box with x before y, the lower ones first.
fn corners(b: &[f32], is_centered: bool) -> [f32; 4] {
    match (is_centered, b) {
        (true, [x, y, w, h]) => [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0],
        (_, [a, b, c, d]) => [a.min(*c), b.min(*d), a.max(*c), b.max(*d)],
        _ => [0.0; 4],
    }
}

/// Intersection over union.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |b: [f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let both = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0) * (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    if both > 0.0 { both / (area(a) + area(b) - both) } else { 0.0 }
}

/// Boxes that no better one overlaps, by batch and class: [boxes, (batch, class, box)].
pub(super) fn non_max_suppression<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (boxes, scores) = (call.floats(0)?, call.floats(1)?);
    let (&[batch, count, 4], &[batches, classes, scored]) = (boxes.shape, scores.shape) else {
        return wrong(format!("its boxes and scores have the shapes {:?} and {:?}", boxes.shape, scores.shape));
    };
    if batch != batches || count != scored {
        return wrong(format!("its boxes and scores have the shapes {:?} and {:?}", boxes.shape, scores.shape));
    }
    let most = usize::try_from(call.int(2)?.unwrap_or(0)).unwrap_or(0);
    let (threshold, least) = (call.float(3)?.unwrap_or(0.0), call.float(4)?.unwrap_or(f32::NEG_INFINITY));
    let is_centered = call.node.flag("center_point_box", false)?;
    let (boxes, scores) = (boxes.f32()?, scores.f32()?);
    let mut kept = Vec::new();
    for line in 0..batch * classes {
        let (batch, class) = (line / classes, line % classes);
        let scores = &scores[line * count..][..count];
        let at = |number: usize| corners(&boxes[(batch * count + number) * 4..][..4], is_centered);
        let mut order: Vec<usize> = (0..count).filter(|&number| scores[number] > least).collect();
        order.sort_by(|&a, &b| rising(scores[b], scores[a]));
        let mut chosen: Vec<usize> = Vec::new();
        for number in order {
            if chosen.len() < most && chosen.iter().all(|&other| overlap(at(number), at(other)) <= threshold) {
                chosen.push(number);
            }
        }
        kept.extend(chosen.into_iter().flat_map(|number| [batch as i64, class as i64, number as i64]));
    }
    Output::only(vec![kept.len() / 3, 3], Kind::I64, move || Ok(Data::I64(kept)))
}
