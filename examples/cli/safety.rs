//! Looking at inputs and results with a classifier.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use wan_animate::networks::OnnxClassifier;
use wan_animate::safety::{Safety, SafetyCheck, SafetyReport};
use wan_animate::video::Frames;
use wan_animate::{Cancel, Device, Error, Result};

#[derive(Args, Debug)]
pub struct SafetyArguments {
    /// Looks at the inputs and the result for what is not safe for work, and says what --safety-network finds: fast looks at 8 frames of a video,
    /// full at all.
    #[arg(long, value_name = "none|fast|full", default_value_t = SafetyCheck::None)]
    safety: SafetyCheck,
    /// The classifier, an ONNX file of two classes such as open-nsfw.onnx.
    #[arg(long, value_name = "ONNX")]
    safety_network: Option<PathBuf>,
    /// The least score that is flagged, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.8)]
    safety_threshold: f32,
    /// Makes frames of the result black that are flagged, and those up to the next one that is looked at.
    #[arg(long)]
    safety_blacken: bool,
}

impl SafetyArguments {
    /// None where nothing is to be looked at.
    pub fn open(&self, device: &Device) -> Result<Option<Safety>> {
        if self.safety == SafetyCheck::None {
            return Ok(None);
        }
        let network = self.safety_network.as_ref().ok_or_else(|| {
            Error::Input("--safety needs --safety-network, an ONNX classifier of two classes such as open-nsfw.onnx".into())
        })?;
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
