//! Points and boxes as tokens.

use crate::error::{Error, Result};
use crate::gpu::Tensor;
use crate::layers::Loader;
use crate::models::sam2::{config::Config, positions};

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

/// Makes tokens of prompts, on the host: they are few.
#[derive(Debug)]
pub struct PromptEncoder {
    image_size: usize,
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
        Ok(Self {
            image_size: config.image_size,
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
    /// [`Error::Input`] where a place is no number.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<f32>> {
        let places = prompt.places();
        if let Some(((x, y), _)) = places.iter().find(|((x, y), _)| !x.is_finite() || !y.is_finite()) {
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
}
