//! A step of the transformer, of one block at full width, and the video autoencoder, with random weights of the published shapes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use wan_animate::unversioned::gpu::{Recorder, Tensor};
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::config::Config;
use wan_animate::unversioned::models::dit::{Dit, SessionOptions, Timestep};
use wan_animate::unversioned::models::sam2::{self, Sam2, memory_attention::Memories};
use wan_animate::unversioned::models::{spec::Sizes, taehv, taehv::TinyDecoder, vae};
use wan_animate::unversioned::weights::Weights;
use wan_animate::{Device, Result};

use crate::Bench;
use crate::published::{Data, Named, tensors, write_safetensors};

/// The demo's transformer, and a block of the published ones, on so few tokens that a processor is done in seconds.
pub fn small(bench: &mut Bench) -> Result<()> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model/transformer");
    let config: Config = serde_json::from_slice(&std::fs::read(demo.join("config.json")).expect("the demo")).expect("a configuration");
    step(bench, "demo transformer", |_| demo.join("diffusion_pytorch_model.safetensors"), &config, [6, 12, 12])?;
    block(bench, "1.3B", "diffusers_t2v_1_3b", [12, 8960], [4, 32, 32])?;
    block(bench, "14B", "diffusers_t2v_14b", [40, 13_824], [1, 32, 32])?;
    sam2(bench, "tiny", 256)?;
    autoencoder(bench, 5, [64, 64])
}

/// One block of Wan's 14B transformer with all tokens of 77 frames at 480p and 720p.
pub fn wan(bench: &mut Bench) -> Result<()> {
    for (width, height) in [(832, 480), (1280, 720)] {
        block(bench, "14B", "diffusers_t2v_14b", [40, 13_824], [21, height / 8, width / 8])?;
    }
    sam2(bench, "tiny", 1024)?;
    sam2(bench, "large", 1024)?;
    autoencoder(bench, 77, [480, 832])
}

/// `size` are heads and the inner width of the feed-forward, `grid` latent frames, height and width.
fn block(bench: &mut Bench, name: &str, golden: &str, [heads, ffn]: [usize; 2], grid: [usize; 3]) -> Result<()> {
    let config = json!({ "num_attention_heads": heads, "ffn_dim": ffn, "num_layers": 1, "in_channels": 16, "image_dim": null });
    let config: Config = serde_json::from_value(config).expect("a configuration");
    let of_one_block = |tensor: &Named| !tensor.name.starts_with("blocks.") || tensor.name.starts_with("blocks.0.");
    let checkpoint = Checkpoint::new(tensors(golden, "BF16").into_iter().filter(of_one_block).collect());
    step(bench, &format!("{name} block"), |device| checkpoint.path_for(device), &config, grid)
}

/// A pass of all that a transformer does in each step.
fn step(
    bench: &mut Bench,
    name: &str,
    weights: impl Fn(&Device) -> PathBuf,
    config: &Config,
    [frames, height, width]: [usize; 3],
) -> Result<()> {
    let tokens = frames * (height / 2) * (width / 2);
    let channels = config.in_channels()?;
    let load = |device: &Device| Dit::load(&Loader::new(device, &Arc::new(Weights::open(weights(device))?), Precision::F16), config);
    let prepare = |rec: &mut Recorder, dit: &Dit| {
        let text = random(rec, &[512, config.text_dim])?;
        let image = config.added_kv_proj_dim.zip(config.image_dim).map(|(_, width)| random(rec, &[257, width])).transpose()?;
        let mut session = dit.session(SessionOptions::default());
        dit.add_prompt(rec, &mut session, &text, image.as_ref())?;
        Ok((random(rec, &[channels, frames, height, width])?, session))
    };
    model(bench, &format!("{name}, {tokens} tokens"), load, prepare, |rec, dit, (latents, session)| {
        dit.forward(rec, session, 0, latents, Timestep::Of(500.0), &mut ()).map(drop)
    })
}

/// An image of `side` x `side` pixels through Hiera, and what it sees of seven others.
fn sam2(bench: &mut Bench, size: &str, side: usize) -> Result<()> {
    let checkpoint = Checkpoint::new(tensors(&format!("transformers_sam2_{size}"), "F32"));
    let config = sam2::config::Config { image_size: side, ..Sizes::of(&models::open(checkpoint.path())?)? };
    let load = |device: &Device| Sam2::load(&Loader::new(device, &models::open(checkpoint.path_for(device))?, Precision::F16), &config);
    let pixels = |rec: &mut Recorder, _: &Sam2| random(rec, &[side, side, 3]);
    model(bench, &format!("SAM 2 {size}, Hiera over {side}x{side}"), load, pixels, |rec, sam2, pixels| {
        sam2.hiera().forward(rec, pixels).map(drop)
    })?;
    let tokens = config.image_side().pow(2);
    let prepare = |rec: &mut Recorder, _: &Sam2| {
        let features = random(rec, &[tokens, config.hidden_size])?;
        Ok(([features.clone(), features.clone(), features], random(rec, &[7 * tokens, config.memory_dim])?))
    };
    model(bench, &format!("SAM 2, memory attention, {tokens} tokens"), load, prepare, |rec, sam2, (levels, values)| {
        sam2.recall(rec, levels, Memories { values, keys: values, placed: values.rows() }).map(drop)
    })
}

fn autoencoder(bench: &mut Bench, frames: usize, [height, width]: [usize; 2]) -> Result<()> {
    let checkpoint = Checkpoint::new(tensors("diffusers_vae_2_1", "F32"));
    let load = |device: &Device| {
        let weights = Arc::new(Weights::open(checkpoint.path_for(device))?);
        vae::Vae::load(&Loader::new(device, &weights, Precision::F16), &Default::default())
    };
    let of = format!("{frames} frames of {width}x{height}");
    model(
        bench,
        &format!("VAE encode, {of}"),
        load,
        |rec, _| random(rec, &[height, width, 3]),
        move |rec, vae, frame| {
            let mut encoder = vae.encoder();
            (0..frames).try_for_each(|_| encoder.next(rec, frame).map(drop))
        },
    )?;
    let latent = |rec: &mut Recorder, _: &vae::Vae| random(rec, &[height / 8, width / 8, 16]);
    model(bench, &format!("VAE decode, {of}"), load, latent, move |rec, vae, latent| {
        let mut decoder = vae.decoder();
        (0..frames.div_ceil(4)).try_for_each(|_| decoder.next(rec, latent).map(drop))
    })?;
    // A latent frame after another, as most are.
    let prepare = |rec: &mut Recorder, vae: &vae::Vae| {
        let (mut decoder, latent) = (vae.decoder(), latent(rec, vae)?);
        decoder.next(rec, &latent).map(|_| (decoder, latent))
    };
    model(bench, &format!("VAE, a latent frame of {width}x{height}"), load, prepare, |rec, _, (decoder, latent)| {
        decoder.next(rec, latent).map(drop)
    })?;
    let tiny = Checkpoint::new(tensors("taew2_1", "F16"));
    let load = |device: &Device| {
        let weights = Arc::new(Weights::open(tiny.path_for(device))?);
        TinyDecoder::load(&Loader::new(device, &weights, Precision::F16), &taehv::config::Config::of(&weights)?)
    };
    let prepare = |rec: &mut Recorder, decoder: &TinyDecoder| {
        let (mut stream, latent) = (decoder.stream(), random(rec, &[height / 8, width / 8, 16])?);
        stream.next(rec, &latent).map(|_| (stream, latent))
    };
    model(bench, &format!("tiny decoder, a latent frame of {width}x{height}"), load, prepare, |rec, _, (stream, latent)| {
        stream.next(rec, latent).map(drop)
    })
}

/// Times `run` on what `load` and `prepare` give.
fn model<M: 'static, I: 'static>(
    bench: &mut Bench,
    name: &str,
    load: impl Fn(&Device) -> Result<M>,
    prepare: impl Fn(&mut Recorder, &M) -> Result<I>,
    run: impl Fn(&mut Recorder, &M, &mut I) -> Result<()> + Clone + 'static,
) -> Result<()> {
    bench.time("model", name, &|rec| {
        let model = load(&rec.device().clone())?;
        let (mut inputs, run) = (prepare(rec, &model)?, run.clone());
        Ok(Box::new(move |rec| run(rec, &model, &mut inputs)))
    })
}

/// Numbers of both signs.
pub fn values(count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 * 0.002 - 1.0)
}

fn random(rec: &mut Recorder, shape: &[usize]) -> Result<Tensor> {
    rec.upload(shape, &values(shape.iter().product()).collect::<Vec<_>>())
}

/// A file of tensors with small random numbers, which are written when a device wants them: a dry one does not.
struct Checkpoint {
    folder: TempDir,
    tensors: Vec<Named>,
    places: Vec<u64>,
    is_filled: Cell<bool>,
}

impl Checkpoint {
    fn new(tensors: Vec<Named>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let places = write_safetensors(&folder.path().join(FILE), &tensors);
        Self { folder, tensors, places, is_filled: Cell::new(false) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    fn path_for(&self, device: &Device) -> PathBuf {
        if device.rehearsal().is_none() && !self.is_filled.replace(true) {
            Data::Dense.write(&self.path(), &self.tensors, &self.places);
        }
        self.path()
    }
}

const FILE: &str = "model.safetensors";
