//! Sizes that the host computes in several parts and on several cores, beside plain sums in f64.

use wan_animate::unversioned::onnx::{Data, Graph, Value};

use crate::make::{ints, model, node, port, raw, tensor, whole, write};

/// Numbers that do not repeat soon.
fn values(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * step).sin()).collect()
}

/// What a graph of one node makes of `x` [`shape`], with a constant `w` where there is one.
fn made(op: &str, attributes: &[Vec<u8>], x: (&[usize], &[f32]), w: Option<(&[usize], &[f32])>) -> Value {
    let dims = |shape: &[usize]| shape.iter().map(|&extent| extent as i64).collect::<Vec<_>>();
    let inputs: &[&str] = if w.is_some() { &["x", "w"] } else { &["x"] };
    let mut parts = vec![port(11, "x", &dims(x.0)), port(12, "y", &[]), node(op, inputs, &["y"], attributes)];
    parts.extend(w.map(|(shape, elements)| tensor("w", &dims(shape), &[raw(elements)])));
    let folder = tempfile::tempdir().expect("a folder");
    let graph = Graph::open(write(folder.path(), "model.onnx", model(&parts)), &[]).expect("opened");
    graph.run(&[("x", Value::new(x.0, Data::F32(x.1.to_vec())))]).expect("computed").remove(0)
}

/// f32 sums of up to 1,000 products of numbers below 1: 1e-4 of the largest.
fn close(found: &Value, expected: &[f64], what: &str) {
    let found = found.f32().expect("numbers");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max);
    assert!(worst <= 1e-4 * largest, "{what}: {worst:e} of {largest:e}");
}

/// How a window slides along both axes of a square image.
#[derive(Clone, Copy, Debug)]
struct Slide {
    side: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
}

impl Slide {
    fn attributes(&self) -> Vec<Vec<u8>> {
        let both = |value: usize| [value as i64; 2];
        let pads = [self.pads[0], self.pads[0], self.pads[1], self.pads[1]].map(|pad| pad as i64);
        let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation].map(both);
        vec![ints("kernel_shape", &kernel), ints("strides", &stride), ints("dilations", &dilation), ints("pads", &pads)]
    }

    fn places(&self) -> usize {
        (self.side + self.pads[0] + self.pads[1] - (self.kernel - 1) * self.dilation - 1) / self.stride + 1
    }

    /// The elements of a plane that the window covers at a place, each with its number in the window.
    fn covered(&self, place: usize) -> impl Iterator<Item = (usize, usize)> {
        let slide = *self;
        let at = move |place: usize, element: usize| {
            (place * slide.stride + element * slide.dilation).checked_sub(slide.pads[0]).filter(|&at| at < slide.side)
        };
        (0..slide.kernel * slide.kernel).filter_map(move |element| {
            let y = at(place / slide.places(), element / slide.kernel)?;
            Some((element, y * slide.side + at(place % slide.places(), element % slide.kernel)?))
        })
    }
}

const SLIDES: [Slide; 4] = [
    Slide { side: 71, kernel: 3, stride: 1, dilation: 1, pads: [1, 1] },
    Slide { side: 70, kernel: 5, stride: 2, dilation: 1, pads: [1, 2] },
    Slide { side: 37, kernel: 2, stride: 3, dilation: 4, pads: [0, 3] },
    Slide { side: 60, kernel: 1, stride: 1, dilation: 1, pads: [0, 0] },
];

#[test]
fn convolutions_of_single_channels_are_right() {
    const CHANNELS: usize = 37;
    for slide in SLIDES {
        let (plane, window) = (slide.side * slide.side, slide.kernel * slide.kernel);
        let (x, w) = (values(CHANNELS * plane, 0.37), values(CHANNELS * window, 1.7));
        let mut attributes = slide.attributes();
        attributes.push(whole("group", CHANNELS as i64));
        let shapes = ([1, CHANNELS, slide.side, slide.side], [CHANNELS, 1, slide.kernel, slide.kernel]);
        let found = made("Conv", &attributes, (&shapes.0, &x), Some((&shapes.1, &w)));
        let places = slide.places() * slide.places();
        let sum = |at: usize| {
            let (channel, place) = (at / places, at % places);
            let terms =
                slide.covered(place).map(|(element, at)| f64::from(w[channel * window + element]) * f64::from(x[channel * plane + at]));
            terms.sum::<f64>()
        };
        close(&found, &(0..CHANNELS * places).map(sum).collect::<Vec<_>>(), &format!("{slide:?}"));
    }
}

#[test]
fn convolutions_of_many_channels_are_right() {
    const INPUTS: usize = 5;
    const OUTPUTS: usize = 131;
    for slide in SLIDES {
        let (plane, window) = (slide.side * slide.side, slide.kernel * slide.kernel);
        let (x, w) = (values(INPUTS * plane, 0.37), values(OUTPUTS * INPUTS * window, 1.7));
        let shapes = ([1, INPUTS, slide.side, slide.side], [OUTPUTS, INPUTS, slide.kernel, slide.kernel]);
        let found = made("Conv", &slide.attributes(), (&shapes.0, &x), Some((&shapes.1, &w)));
        let places = slide.places() * slide.places();
        let sum = |at: usize| {
            let (output, place) = (at / places, at % places);
            let of = |input: usize| {
                let weights = &w[(output * INPUTS + input) * window..];
                slide.covered(place).map(|(element, at)| f64::from(weights[element]) * f64::from(x[input * plane + at])).sum::<f64>()
            };
            (0..INPUTS).map(of).sum::<f64>()
        };
        close(&found, &(0..OUTPUTS * places).map(sum).collect::<Vec<_>>(), &format!("{slide:?}"));
    }
}

#[test]
fn pools_are_right() {
    for slide in SLIDES {
        let plane = slide.side * slide.side;
        let x = values(3 * plane, 0.37);
        let found = made("MaxPool", &slide.attributes(), (&[1, 3, slide.side, slide.side], &x), None);
        let places = slide.places() * slide.places();
        let most =
            |at: usize| slide.covered(at % places).map(|(_, within)| x[at / places * plane + within]).fold(f32::NEG_INFINITY, f32::max);
        let expected: Vec<f32> = (0..3 * places).map(most).collect();
        assert_eq!(found.f32().expect("numbers"), expected, "{slide:?}");
    }
}

#[test]
fn products_are_right() {
    let [stack, rows, inner, cols] = [2, 131, 33, 1030];
    let (x, w) = (values(stack * rows * inner, 0.37), values(inner * cols, 1.7));
    let found = made("MatMul", &[], (&[stack, rows, inner], &x), Some((&[inner, cols], &w)));
    let sum = |at: usize| (0..inner).map(|k| f64::from(x[at / cols * inner + k]) * f64::from(w[k * cols + at % cols])).sum::<f64>();
    close(&found, &(0..stack * rows * cols).map(sum).collect::<Vec<_>>(), "a product");
}

/// Before a single plane there may be padding that is all the window sees.
#[test]
fn windows_may_see_nothing_but_padding() {
    let attributes = [ints("strides", &[2, 1, 1]), ints("pads", &[1, 0, 0, 0, 0, 0]), whole("group", 1)];
    let found = made("Conv", &attributes, (&[1, 1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]), Some((&[1, 1, 1, 1, 1], &[5.0])));
    assert_eq!(found.shape(), [1, 1, 1, 2, 2]);
    assert_eq!(found.f32().expect("numbers"), [0.0; 4]);
}
