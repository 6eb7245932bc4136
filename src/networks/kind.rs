//! What a network is, told from its inputs and outputs.

use std::fmt;

use crate::onnx::{Graph, Port};
use crate::preprocess::NUM_KEYPOINTS;

/// Of YOLO networks of 17 key points: a box, its score, and three numbers a point.
const POSE_ROWS: usize = 5 + 17 * 3;

/// What a network is for, and in which form it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Detector(Form),
    /// [1, 133, h, w]
    Heatmaps,
    /// [1, 133, 2 W] and [1, 133, 2 H]
    SimCc,
    /// Points of a body, but so many.
    OtherPoints(usize),
    /// [1, 1, H, W] of [1, 3, H, W].
    Mask,
    MediaPipePose,
    MediaPipeHand,
    MediaPipeFace,
    /// Chances of so many classes.
    Classes(usize),
    Unknown,
}

/// How a detector puts boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// [1, N, 6], YOLOv10 and what chooses by itself.
    Chosen,
    /// [1, 4 + C, N], YOLOv8 and later.
    YoloV8,
    /// [1, N, 5 + C], YOLOv5 and v7.
    YoloV5,
    /// [1, N, 5 + C], YOLOX.
    YoloX,
    /// [1, N, 5] and [1, N].
    Labelled,
    /// [1, N, C] and [1, N, 4].
    Detr,
    NanoDet,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Detector(_) => f.write_str("a detector of persons"),
            Self::Heatmaps | Self::SimCc => write!(f, "a network of {NUM_KEYPOINTS} key points"),
            Self::OtherPoints(points) => write!(f, "a network of {points} key points, where {NUM_KEYPOINTS} (COCO-WholeBody) are needed"),
            Self::Mask => f.write_str("a network of masks"),
            Self::MediaPipePose => f.write_str("MediaPipe's pose network"),
            Self::MediaPipeHand => f.write_str("MediaPipe's hand network"),
            Self::MediaPipeFace => f.write_str("MediaPipe's face network"),
            Self::Classes(classes) => write!(f, "a classifier of {classes} classes"),
            Self::Unknown => f.write_str("no network of persons, key points or masks that is known by its outputs"),
        }
    }
}

/// The shapes of a graph's input and outputs.
pub(super) struct Outputs<'a> {
    input: &'a [usize],
    shapes: Vec<Option<&'a [usize]>>,
    names: Vec<&'a str>,
}

impl<'a> Outputs<'a> {
    pub(super) fn of(graph: &'a Graph) -> Self {
        let shape = |port: &'a Port| port.shape.as_deref();
        let input = match graph.inputs() {
            [only] => shape(only).unwrap_or_default(),
            _ => &[],
        };
        let names = graph.outputs().iter().map(|port| port.name.as_str()).collect();
        Self { input, shapes: graph.outputs().iter().map(shape).collect(), names }
    }

    /// Width and height of the picture that is put in.
    pub(super) fn input_size(&self) -> (usize, usize) {
        match *self.input {
            [1, 3, height, width] => (width, height),
            [1, height, width, 3] => (width, height),
            _ => (0, 0),
        }
    }

    /// The place of the first output whose shape passes a test.
    pub(super) fn find(&self, is: impl Fn(&[usize]) -> bool) -> Option<usize> {
        self.shapes.iter().position(|shape| shape.is_some_and(&is))
    }

    /// The place of an output with so many elements.
    pub(super) fn with_elements(&self, count: usize) -> Option<usize> {
        self.find(|shape| shape.iter().product::<usize>() == count)
    }

    fn has(&self, is: impl Fn(&[usize]) -> bool) -> bool {
        self.find(is).is_some()
    }

    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| *own == name)
    }

    /// Cells of grids that are 8, 16 and 32 pixels wide.
    fn cells(&self) -> usize {
        let (width, height) = self.input_size();
        [8, 16, 32].into_iter().map(|stride| (width / stride) * (height / stride)).sum()
    }

    pub(super) fn kind(&self) -> Kind {
        let (width, height) = self.input_size();
        if width == 0 {
            return Kind::Unknown;
        }
        match self.input {
            [1, 256, 256, 3] if self.with_elements(195).is_some() => return Kind::MediaPipePose,
            [1, 224, 224, 3] if self.with_elements(63).is_some() => return Kind::MediaPipeHand,
            [1, 192, 192, 3] if self.with_elements(1404).is_some() => return Kind::MediaPipeFace,
            // Others are shown channels first, but for some classifiers.
            [1, _, _, 3] => return self.classes().unwrap_or(Kind::Unknown),
            _ => {}
        }
        if let Some(form) = self.detector() {
            return Kind::Detector(form);
        }
        if self.has(|shape| *shape == [1, 1, height, width]) {
            return Kind::Mask;
        }
        self.points().or_else(|| self.classes()).unwrap_or(Kind::Unknown)
    }

    fn detector(&self) -> Option<Form> {
        let cells = self.cells();
        let level = |stride: usize, width: usize| {
            let (w, h) = self.input_size();
            self.has(|shape| *shape == [1, (w / stride) * (h / stride), width])
        };
        if level(8, 44) && level(16, 44) && level(32, 44) {
            return Some(Form::NanoDet);
        }
        let is_of = |name: &str, is: fn(&[usize]) -> bool| self.named(name).is_some_and(|at| self.shapes[at].is_none_or(is));
        if is_of("dets", |shape| matches!(*shape, [1, _, 5])) && is_of("labels", |shape| matches!(*shape, [1, _])) {
            return Some(Form::Labelled);
        }
        if let [Some(a), Some(b)] = self.shapes[..]
            && let [&[1, queries, classes], &[1, others, 4]] | [&[1, others, 4], &[1, queries, classes]] = [a, b]
            && queries == others
            && queries != cells
            && classes >= 2
        {
            return Some(Form::Detr);
        }
        // With planes beside the boxes it is one of outlines, whose numbers are among those of classes.
        if self.shapes.iter().skip(1).flatten().any(|shape| shape.len() == 4) {
            return None;
        }
        match *self.shapes.first().copied().flatten()? {
            [1, POSE_ROWS, count] if count == cells => None,
            [1, width @ 6..=10_000, count] if count == cells && width < count => Some(Form::YoloV8),
            [1, 5, count] if count == cells => Some(Form::YoloV8),
            [1, count, 6..=10_000] if count == cells => Some(Form::YoloX),
            [1, count, 6..=10_000] if count == 3 * cells => Some(Form::YoloV5),
            [1, 1..=1000, 6] => Some(Form::Chosen),
            _ => None,
        }
    }

    fn points(&self) -> Option<Kind> {
        let (width, height) = self.input_size();
        let heatmaps = |shape: &[usize]| match *shape {
            [1, points @ 5..=10_000, h, w] if h > 1 && w > 1 && (4 * w, 4 * h) == (width, height) => Some(points),
            _ => None,
        };
        let rows = |side: usize| {
            self.shapes.iter().flatten().find_map(|shape| match **shape {
                [1, points @ 5..=10_000, length] if length == 2 * side => Some(points),
                _ => None,
            })
        };
        let of = |points: usize, kind: Kind| if points == NUM_KEYPOINTS { kind } else { Kind::OtherPoints(points) };
        let by_heatmap = self.shapes.iter().flatten().find_map(|shape| heatmaps(shape)).map(|points| of(points, Kind::Heatmaps));
        let by_rows = rows(width).zip(rows(height)).filter(|(x, y)| x == y).map(|(points, _)| of(points, Kind::SimCc));
        by_heatmap.or(by_rows)
    }

    fn classes(&self) -> Option<Kind> {
        match (&self.shapes[..], self.shapes.first().copied().flatten()?) {
            ([_], &[1, classes @ 2..=100_000]) => Some(Kind::Classes(classes)),
            _ => None,
        }
    }
}
