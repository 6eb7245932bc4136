//! The table: for each op its cases and what it must refuse.

mod activation;
mod attention;
mod binary;
mod channelwise;
mod conv;
mod copy;
mod depthwise;
mod elementwise;
pub mod expand;
mod gather;
mod layer_norm;
mod lincomb;
mod matmul;
mod norm_rope;
mod permute;
mod pixels;
mod pool;
mod resample;
mod rgba8;
mod rms_norm;
mod rope;
mod rows;
mod shortcut;
mod strided;
mod unary;

use crate::case::{Case, Refusal};

pub fn cases() -> Vec<Case> {
    [
        activation::cases(),
        attention::cases(),
        conv::cases(),
        copy::cases(),
        depthwise::cases(),
        elementwise::cases(),
        expand::cases(),
        gather::cases(),
        layer_norm::cases(),
        lincomb::cases(),
        matmul::cases(),
        permute::cases(),
        pixels::cases(),
        rms_norm::cases(),
        norm_rope::cases(),
        shortcut::cases(),
        binary::cases(),
        channelwise::cases(),
        pool::cases(),
        resample::cases(),
        rgba8::cases(),
        rope::cases(),
        rows::cases(),
        strided::cases(),
        unary::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn refusals() -> Vec<Refusal> {
    [
        attention::refusals(),
        conv::refusals(),
        copy::refusals(),
        depthwise::refusals(),
        elementwise::refusals(),
        expand::refusals(),
        gather::refusals(),
        layer_norm::refusals(),
        lincomb::refusals(),
        matmul::refusals(),
        permute::refusals(),
        pixels::refusals(),
        rms_norm::refusals(),
        norm_rope::refusals(),
        shortcut::refusals(),
        binary::refusals(),
        channelwise::refusals(),
        pool::refusals(),
        resample::refusals(),
        rope::refusals(),
        rows::refusals(),
        strided::refusals(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
