//! From an image's features and a prompt's tokens to masks.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader};
use crate::models::sam2::neck::{LEVELS, pointwise};
use crate::models::sam2::{config::Config, two_way::TwoWayTransformer};
use crate::ops::copy::{concat, slice};
use crate::ops::lincomb::{activate, combine};
use crate::ops::{Activation, epilogue::Epilogue, gemm::call::Gemm, permute::permute};

/// Masks that are made: one for a clear prompt, and three for one that may mean several objects.
pub const MASKS: usize = 4;

/// Added to variances by the norm of pixels.
const EPS: f32 = 1e-6;

/// Three layers with ReLU between them.
#[derive(Debug)]
pub(super) struct Perceptron {
    layers: [Linear; 3],
}

impl Perceptron {
    pub(super) fn load(loader: &Loader, width: usize, outputs: usize) -> Result<Self> {
        let layer = |name: &str, outputs| Linear::load(loader, name, width, outputs);
        Ok(Self { layers: [layer("layers.0", width)?, layer("layers.1", width)?, layer("layers.2", outputs)?] })
    }

    /// x [L, C] to [L, outputs] in f32.
    pub(super) fn forward(&self, rec: &mut Recorder, x: &Tensor, last: Activation) -> Result<Tensor> {
        let x = self.layers[0].forward_activated(rec, x, Activation::Relu, DType::F32)?;
        let x = self.layers[1].forward_activated(rec, &x, Activation::Relu, DType::F32)?;
        self.layers[2].forward_activated(rec, &x, last, DType::F32)
    }
}

/// What is decoded, on the GPU.
#[derive(Debug)]
pub struct Decoded {
    /// Logits, [4, 16 H * W].
    pub masks: Tensor,
    /// How much of each mask is thought to be right, [1, 4], from 0 to 1.
    pub ious: Tensor,
    /// Above 0 where the object is in the image: [1, 1].
    pub score: Tensor,
    /// What masks were made of, [4, C].
    pub tokens: Tensor,
}

/// The mask decoder.
#[derive(Debug)]
pub struct MaskDecoder {
    side: usize,
    /// Those of the object's score, of the masks' quality, and of the masks: [6, C].
    own_tokens: Tensor,
    transformer: TwoWayTransformer,
    upscaling: [Linear; 2],
    upscaling_norm: LayerNorm,
    hypernetworks: [Perceptron; MASKS],
    iou_prediction_head: Perceptron,
    pred_obj_score_head: Perceptron,
    conv_s0: Linear,
    conv_s1: Linear,
    /// How what only feeds a product is stored.
    dtype: DType,
}

impl MaskDecoder {
    /// From `sam_mask_decoder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let width = config.hidden_size;
        let rows = |name: &str, count: usize| loader.values(name, &[count, width]);
        let (score, iou, masks) = (rows("obj_score_token.weight", 1)?, rows("iou_token.weight", 1)?, rows("mask_tokens.weight", MASKS)?);
        let own = || Ok([score()?, iou()?, masks()?].concat());
        let hyper = |mask: usize| Perceptron::load(&loader.scope(format_args!("output_hypernetworks_mlps.{mask}")), width, width / 8);
        let perceptron = |name: &str, outputs| Perceptron::load(&loader.scope(name), width, outputs);
        Ok(Self {
            side: config.image_side(),
            own_tokens: loader.upload("mask_tokens.weight", &[2 + MASKS, width], &own)?,
            transformer: TwoWayTransformer::load(&loader.scope("transformer"), config)?,
            upscaling: [
                upscaling(loader, "output_upscaling.0", width, width / 4)?,
                upscaling(loader, "output_upscaling.3", width / 4, width / 8)?,
            ],
            upscaling_norm: LayerNorm::load(loader, "output_upscaling.1", width / 4, EPS)?,
            hypernetworks: [hyper(0)?, hyper(1)?, hyper(2)?, hyper(3)?],
            iou_prediction_head: perceptron("iou_prediction_head", MASKS)?,
            pred_obj_score_head: perceptron("pred_obj_score_head", 1)?,
            conv_s0: pointwise(loader, "conv_s0", width, width / 8)?,
            conv_s1: pointwise(loader, "conv_s1", width, width / 4)?,
            dtype: loader.precision().operand(),
        })
    }

    /// From features of all levels, of which the coarsest has been told of a mask or that there is none, and a prompt's tokens [n, C].
    pub fn forward(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS], prompt: &Tensor, positions: &Tensor) -> Result<Decoded> {
        let tokens = concat(rec, &[&self.own_tokens, prompt])?;
        let [tokens, image] = self.transformer.forward(rec, &tokens, &levels[2], positions)?;
        let pixels = self.upscale(rec, &image, levels)?;
        let mut kernels = Vec::new();
        for (mask, hypernetwork) in self.hypernetworks.iter().enumerate() {
            let token = slice(rec, &tokens, 2 + mask, 1)?;
            kernels.push(hypernetwork.forward(rec, &token, Activation::None)?);
        }
        let kernels = concat(rec, &kernels.iter().collect::<Vec<_>>())?;
        let masks = rec.alloc(&[pixels.rows(), MASKS], DType::F32)?;
        Gemm { x: &pixels, w: &kernels, first: 0, epilogue: Epilogue::default(), out: &masks }.record(rec)?;
        let (score, iou, tokens) = (slice(rec, &tokens, 0, 1)?, slice(rec, &tokens, 1, 1)?, slice(rec, &tokens, 2, MASKS)?);
        Ok(Decoded {
            masks: permute(rec, &masks, &[1, 0], DType::F32)?,
            ious: self.iou_prediction_head.forward(rec, &iou, Activation::Sigmoid)?,
            score: self.pred_obj_score_head.forward(rec, &score, Activation::None)?,
            tokens,
        })
    }

    /// The image at four times its height and width, [16 H * W, C / 8] in f32, with the finer levels.
    fn upscale(&self, rec: &mut Recorder, image: &Tensor, levels: &[Tensor; LEVELS]) -> Result<Tensor> {
        let [coarse, fine] = &self.upscaling;
        let doubled = doubled(rec, coarse, image, self.side)?;
        let skip = self.conv_s1.forward(rec, &levels[1], DType::F32)?;
        let sum = combine(rec, &[(1.0, &doubled), (1.0, &skip)], 0.0, Activation::None, DType::F32)?;
        let normed = self.upscaling_norm.forward(rec, &sum, DType::F32)?;
        let x = activate(rec, &normed, Activation::GeluErf, self.dtype)?;
        let doubled = self::doubled(rec, fine, &x, 2 * self.side)?;
        let skip = self.conv_s0.forward(rec, &levels[0], DType::F32)?;
        combine(rec, &[(1.0, &doubled), (1.0, &skip)], 0.0, Activation::GeluErf, DType::F32)
    }
}

/// A transposed convolution of two by two pixels that are as far apart: a layer whose rows make four pixels each.
fn upscaling(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
    let scope = loader.scope(name);
    let (weight, bias) = (scope.values("weight", &[inputs, outputs, 2, 2])?, scope.values("bias", &[outputs])?);
    let turned = |values: Vec<f32>| {
        let at = |i: usize| values[(i % inputs * outputs + i / inputs % outputs) * 4 + i / (inputs * outputs)];
        (0..values.len()).map(at).collect()
    };
    let weight = scope.matrix_from("weight", [4 * outputs, inputs], &|| weight().map(turned))?;
    let bias = scope.upload("bias", &[4 * outputs], &|| Ok(bias()?.repeat(4)))?;
    Ok(Linear::new(weight, Some(bias)))
}

/// x [side * side, C] to [4 side * side, C'] in f32 by such a layer.
fn doubled(rec: &mut Recorder, layer: &Linear, x: &Tensor, side: usize) -> Result<Tensor> {
    let (four, channels) = (layer.forward(rec, x, DType::F32)?, layer.outputs() / 4);
    let out = permute(rec, &four.reshape(&[side, side, 2, 2, channels]), &[0, 2, 1, 3, 4], DType::F32)?;
    Ok(out.reshape(&[4 * side * side, channels]))
}
