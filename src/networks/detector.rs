//! Finding persons.

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::networks::boxes::{self, Candidate, PERSON, Person, suppress};
use crate::networks::kind::{Form, Kind, Outputs};
use crate::networks::net::{Made, Net, open};
use crate::networks::patch::{Patch, Samples};
use crate::onnx::Graph;
use crate::preprocess::PersonBox;

/// Finds persons in a picture. An application may bring its own.
pub trait PersonDetector: wgpu::WasmNotSend {
    /// Everybody in the picture, in any order.
    ///
    /// # Errors
    /// Those of the detector.
    fn persons(&mut self, frame: &RgbImage) -> Result<Vec<Person>>;
}

/// How sure a network must be, and which boxes are of one person.
#[derive(Clone, Copy)]
struct Rule {
    score: f64,
    overlap: f64,
    /// Whether only boxes of a class suppress each other.
    by_class: bool,
}

/// A detector from an ONNX file: YOLOv5 to YOLOv10, YOLOX, RT-DETR and its like, NanoDet, told apart by their outputs.
#[derive(Debug)]
pub struct OnnxDetector {
    net: Net,
    form: Form,
}

impl OnnxDetector {
    /// Opens a file, or a folder with one.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no ONNX file, or none of a detector; [`Error::Unsupported`] for operators that are not supported;
    /// [`Error::Limits`] and [`Error::Device`] where the GPU has no room, or fails.
    pub fn open(file: impl Into<Location>, device: &Device) -> Result<Self> {
        Self::load(open(&file.into())?, device)
    }

    pub(super) fn load(graph: Graph, device: &Device) -> Result<Self> {
        match Outputs::of(&graph).kind() {
            Kind::Detector(form) => Ok(Self { net: Net::load(graph, device)?, form }),
            other => Err(Error::weights(graph.path(), format!("this is {other}, where a detector of persons is wanted"))),
        }
    }

    /// What the network is shown of a picture, and how, as it was trained.
    fn input(&self, size: (u32, u32)) -> (Patch, Samples) {
        let input = self.net.input_size();
        let levels = Samples { deviation: [1.0; 3], bgr: true, ..Samples::UNIT };
        match self.form {
            Form::Chosen | Form::Detr | Form::NanoDet => (Patch::stretch(size, input), Samples::UNIT),
            Form::YoloV8 | Form::YoloV5 => (Patch::letterbox(size, input, true), Samples::UNIT),
            Form::YoloX => (Patch::letterbox(size, input, false), levels),
            // RTMDet's, in which channels go by their order in the picture.
            Form::Labelled => {
                let (mean, deviation) = ([103.53, 116.28, 123.675], [57.375, 57.12, 58.395]);
                (Patch::letterbox(size, input, false), Samples { mean, deviation, ..levels })
            }
        }
    }

    fn rule(&self) -> Rule {
        let (score, overlap) = match self.form {
            // As Wan2.2's own preprocessing, in which whatever is in front of a person can hide it.
            Form::Chosen => return Rule { score: 0.05, overlap: 0.5, by_class: false },
            Form::NanoDet => (0.1, 0.5),
            Form::YoloX => (0.3, 0.45),
            _ => (0.25, 0.5),
        };
        Rule { score, overlap, by_class: true }
    }

    fn candidates(&self, made: &Made) -> Vec<Candidate> {
        let (input, graph) = (self.net.input_size(), self.net.graph());
        let outputs = Outputs::of(graph);
        let place = |is: &dyn Fn(&[usize]) -> bool| outputs.find(is).unwrap_or_default();
        match self.form {
            Form::Chosen => boxes::chosen(made.floats(0)),
            Form::YoloV8 => boxes::yolo_v8(made.floats(0), made.shape(0).last().copied().unwrap_or_default()),
            Form::YoloV5 => boxes::yolo_v5(made.floats(0), made.shape(0).last().copied().unwrap_or_default()),
            Form::YoloX => boxes::yolox(made.floats(0), made.shape(0).last().copied().unwrap_or_default(), input),
            Form::Labelled => {
                let [dets, labels] = ["dets", "labels"].map(|name| outputs.named(name).unwrap_or_default());
                boxes::labelled(made.floats(dets), made.wholes(labels).into_iter())
            }
            Form::Detr => {
                let sides = place(&|shape| matches!(*shape, [1, _, 4]));
                boxes::detr(made.floats(1 - sides.min(1)), made.floats(sides), input)
            }
            Form::NanoDet => {
                let level = |stride: usize| {
                    let count = (input.0 / stride) * (input.1 / stride);
                    let scores = place(&|shape| matches!(*shape, [1, own, width] if own == count && width != 44));
                    boxes::nanodet(made.floats(scores), made.floats(place(&|shape| *shape == [1, count, 44])), input, stride)
                };
                [8, 16, 32].into_iter().flat_map(level).collect()
            }
        }
    }
}

impl PersonDetector for OnnxDetector {
    fn persons(&mut self, frame: &RgbImage) -> Result<Vec<Person>> {
        let (patch, form) = self.input(frame.dimensions());
        let made = self.net.run(patch.samples(frame, &form))?;
        let rule = self.rule();
        let sure = self.candidates(&made).into_iter().filter(|candidate| candidate.score >= rule.score).collect();
        let persons = suppress(sure, rule.overlap, rule.by_class).into_iter().filter(|kept| kept.class == PERSON);
        let in_frame = |Candidate { bounds, score, .. }: Candidate| {
            let ((x1, y1), (x2, y2)) = (patch.back.apply((bounds.x1, bounds.y1)), patch.back.apply((bounds.x2, bounds.y2)));
            let bounds = PersonBox { x1, x2, y1, y2 }.within(frame.width(), frame.height());
            (bounds.area() >= 1.0).then_some(Person { bounds, score })
        };
        Ok(persons.filter_map(in_frame).collect())
    }
}
