//! What is decided of a run's evaluations before it begins.

use crate::cache::bound::CacheBound;
use crate::cache::mask::{self, Limits, Moment};
use crate::cache::{curve::CacheCurve, easy::Easy, judge::Judge, method::CacheMethod, method::digits, scm, settings::Cache, tables::Kin};
use crate::error::{Error, Result};

#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// By evaluation of a segment: whether it is, or may be, reused.
    reusable: Vec<bool>,
    /// By evaluation: whether what was computed up to it may be needed by a later one.
    kept: Vec<bool>,
    /// What decides on the way, where something does.
    way: Way,
    /// Layers at the beginning and at the end that are always computed.
    ends: (usize, usize),
    /// Of the polynomial by which residuals are extrapolated.
    order: usize,
    /// By evaluation: whether the size of what the layers add is measured, and a later one compared with it.
    measured: Vec<bool>,
}

/// How it is decided on evaluations that may be reused.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    Planned,
    /// After the first layers of each branch.
    Judge(Judge),
    /// Before the evaluation, by latents and predictions.
    Easy(Easy),
}

/// The model that makes the evaluations.
pub struct Model<'a> {
    /// Whose like the expert of a number is.
    pub kin: &'a dyn Fn(usize) -> Kin,
    pub layers: usize,
}

impl Steps {
    /// So many evaluations, all of them computed.
    pub fn all(count: usize) -> Self {
        Self {
            reusable: vec![false; count],
            kept: vec![false; count],
            way: Way::Planned,
            ends: (0, 0),
            order: 0,
            measured: vec![false; count],
        }
    }

    /// All of them computed, and how their residuals shrink measured.
    pub fn measured(moments: &[Moment]) -> Self {
        let measured = (0..moments.len()).map(|i| i + 1 < mask::own(moments, i).end).collect();
        Self { measured, ..Self::all(moments.len()) }
    }

    /// What `cache` comes to for these evaluations.
    ///
    /// # Errors
    /// [`Error::Input`] for a mask of another length, a policy that has none, or more layers than there are.
    pub fn plan(cache: &Cache, moments: &[Moment], model: &Model) -> Result<Self> {
        cache.check()?;
        let (front, back) = cache.method.ends();
        if front.saturating_add(back) >= model.layers {
            let message = format!("the cache `{}` leaves nothing to reuse of a model of {} blocks", cache.method, model.layers);
            return Err(Error::Input(message));
        }
        let allowed = allowed(cache, moments);
        let way = way(cache);
        let reusable = match planned(cache, moments, model, &allowed)? {
            Some(mask) => mask.into_iter().map(|computed| !computed).collect(),
            None => allowed,
        };
        let order = cache.method.order();
        let looks_back = if let Way::Easy(_) = way { EASY_LOOKS_BACK } else { order };
        let kept = (0..moments.len()).map(|i| is_needed(&reusable, moments, i, looks_back)).collect();
        Ok(Self { reusable, kept, way, ends: (front, back), order, measured: vec![false; moments.len()] })
    }

    /// How many evaluations there are.
    pub fn count(&self) -> usize {
        self.reusable.len()
    }

    /// How many of those from a number on are computed: exactly, or at most where it is decided on the way.
    pub fn computed_from(&self, first: usize) -> usize {
        let is_computed = |&&reusable: &&bool| !reusable || !self.is_exact();
        self.reusable.iter().skip(first).filter(is_computed).count()
    }

    /// Whether all is decided beforehand.
    pub fn is_exact(&self) -> bool {
        self.way == Way::Planned
    }

    /// Whether an evaluation is, or may be, reused.
    pub fn may_reuse(&self, evaluation: usize) -> bool {
        self.reusable[evaluation]
    }

    /// Whether what was computed of the layers up to an evaluation may be needed by a later one.
    pub fn keeps(&self, evaluation: usize) -> bool {
        self.kept[evaluation]
    }

    /// Whether the size of what the layers add in an evaluation is measured, and whether a later one is compared with it.
    pub fn measures(&self, evaluation: usize) -> (bool, bool) {
        (self.measured.contains(&true), self.measured[evaluation])
    }

    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Layers at the beginning and at the end that are always computed.
    pub fn ends(&self) -> (usize, usize) {
        self.ends
    }

    /// Of the polynomial by which residuals are extrapolated.
    pub fn order(&self) -> usize {
        self.order
    }

    /// As a mask: 1 for what is computed, 0 for what is, or may be, reused.
    pub fn digits(&self) -> String {
        digits(&self.reusable.iter().map(|reusable| !reusable).collect::<Vec<_>>())
    }
}

/// Evaluations that TaylorSeer computes first, as in diffusers.
const TAYLOR_FIRST: usize = 3;
/// Steps that DBCache computes first.
const DUAL_FIRST: CacheBound = CacheBound::Step(9);
/// Those that EasyCache does.
const EASY_FIRST: CacheBound = CacheBound::Step(11);
/// Evaluations before the last that it needs to know of.
const EASY_LOOKS_BACK: usize = 1;

fn way(cache: &Cache) -> Way {
    let judge = |threshold, strict| Way::Judge(Judge::new(threshold, strict, cache.max_consecutive, cache.max_reused));
    match cache.method {
        CacheMethod::FirstBlock { threshold } => judge(threshold, false),
        CacheMethod::DualBlock { threshold, .. } => judge(threshold, true),
        CacheMethod::Easy { threshold } => Way::Easy(Easy::new(threshold, cache.max_consecutive)),
        _ => Way::Planned,
    }
}

/// The mask of a method that has one.
fn planned(cache: &Cache, moments: &[Moment], model: &Model, allowed: &[bool]) -> Result<Option<Vec<bool>>> {
    let count = moments.len();
    let limits = |own: Option<usize>| Limits { reusable: allowed, max_consecutive: cache.max_consecutive.or(own).unwrap_or(usize::MAX) };
    let mask = match &cache.method {
        &CacheMethod::Mag { threshold, max_consecutive, retention } => {
            let curve = cache.curve.clone().map_or_else(|| built_in_curve(moments, model), Ok)?;
            let kept = |own: usize| (own as f64 * retention + 0.5) as usize;
            mask::mag(moments, &curve, threshold, kept, &limits(Some(max_consecutive)))
        }
        CacheMethod::Tea { distance } => mask::tea(moments, |expert| (model.kin)(expert).tea(), *distance, &limits(None)),
        CacheMethod::Taylor { interval, .. } => {
            let before = cache.start.map_or(TAYLOR_FIRST, |start| start.before(count));
            mask::taylor(count, before, *interval, &limits(None))
        }
        CacheMethod::Scm(policy) => mask::given(&scm::mask(*policy, count)?, &limits(None)),
        CacheMethod::Mask(given) if given.len() != count => {
            let message = format!("a mask of {} digits for the cache, and the run has {count} evaluations: give one for each", given.len());
            return Err(Error::Input(message));
        }
        CacheMethod::Mask(given) => mask::given(given, &limits(None)),
        CacheMethod::FirstBlock { .. } | CacheMethod::DualBlock { .. } | CacheMethod::Easy { .. } => return Ok(None),
    };
    Ok(Some(mask))
}

/// By evaluation, whether it lies within the bounds. The first of an expert's never does: there is nothing yet to reuse.
fn allowed(cache: &Cache, moments: &[Moment]) -> Vec<bool> {
    let count = moments.len();
    let first = cache.start.or(match cache.method {
        CacheMethod::DualBlock { .. } => Some(DUAL_FIRST),
        CacheMethod::Easy { .. } => Some(EASY_FIRST),
        _ => None,
    });
    let keeps_last = matches!(cache.method, CacheMethod::Mag { .. } | CacheMethod::Tea { .. } | CacheMethod::Easy { .. });
    let end = cache.end.map_or(count - usize::from(keeps_last), |end| end.up_to(count));
    let is_allowed = |i: usize| {
        let own = mask::own(moments, i);
        let first = first.map_or(1, |start| start.before(own.len()).max(1));
        i - own.start >= first && i < end
    };
    (0..count).map(is_allowed).collect()
}

/// Whether one of the last `order + 1` evaluations that were computed up to number `i` may be needed by a later one.
fn is_needed(reusable: &[bool], moments: &[Moment], i: usize, order: usize) -> bool {
    let later = &reusable[i + 1..mask::own(moments, i).end];
    later.iter().position(|&reused| reused).is_some_and(|computed_before| computed_before <= order)
}

fn built_in_curve(moments: &[Moment], model: &Model) -> Result<CacheCurve> {
    let experts = moments.iter().map(|moment| moment.expert).max().unwrap_or(0);
    CacheCurve::new((0..=experts).map(|expert| (model.kin)(expert).points()).collect())
}
