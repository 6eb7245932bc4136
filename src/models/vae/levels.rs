//! Rows of blocks as layers.

use crate::error::Result;
use crate::layers::Loader;
use crate::models::vae::{blocks::AttentionBlock, blocks::ResidualBlock, stream::Layer};

/// The `count` residual blocks of a level, as `resnets.0` and on; the first one changes the channels.
pub fn resnets(loader: &Loader, count: usize, inputs: usize, outputs: usize) -> Result<Vec<Layer>> {
    let widths = std::iter::once(inputs).chain(std::iter::repeat(outputs));
    let resnet = |(i, width)| ResidualBlock::load(&loader.scope(format_args!("resnets.{i}")), width, outputs).map(Layer::Residual);
    (0..count).zip(widths).map(resnet).collect()
}

/// The layers at the lowest resolution: a residual block, attention, a residual block.
pub fn mid_block(loader: &Loader, width: usize) -> Result<[Layer; 3]> {
    let scope = loader.scope("mid_block");
    let resnet = |i: usize| ResidualBlock::load(&scope.scope(format_args!("resnets.{i}")), width, width);
    let attention = AttentionBlock::load(&scope.scope("attentions.0"), width)?;
    Ok([Layer::Residual(resnet(0)?), Layer::Attention(attention), Layer::Residual(resnet(1)?)])
}
