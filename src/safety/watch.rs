//! Looking at frames as they are made.

use crate::error::Result;
use crate::safety::check::Safety;
use crate::safety::report::SafetyReport;
use crate::video::Frame;

/// Looks at a video of which the frames come one by one.
#[derive(Debug)]
pub struct Watch<'a> {
    safety: &'a mut Safety,
    frames: usize,
    next: usize,
    report: SafetyReport,
}

impl<'a> Watch<'a> {
    /// For a video of so many frames.
    pub fn new(safety: &'a mut Safety, frames: usize) -> Self {
        Self { safety, frames, next: 0, report: SafetyReport::default() }
    }

    /// Takes the next frame, looks at it where its turn is, and gives it back: as it was, unless flagged ones are to be
    /// [black](Safety::blacken).
    ///
    /// # Errors
    /// Those of the classifier.
    pub fn look(&mut self, frame: Frame) -> Result<Frame> {
        if self.safety.is_wanted(self.next, self.frames) {
            let score = self.safety.score(self.next, &frame.to_rgb8())?;
            self.report.push(score);
        }
        self.next += 1;
        let is_flagged = self.report.scores().last().is_some_and(|last| last.flagged);
        match is_flagged && self.safety.blackens() {
            true => Frame::new(frame.width(), frame.height(), vec![0.0; frame.samples().len()]),
            false => Ok(frame),
        }
    }

    /// Of the frames so far.
    pub fn report(&self) -> &SafetyReport {
        &self.report
    }
}
