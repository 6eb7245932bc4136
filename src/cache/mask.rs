//! Masks of the evaluations that are computed, for methods that know beforehand.

use std::cell::Cell;
use std::ops::Range;

use crate::cache::curve::CacheCurve;

/// An evaluation of a model, as masks look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The noise level.
    pub sigma: f64,
    /// The number of the expert at work.
    pub expert: usize,
    /// Relative change of the time embedding since the evaluation before; 0 where nobody looks at it.
    pub change: f64,
}

/// Keeps evaluations from being reused: outside of the bounds, and where too many in a row would be.
pub struct Limits<'a> {
    /// By evaluation, whether it may be reused.
    pub reusable: &'a [bool],
    pub max_consecutive: usize,
}

impl Limits<'_> {
    /// A mask by what `wants` says: whether to reuse evaluation `i`, which may not be; it is told then that it is not.
    fn mask(&self, mut wants: impl FnMut(usize) -> bool, mut computed: impl FnMut()) -> Vec<bool> {
        let mut run = 0;
        let mut decide = |i: usize| {
            let reuses = wants(i) && self.reusable[i] && run < self.max_consecutive;
            run = if reuses { run + 1 } else { 0 };
            if !reuses {
                computed();
            }
            !reuses
        };
        (0..self.reusable.len()).map(&mut decide).collect()
    }
}

/// MagCache: reused until the error that adds up, how far the residual's size is from 1, is above the threshold. The first `kept` of
/// each expert's evaluations are computed.
pub fn mag(moments: &[Moment], curve: &CacheCurve, threshold: f64, kept: impl Fn(usize) -> usize, limits: &Limits) -> Vec<bool> {
    let state = Cell::new((1.0f64, 0.0f64));
    let wants = |i: usize| {
        let own = own(moments, i);
        if i - own.start < kept(own.len()) || i == own.start {
            return false;
        }
        let (mut ratio, mut error) = state.get();
        ratio *= curve.ratio(moments[i].expert, moments[i - 1].sigma, moments[i].sigma);
        error += (1.0 - ratio).abs();
        state.set((ratio, error));
        error <= threshold
    };
    limits.mask(wants, || state.set((1.0, 0.0)))
}

/// TeaCache: reused until the changes of the time embedding, as an expert's polynomial `coefficients` (highest power first) scale them, add up
/// to the distance.
pub fn tea(moments: &[Moment], coefficients: impl Fn(usize) -> &'static [f64], distance: f64, limits: &Limits) -> Vec<bool> {
    let sum = Cell::new(0.0);
    let wants = |i: usize| {
        sum.set(sum.get() + coefficients(moments[i].expert).iter().fold(0.0, |value, coefficient| value * moments[i].change + coefficient));
        sum.get() < distance
    };
    limits.mask(wants, || sum.set(0.0))
}

/// TaylorSeer: after the first `before`, one in `interval`, counted as diffusers does.
pub fn taylor(count: usize, before: usize, interval: usize, limits: &Limits) -> Vec<bool> {
    debug_assert_eq!(count, limits.reusable.len());
    let is_due = |i: usize| (i as i64 - before as i64 - 1).rem_euclid(interval as i64) == 0;
    limits.mask(|i| i >= before && !is_due(i), || ())
}

/// A given one, as far as it may be.
pub fn given(mask: &[bool], limits: &Limits) -> Vec<bool> {
    limits.mask(|i| !mask[i], || ())
}

/// The evaluations in a row by the expert of evaluation `i`.
pub(super) fn own(moments: &[Moment], i: usize) -> Range<usize> {
    let expert = moments[i].expert;
    let start = moments[..i].iter().rposition(|moment| moment.expert != expert).map_or(0, |before| before + 1);
    let end = moments[i..].iter().position(|moment| moment.expert != expert).map_or(moments.len(), |after| i + after);
    start..end
}
