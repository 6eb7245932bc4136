use std::iter;
use std::ops::Range;

use wan_animate::Result;
use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::ops::copy::{concat, join_inner, slice};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn joined(rec: &mut Recorder, parts: &[Host]) -> Result<Tensor> {
    let tensors = parts.iter().map(|part| part.send(rec)).collect::<Result<Vec<_>>>()?;
    concat(rec, &tensors.iter().collect::<Vec<_>>())
}

fn concat_case(parts: Vec<Host>) -> Case {
    let parts2 = parts.clone();
    let name = format!("{} parts of {:?} {}", parts.len(), parts[0].shape, parts[0].dtype);
    Case::new(name, [], move |rec, []| joined(rec, &parts), move || oracle::concat(&parts2))
}

fn joined_inner(rec: &mut Recorder, parts: &[(Host, Range<usize>)]) -> Result<Tensor> {
    let tensors = parts.iter().map(|(part, range)| Ok((part.send(rec)?, range.clone()))).collect::<Result<Vec<_>>>()?;
    join_inner(rec, &tensors.iter().map(|(tensor, range)| (tensor, range.clone())).collect::<Vec<_>>())
}

fn inner_case(parts: Vec<(Host, Range<usize>)>) -> Case {
    let parts2 = parts.clone();
    let name = format!("{} parts along the second axis, {:?} of {:?} first", parts.len(), parts[0].1, parts[0].0.shape);
    Case::new(name, [], move |rec, []| joined_inner(rec, &parts), move || oracle::join_inner(&parts2))
}

fn slice_case(x: Host, from: usize, count: usize) -> Case {
    Case::new(
        format!("{count} entries of {:?} {} from {from} on", x.shape, x.dtype),
        [&x.clone()],
        move |rec, [x]| slice(rec, x, from, count),
        move || oracle::slice(&x, from, count),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |seed, shape: &[usize]| Host::random(seed, shape, 1.0);
    vec![
        concat_case(vec![x(1, &[2, 3, 5])]),
        concat_case(vec![x(1, &[2, 7]), x(2, &[1, 7]), x(3, &[0, 7]), x(4, &[4, 7])]),
        concat_case(vec![x(1, &[3, 2]).to(F16), x(2, &[5, 2]).to(F16)]),
        inner_case(vec![(x(1, &[3, 1, 2, 5]), 0..1), (x(2, &[3, 4, 2, 5]), 0..4)]),
        inner_case(vec![(x(1, &[2, 1, 7]), 0..1), (x(2, &[2, 5, 7]), 1..5), (x(3, &[2, 3, 7]), 2..2)]),
        slice_case(x(1, &[6, 5]), 1, 3),
        slice_case(x(1, &[6, 5]), 0, 6),
        slice_case(x(1, &[6, 5]), 6, 0),
        slice_case(x(1, &[6, 2]).to(F16), 5, 1),
    ]
}

/// None: the bench times copies as one of the adapter's peaks.
pub fn timed(_: Sizes) -> impl Iterator<Item = Case> {
    iter::empty()
}

pub fn refusals() -> Vec<Refusal> {
    let x = |shape: &[usize], dtype| Host::random(1, shape, 1.0).to(dtype);
    let concat = |says, parts: Vec<Host>| Refusal::new(says, [], move |rec, []| joined(rec, &parts));
    let slice = |says, x, from, count| Refusal { says, prepare: slice_case(x, from, count).prepare };
    let inner = |says, parts: Vec<(Host, Range<usize>)>| Refusal::new(says, [], move |rec, []| joined_inner(rec, &parts));
    vec![
        inner("nothing along the second axis", vec![]),
        inner("shapes [2, 3] and [3, 3]", vec![(x(&[2, 3], F32), 0..3), (x(&[3, 3], F32), 0..3)]),
        inner("of which 1..4", vec![(x(&[2, 3, 4], F32), 0..3), (x(&[2, 3, 4], F32), 1..4)]),
        concat("nothing", vec![]),
        concat("nothing", vec![x(&[], F32)]),
        concat("shapes [2, 3] and [2, 4]", vec![x(&[2, 3], F32), x(&[2, 4], F32)]),
        concat("a concatenation of", vec![x(&[2, 4], F32), x(&[2, 4], F16)]),
        concat("multiples of four", vec![x(&[1, 3], F16), x(&[1, 3], F16)]),
        slice("2 entries from 5 on", x(&[6, 5], F32), 5, 2),
        slice("entries from 7 on", x(&[6, 5], F32), 7, 0),
        slice("entries from 1 on", x(&[6, 5], F32), 1, usize::MAX),
        slice("0 entries from 0 on", x(&[], F32), 0, 0),
    ]
}

pub mod oracle {
    use std::ops::Range;

    use crate::approx::Approx;
    use crate::host::Host;

    pub fn concat(parts: &[Host]) -> Vec<Approx> {
        parts.iter().flat_map(|part| (0..part.values.len()).map(|i| part.at(i))).collect()
    }

    pub fn slice(x: &Host, from: usize, count: usize) -> Vec<Approx> {
        let row = x.values.len() / x.shape[0];
        (from * row..(from + count) * row).map(|i| x.at(i)).collect()
    }

    pub fn join_inner(parts: &[(Host, Range<usize>)]) -> Vec<Approx> {
        let row = |x: &Host| x.shape[2..].iter().product::<usize>();
        let entries =
            |outer: usize| parts.iter().flat_map(move |(x, range)| range.clone().map(move |inner| (x, outer * x.shape[1] + inner)));
        (0..parts[0].0.shape[0]).flat_map(entries).flat_map(|(x, entry)| (0..row(x)).map(move |i| x.at(entry * row(x) + i))).collect()
    }
}
