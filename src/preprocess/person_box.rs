//! The box around a person.

use super::keypoints::{Keypoint, WholeBody};

/// Points below this do not count for where a person is.
pub(crate) const SURE: f64 = 0.3;

/// A box in pixels: left, right, top, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PersonBox {
    /// Left edge.
    pub x1: f64,
    /// Right edge.
    pub x2: f64,
    /// Upper edge.
    pub y1: f64,
    /// Lower edge.
    pub y2: f64,
}

impl PersonBox {
    /// Around all points of a person with a score of at least 0.3; none where fewer than two have it.
    pub(crate) fn of(person: &WholeBody) -> Option<Self> {
        Self::around(person.points().iter().filter(|at| at.score >= SURE)).filter(|found| found.area() > 0.0)
    }

    /// Around points.
    pub(crate) fn around<'a>(points: impl Iterator<Item = &'a Keypoint>) -> Option<Self> {
        points.fold(None, |found: Option<Self>, &Keypoint { x, y, .. }| {
            let own = Self { x1: x, x2: x, y1: y, y2: y };
            Some(found.map_or(own, |f| Self { x1: f.x1.min(x), x2: f.x2.max(x), y1: f.y1.min(y), y2: f.y2.max(y) }))
        })
    }

    pub(crate) fn width(&self) -> f64 {
        self.x2 - self.x1
    }

    pub(crate) fn height(&self) -> f64 {
        self.y2 - self.y1
    }

    pub(crate) fn area(&self) -> f64 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    pub(super) fn diagonal(&self) -> f64 {
        self.width().hypot(self.height())
    }

    /// Grown by `share` of its sides, half of that on each side.
    pub(crate) fn grown(&self, share: f64) -> Self {
        let (dx, dy) = (self.width() * share / 2.0, self.height() * share / 2.0);
        Self { x1: self.x1 - dx, x2: self.x2 + dx, y1: self.y1 - dy, y2: self.y2 + dy }
    }

    /// What of it is in a picture of this size.
    pub(crate) fn within(&self, width: u32, height: u32) -> Self {
        let (across, down) = (|x: f64| x.clamp(0.0, width.into()), |y: f64| y.clamp(0.0, height.into()));
        Self { x1: across(self.x1), x2: across(self.x2), y1: down(self.y1), y2: down(self.y2) }
    }

    /// What is shared, over what is covered: 0 to 1.
    pub(crate) fn iou(&self, other: &Self) -> f64 {
        let (x1, x2) = (self.x1.max(other.x1), self.x2.min(other.x2));
        let (y1, y2) = (self.y1.max(other.y1), self.y2.min(other.y2));
        let shared = Self { x1, x2, y1, y2 }.area();
        let covered = self.area() + other.area() - shared;
        if covered > 0.0 { shared / covered } else { 0.0 }
    }
}
