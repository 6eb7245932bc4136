//! Looking at inputs and results with a classifier.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use wan_animate::networks::OnnxClassifier;
use wan_animate::safety::{Safety, SafetyCheck, SafetyReport};
use wan_animate::video::Frames;
use wan_animate::{Cancel, Device, Result};

/// What cannot be done without a classifier.
const NEED_NETWORK: [(&str, &str); 2] = [("fast", "safety_network"), ("full", "safety_network")];

fn threshold(text: &str) -> Result<f32, String> {
    let threshold = text.parse().ok().filter(|threshold| (0.0..=1.0).contains(threshold));
    threshold.ok_or_else(|| "a number from 0 to 1".into())
}

#[derive(Args, Debug)]
pub struct SafetyArguments {
    /// Looks at the inputs and the result for what is not safe for work, and says what --safety-network finds: fast looks at 8 frames of a video,
    /// full at all.
    #[arg(long, value_name = "none|fast|full", default_value_t = SafetyCheck::None, requires_ifs = NEED_NETWORK)]
    safety: SafetyCheck,
    /// The classifier, an ONNX file of two classes such as open-nsfw.onnx.
    #[arg(long, value_name = "ONNX")]
    safety_network: Option<PathBuf>,
    /// The least score that is flagged, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.8, requires = "safety_network", value_parser = threshold)]
    safety_threshold: f32,
    /// Makes frames of the result black that are flagged, and those up to the next one that is looked at.
    #[arg(long, requires = "safety_network")]
    safety_blacken: bool,
}

impl SafetyArguments {
    /// None where nothing is to be looked at.
    pub fn open(&self, device: &Device) -> Result<Option<Safety>> {
        let Some(network) = self.safety_network.as_ref().filter(|_| self.safety != SafetyCheck::None) else { return Ok(None) };
        let safety = Safety::new(OnnxClassifier::open(network.as_path(), device)?);
        safety.check(self.safety).blacken(self.safety_blacken).threshold(self.safety_threshold).map(Some)
    }
}

/// Looks at what is put in.
pub fn look<'a>(safety: &mut Safety, image: Option<&RgbImage>, videos: impl IntoIterator<Item = (&'a Path, Frames)>) -> Result<()> {
    if let Some(image) = image {
        tell("the image", &safety.image(image)?);
    }
    for (path, video) in videos {
        tell(&path.display().to_string(), &safety.video(&video, &Cancel::new())?);
    }
    Ok(())
}

/// One line.
pub fn tell(what: &str, report: &SafetyReport) {
    let Some(highest) = report.highest() else { return };
    let verdict = if report.is_flagged() { "flagged" } else { "not flagged" };
    eprintln!("safety of {what}: {verdict}, at most {:.3} (frame {})", highest.score, highest.frame);
}
