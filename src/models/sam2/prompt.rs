//! Points and boxes as tokens.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader};
use crate::models::sam2::{config::Config, downscaling::Downscaling, neck::pointwise, positions};

/// Kinds of points that have an embedding: outside of the object, within it, and the two corners of a box.
const KINDS: usize = 4;

/// What is said of an object in an image, in pixels of that image as the model takes it, S wide and high. Places outside of it are allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// x, y, and whether the object is there.
    pub points: Vec<(f64, f64, bool)>,
    /// Left, top, right and bottom.
    pub bounds: Option<[f64; 4]>,
}

impl Prompt {
    /// By place and kind, the corners of the box first, as the model was trained.
    fn places(&self) -> Vec<((f64, f64), usize)> {
        let corners = self.bounds.into_iter().flat_map(|[x1, y1, x2, y2]| [((x1, y1), 2), ((x2, y2), 3)]);
        corners.chain(self.points.iter().map(|&(x, y, within)| ((x, y), usize::from(within)))).collect()
    }

    /// Whether several masks may be meant: of one point at most, that of a part or of the whole.
    pub fn is_ambiguous(&self) -> bool {
        self.bounds.is_none() && self.points.len() < 2
    }
}

/// Channels that an earlier mask has before it is as wide as features.
const MASK_CHANNELS: [usize; 3] = [1, 4, 16];

/// Pixels from the corner of a picture within which a place has sines.
const FAR: f64 = 1e9;

/// How sure an earlier mask may be.
const SURE: f32 = 32.0;

/// Makes tokens of prompts, on the host: they are few.
#[derive(Debug)]
pub struct PromptEncoder {
    image_size: usize,
    side: usize,
    mask_steps: [Downscaling; 2],
    mask_proj: Linear,
    /// [2, C / 2]
    matrix: Vec<f32>,
    kinds: [Vec<f32>; KINDS],
    not_a_point: Vec<f32>,
    /// `[C]`: in the place of an earlier mask.
    pub no_mask: Tensor,
    /// [H * W, C]
    pub image_positions: Tensor,
}

impl PromptEncoder {
    /// From `sam_prompt_encoder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, side) = (config.hidden_size, config.image_side());
        let matrix = loader.values("pe_layer.positional_encoding_gaussian_matrix", &[2, width / 2])?;
        let row = |name: &str| loader.values(name, &[1, width])?();
        let grid = || Ok(positions::grid(&matrix()?, side));
        let mask = loader.scope("mask_downscaling");
        let step = |number: usize| Downscaling::load(&mask, number, [MASK_CHANNELS[number], MASK_CHANNELS[number + 1]], 2);
        Ok(Self {
            image_size: config.image_size,
            side,
            mask_steps: [step(0)?, step(1)?],
            mask_proj: pointwise(&mask, "6", MASK_CHANNELS[2], width)?,
            matrix: matrix()?,
            kinds: [
                row("point_embeddings.0.weight")?,
                row("point_embeddings.1.weight")?,
                row("point_embeddings.2.weight")?,
                row("point_embeddings.3.weight")?,
            ],
            not_a_point: row("not_a_point_embed.weight")?,
            no_mask: loader.tensor("no_mask_embed.weight", &[1, width])?.reshape(&[width]),
            image_positions: loader.upload("pe_layer", &[side * side, width], &grid)?,
        })
    }

    /// The tokens of a prompt, [n, C] row by row: a last one says that there are no more, and where there is nothing else another does.
    ///
    /// # Errors
    /// [`Error::Input`] where a place is no number, or beyond all pictures.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<f32>> {
        let places = prompt.places();
        if let Some(((x, y), _)) = places.iter().find(|((x, y), _)| !(x.abs() < FAR && y.abs() < FAR)) {
            return Err(Error::Input(format!("a prompt at {x}, {y}")));
        }
        let share = |at: f64| (at + 0.5) / self.image_size as f64;
        let mut tokens = Vec::new();
        for &((x, y), kind) in &places {
            let place = positions::fourier(&self.matrix, (share(x), share(y)));
            tokens.extend(place.iter().zip(&self.kinds[kind]).map(|(place, kind)| place + kind));
        }
        let ends = if places.is_empty() { 2 } else { 1 };
        (0..ends).for_each(|_| tokens.extend(&self.not_a_point));
        Ok(tokens)
    }

    /// What the logits of a mask that was found before add to features, [H * W, C] in f32.
    ///
    /// # Errors
    /// [`Error::Input`] where they are not those of a mask of such an image.
    pub fn mask(&self, rec: &mut Recorder, logits: &[f32]) -> Result<Tensor> {
        let logits: Vec<f32> = logits.iter().map(|logit| logit.clamp(-SURE, SURE)).collect();
        let mut mask = rec.upload(&[1, 4 * self.side, 4 * self.side, 1], &logits)?;
        for step in &self.mask_steps {
            mask = step.forward(rec, &mask)?;
        }
        self.mask_proj.forward(rec, &mask.reshape(&[mask.rows(), mask.cols()]), DType::F32)
    }
}
