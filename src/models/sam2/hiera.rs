//! Hiera: a transformer in four stages, whose attention stays in windows but for a few blocks.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp};
use crate::models::sam2::config::{Config, STAGES};
use crate::models::sam2::positions;
use crate::models::sam2::window::{Grid, join, part};
use crate::ops::attention::{Heads, attention};
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;
use crate::ops::pool::{Pool, pool};
use crate::ops::window::Window;
use crate::ops::{Activation, operand_dtype};

/// Added to variances by all its norms.
const EPS: f32 = 1e-6;

/// Patches, their positions, and the blocks of all stages.
#[derive(Debug)]
pub struct Hiera {
    image_size: usize,
    patches: ConvWeight,
    patches_bias: Tensor,
    /// [1, S / 4, S / 4, C]
    positions: Tensor,
    blocks: Vec<Block>,
    /// The last block of each stage.
    ends: [usize; STAGES],
}

impl Hiera {
    /// From `image_encoder.trunk.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (dim, side, window) = (config.embed_dim, config.side(0), config.window_size_per_stage[0]);
        let [height, width] = config.background_size;
        let coarse = loader.values("pos_embed", &[1, dim, height, width])?;
        let within = loader.values("pos_embed_window", &[1, dim, window, window])?;
        let read = || Ok(positions::hiera(&coarse()?, [height, width], &within()?, window, side));
        let patch = loader.scope("patch_embed.proj");
        let (mut blocks, mut ends) = (Vec::new(), [0; STAGES]);
        for (stage, end) in ends.iter_mut().enumerate() {
            for number in 0..config.blocks_per_stage[stage] {
                let shape = Shape::of(config, stage, number, blocks.len());
                blocks.push(Block::load(&loader.scope(format_args!("blocks.{}", blocks.len())), shape)?);
            }
            *end = blocks.len() - 1;
        }
        Ok(Self {
            image_size: config.image_size,
            patches: patch.conv("weight", &[dim, 3, 7, 7])?,
            patches_bias: patch.tensor("bias", &[dim])?,
            positions: loader.upload("pos_embed", &[1, side, side, dim], &read)?,
            blocks,
            ends,
        })
    }

    /// A normalised image [S, S, 3] in f32 to what each stage makes of it, [H, W, C] in f32.
    ///
    /// # Errors
    /// [`Error::Input`] where the image is of another size.
    pub fn forward(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<[Tensor; STAGES]> {
        let side = self.image_size;
        if pixels.shape() != [side, side, 3] {
            return Err(Error::Input(format!("SAM 2's pixels: shape {:?}, expected [{side}, {side}, 3]", pixels.shape())));
        }
        let finish = Finish { bias: Some(&self.patches_bias), residual: Some(&self.positions), ..Default::default() };
        let options = ConvOptions { stride: 4, pad: [(0, 0), (3, 3), (3, 3)], finish, ..Default::default() };
        let x = conv(rec, &pixels.reshape(&[1, side, side, 3]), &self.patches, options, DType::F32)?;
        let mut x = x.reshape(&x.shape()[1..]);
        let mut stages = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(rec, &x)?;
            if self.ends.contains(&number) {
                stages.push(x.clone());
            }
        }
        stages.try_into().map_err(|_| Error::Input("Hiera has four stages".into()))
    }
}

/// The sizes of a block.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inputs: usize,
    outputs: usize,
    heads: usize,
    /// None where attention is over the whole image.
    window: Option<usize>,
}

impl Shape {
    fn of(config: &Config, stage: usize, number: usize, block: usize) -> Self {
        // The first block of a stage comes from the one before.
        let before = if number == 0 { stage.saturating_sub(1) } else { stage };
        Self {
            inputs: config.dim(before),
            outputs: config.dim(stage),
            heads: config.num_attention_heads_per_stage[stage],
            window: Some(config.window_size_per_stage[before]).filter(|_| !config.global_attention_blocks.contains(&block)),
        }
    }

    /// Whether it halves height and width.
    fn halves(&self) -> bool {
        self.inputs != self.outputs
    }
}

#[derive(Debug)]
struct Block {
    shape: Shape,
    /// How what only feeds a product is stored.
    dtype: DType,
    norm1: LayerNorm,
    qkv: [Linear; 3],
    attn_proj: Linear,
    norm2: LayerNorm,
    mlp: Mlp,
    /// Where the number of channels changes.
    proj: Option<Linear>,
}

impl Block {
    fn load(loader: &Loader, shape: Shape) -> Result<Self> {
        let Shape { inputs, outputs, .. } = shape;
        let attn = loader.scope("attn");
        let [q, k, v] = [0, 1, 2].map(|part| third(&attn, "qkv", part, [outputs, inputs]));
        Ok(Self {
            shape,
            dtype: loader.precision().operand(),
            norm1: LayerNorm::load(loader, "norm1", inputs, EPS)?,
            qkv: [q?, k?, v?],
            attn_proj: Linear::load(&attn, "proj", outputs, outputs)?,
            norm2: LayerNorm::load(loader, "norm2", outputs, EPS)?,
            mlp: Mlp::load(&loader.scope("mlp"), ["layers.0", "layers.1"], [outputs, 4 * outputs], Activation::GeluErf)?,
            proj: shape.halves().then(|| Linear::load(loader, "proj", inputs, outputs)).transpose()?,
        })
    }

    /// x [H, W, C] in f32 to the same, or to half the height and width of twice as many channels.
    fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let (height, width, inputs) = (x.shape()[0], x.shape()[1], x.cols());
        let grid = Grid { height, width, window: self.shape.window };
        let normed = self.norm1.forward(rec, &x.reshape(&[height * width, inputs]), DType::F32)?;
        let (residual, out) = match &self.proj {
            None => (x.clone(), grid),
            Some(proj) => {
                let wide = proj.forward(rec, &normed, DType::F32)?;
                (halved(rec, &wide, [1, height, width])?, grid.halved())
            }
        };
        let operand = operand_dtype(self.dtype, inputs);
        let windows = part(rec, &normed, grid, operand)?;
        let attended = self.attend(rec, &windows, grid)?;
        let attended = join(rec, &attended, out)?;
        let rows = [out.height * out.width, self.shape.outputs];
        let x = self.attn_proj.forward_residual(rec, &attended, None, &residual.reshape(&rows))?;
        let normed = self.norm2.forward(rec, &x, self.dtype)?;
        Ok(self.mlp.forward(rec, &normed, None, &x)?.reshape(&[out.height, out.width, self.shape.outputs]))
    }

    /// Rows of all windows one after another, [windows * tokens, C].
    fn attend(&self, rec: &mut Recorder, x: &Tensor, grid: Grid) -> Result<Tensor> {
        let Shape { outputs, heads, .. } = self.shape;
        let operand = operand_dtype(self.dtype, outputs / heads);
        let [q, k, v] = &self.qkv;
        let mut q = q.forward(rec, x, operand)?;
        let (k, v) = (k.forward(rec, x, operand)?, v.forward(rec, x, operand)?);
        let (batches, [height, width]) = (grid.windows(), grid.window_size());
        if self.shape.halves() {
            q = halved(rec, &q, [batches, height, width])?;
        }
        let how = Heads { batches, ..Heads::scaled(heads, outputs) };
        attention(rec, &q, &k, &v, how, operand)
    }
}

/// One third of a layer that makes queries, keys and values.
fn third(loader: &Loader, name: &str, part: usize, [outputs, inputs]: [usize; 2]) -> Result<Linear> {
    let scope = loader.scope(name);
    let (weight, bias) = (scope.values("weight", &[3 * outputs, inputs])?, scope.values("bias", &[3 * outputs])?);
    let cut = |values: Vec<f32>, length: usize| values[part * length..][..length].to_vec();
    let weight = scope.matrix_from("weight", [outputs, inputs], &|| Ok(cut(weight()?, outputs * inputs)))?;
    let bias = scope.upload("bias", &[outputs], &|| Ok(cut(bias()?, outputs)))?;
    Ok(Linear::new(weight, Some(bias)))
}

/// The largest of two by two neighbours in each of so many images [H, W, C], as rows.
fn halved(rec: &mut Recorder, x: &Tensor, [images, height, width]: [usize; 3]) -> Result<Tensor> {
    let window = Window { kernel: [2, 2], stride: [2, 2], pad: [(0, 0); 2], places: [height / 2, width / 2] };
    let out = pool(rec, &x.reshape(&[images, height, width, x.cols()]), Pool::Max, &window, x.dtype())?;
    Ok(out.reshape(&[out.rows(), out.cols()]))
}
