//! The GPU's thread: it owns the device and the pipelines, and does what it is given, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::oneshot;
use wan_animate::networks::OnnxClassifier;
use wan_animate::safety::{Safety, SafetyCheck};
use wan_animate::video::Frames;
use wan_animate::{AnimatePipeline, Cancel, Device, Error, Location, Lora, MemoryBudget, Result};

use crate::config::Config;
use crate::request::{JobRequest, LoraChoice, SafetyMode};

/// Pipelines that are kept: LoRAs are merged into the weights, so that each choice of them has its own, as drafts have.
const KEPT: usize = 2;

pub struct Engine {
    config: Config,
    device: Option<Device>,
    /// The last used is the last.
    pipelines: Vec<(String, AnimatePipeline)>,
}

impl Engine {
    fn new(config: Config) -> Self {
        Self { config, device: None, pipelines: Vec::new() }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// After the GPU was lost: all of it anew.
    pub fn reset(&mut self) {
        self.pipelines.clear();
        self.device = None;
    }

    pub fn device(&mut self) -> Result<Device> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        let builder = self.config.adapter.iter().fold(Device::builder(), |builder, name| builder.adapter_name(name));
        let device = builder.build()?;
        self.device = Some(device.clone());
        Ok(device)
    }

    /// The checkpoint with the LoRAs of a request, and the decoder that it wants.
    pub fn pipeline(&mut self, loras: &[LoraChoice], is_draft: bool) -> Result<&AnimatePipeline> {
        let mut key = if is_draft { "draft".to_string() } else { String::new() };
        loras.iter().for_each(|lora| key += &format!("+{}*{}", lora.name, lora.weight));
        if let Some(at) = self.pipelines.iter().position(|(name, _)| *name == key) {
            let kept = self.pipelines.remove(at);
            self.pipelines.push(kept);
        } else {
            if self.pipelines.len() == KEPT {
                self.pipelines.remove(0);
            }
            let pipeline = self.load(loras, is_draft)?;
            self.pipelines.push((key, pipeline));
        }
        self.pipelines.last().map(|(_, pipeline)| pipeline).ok_or_else(|| Error::Input("no pipeline".into()))
    }

    fn load(&mut self, loras: &[LoraChoice], is_draft: bool) -> Result<AnimatePipeline> {
        let device = self.device()?;
        let missing = || Error::Input("the server has no checkpoint: start it with --model".into());
        let model = self.config.model.clone().ok_or_else(missing)?;
        let mut builder = AnimatePipeline::builder(&device).checkpoint(model.as_path());
        if let Some(gib) = self.config.memory_budget {
            builder = builder.memory_budget(MemoryBudget::gib(gib));
        }
        if let Some(decoder) = self.config.draft_decoder.as_ref().filter(|_| is_draft) {
            builder = builder.draft_decoder(decoder.as_path());
        }
        for lora in loras {
            let file = self.config.loras.get(&lora.name).ok_or_else(|| Error::Input(format!("there is no LoRA {:?}", lora.name)))?;
            builder = builder.lora(Lora::open(Location::from(file.as_path()))?.weight(lora.weight));
        }
        builder.build()
    }

    /// Whether a classifier flags the frames in a folder. None where nobody asked.
    pub fn flagged(&mut self, request: &JobRequest, frames: &Path, cancel: &Cancel) -> Result<Option<bool>> {
        let check = match request.safety {
            SafetyMode::None => return Ok(None),
            SafetyMode::Fast => SafetyCheck::Fast,
            SafetyMode::Full => SafetyCheck::Full,
        };
        let Some(network) = self.config.safety_network.clone() else { return Ok(None) };
        let device = self.device()?;
        let mut safety = Safety::new(OnnxClassifier::open(network.as_path(), &device)?).check(check);
        Ok(Some(safety.video(&Frames::open(frames)?, cancel)?.is_flagged()))
    }
}

type Work = Box<dyn FnOnce(&mut Engine) + Send>;

/// The way to the thread.
#[derive(Clone)]
pub struct EngineThread {
    sender: mpsc::Sender<Work>,
}

impl EngineThread {
    pub fn start(config: Config) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            let mut engine = Engine::new(config);
            for work in receiver {
                if catch_unwind(AssertUnwindSafe(|| work(&mut engine))).is_err() {
                    engine.reset();
                }
            }
        })?;
        Ok(Self { sender })
    }

    /// Its answer, once it is its turn; None where it panicked.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut Engine) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let work = move |engine: &mut Engine| {
            let _ = answer.send(work(engine));
        };
        self.sender.send(Box::new(work)).ok()?;
        answered.await.ok()
    }
}
