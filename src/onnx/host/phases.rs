//! A plane of an image with its padding, parted by the strides of a window, so that each element of the window goes over it in one straight line.

use super::window::{Slide, Window};

/// By how much phases may be larger than what they are made of and make: dilations can spread a window over any number of elements.
const SPREAD: usize = 4;

#[derive(Clone)]
pub(super) struct Phases {
    /// How the window slides along columns and along rows.
    axes: [Slide; 2],
    /// For each phase of rows and of columns, its elements [rows, pitch].
    elements: Vec<f32>,
}

impl Phases {
    /// For planes whose padding is `fill`; `None` for windows of three axes, and such as would take far more memory than the image.
    pub(super) fn new(window: &Window, fill: f32) -> Option<Self> {
        let [z, y, x] = window.axes;
        let count = [y, x].iter().try_fold(1usize, |count, slide| count.checked_mul(slide.stride)?.checked_mul(extent(slide)));
        let least = (y.image * x.image + y.places * x.places).max(1 << 10);
        // Padding alone may be all that a window sees of a third axis.
        let is_flat = [z.image, z.kernel, z.places] == [1, 1, 1] && z.at(0, 0) == Some(0);
        let fits = count.is_some_and(|count| count <= SPREAD * least);
        (is_flat && fits).then(|| Self { axes: [y, x], elements: vec![fill; count.unwrap_or_default()] })
    }

    /// Takes a plane in place of the one before.
    pub(super) fn load(&mut self, plane: &[f32]) {
        let [y, x] = self.axes;
        let (rows, pitch) = (extent(&y), extent(&x));
        for (line, row) in plane.chunks_exact(x.image).zip(y.pads[0]..) {
            if row / y.stride >= rows {
                continue;
            }
            for phase in 0..x.stride {
                // The first column of the plane that is of this phase.
                let first = (phase + x.stride - x.pads[0] % x.stride) % x.stride;
                let begin = ((row % y.stride * x.stride + phase) * rows + row / y.stride) * pitch;
                let at = ((first + x.pads[0]) / x.stride).min(pitch);
                let (from, to) = (line.get(first..).unwrap_or_default(), &mut self.elements[begin + at..begin + pitch]);
                match x.stride {
                    1 => to.iter_mut().zip(from).for_each(|(to, &from)| *to = from),
                    2 => to.iter_mut().zip(from.iter().step_by(2)).for_each(|(to, &from)| *to = from),
                    stride => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from),
                }
            }
        }
    }

    /// What an element of the window meets at all places, line by line; what lies between the lines belongs to no place.
    pub(super) fn met(&self, row: usize, column: usize) -> &[f32] {
        let [y, x] = self.axes;
        let (row, column) = (row * y.dilation, column * x.dilation);
        let phase = row % y.stride * x.stride + column % x.stride;
        let begin = (phase * extent(&y) + row / y.stride) * extent(&x) + column / x.stride;
        &self.elements[begin..begin + self.count()]
    }

    /// From the first place to the last, as an element of the window meets them.
    pub(super) fn count(&self) -> usize {
        let [y, x] = self.axes;
        (y.places - 1) * extent(&x) + x.places
    }

    /// What was made of what elements of the window met, without what lies between the lines.
    pub(super) fn gather(&self, made: &[f32], out: &mut [f32]) {
        let [_, x] = self.axes;
        out.chunks_exact_mut(x.places).zip(made.chunks(extent(&x))).for_each(|(out, made)| out.copy_from_slice(&made[..x.places]));
    }
}

/// Elements of a phase along an axis: what the first element of the window meets, and as far as the last reaches beyond.
fn extent(slide: &Slide) -> usize {
    slide.places + slide.kernel.saturating_sub(1) * slide.dilation / slide.stride
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to slide along an axis of up to 7 elements.
    fn slides() -> impl Iterator<Item = Slide> {
        let settings = (1..=7_usize).flat_map(|image| (1..=3).flat_map(move |kernel| (1..=3).map(move |stride| (image, kernel, stride))));
        let settings = settings.flat_map(|of| (1..=3).flat_map(move |dilation| [[0, 0], [0, 1], [2, 1]].map(|pads| (of, dilation, pads))));
        settings.filter_map(|((image, kernel, stride), dilation, pads)| {
            let room = (image + pads[0] + pads[1]).checked_sub((kernel - 1) * dilation + 1)?;
            Some(Slide { image, kernel, stride, dilation, pads, places: room / stride + 1 })
        })
    }

    #[test]
    fn every_element_meets_what_the_window_covers() {
        let mut tested = 0;
        for y in slides().step_by(5) {
            for x in slides().step_by(3) {
                // Two planes one after the other: nothing may be left of the first.
                let planes = [1.0, 2.0].map(|sign| (0..y.image * x.image).map(|at| sign * (at + 1) as f32).collect::<Vec<_>>());
                let Some(mut phases) = Phases::new(&Window::of_two(y, x), -1.0) else { continue };
                planes.iter().for_each(|plane| phases.load(plane));
                for (row, column) in (0..y.kernel).flat_map(|row| (0..x.kernel).map(move |column| (row, column))) {
                    let mut met = vec![0.0; y.places * x.places];
                    phases.gather(phases.met(row, column), &mut met);
                    let at = |place| Some(y.at(place / x.places, row)? * x.image + x.at(place % x.places, column)?);
                    let covered: Vec<f32> = (0..met.len()).map(|place| at(place).map_or(-1.0, |at| planes[1][at])).collect();
                    assert_eq!(met, covered, "{y:?} {x:?} [{row}, {column}]");
                    tested += 1;
                }
            }
        }
        assert!(tested > 10_000, "{tested}");
    }
}
