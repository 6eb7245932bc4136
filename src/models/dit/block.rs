//! One transformer block: self-attention, cross-attention, feed-forward, the first and last modulated by the tokens' timesteps.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp, Precision, RmsNorm};
use crate::models::dit::beside::{Beside, Kept, Seen};
use crate::models::dit::embed::{self, MODULATION, TimeEmbedding};
use crate::models::dit::projections::{KeyProjections, Projections};
use crate::models::dit::{config::Config, modulation::modulation, positions::Angles, radial::Sight, runs::TokenRun, self_keys::SelfKeys};
use crate::ops::{
    Activation, attention::Heads, attention::Shift, attention::attention, copy::concat, copy::slice, layer_norm::Affine,
    layer_norm::layer_norm, lincomb::lincomb, norm_rope::Rotation,
};

/// See the module. Norms 1 and 3 have no weights.
#[derive(Debug)]
pub struct Block {
    heads: usize,
    eps: f32,
    /// Queries and keys are normed over all heads together.
    attn1: Projections,
    attn2: Projections,
    attn2_added: Option<KeyProjections>,
    norm2: Option<LayerNorm>,
    ffn: Mlp,
    scale_shift_table: [Tensor; MODULATION],
}

/// What becomes of the tokens x [L, C] of a run after the block.
pub type AfterBlock<'a> = dyn FnMut(&mut Recorder, &TokenRun, Tensor) -> Result<Tensor> + 'a;

/// Keys and values of one block's cross-attention.
#[derive(Clone, Debug)]
pub struct CrossKeys {
    text: (Tensor, Tensor),
    image: Option<(Tensor, Tensor)>,
}

impl Block {
    /// From `blocks.N.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let width = config.width();
        let attn2 = loader.scope("attn2");
        let added = |dim| KeyProjections::load(&attn2, ["add_k_proj", "norm_added_k", "add_v_proj"], [dim, width], width, config.eps);
        Ok(Self {
            heads: config.num_attention_heads,
            eps: config.eps,
            attn1: Projections::load(&loader.scope("attn1"), "to_out.0", width, width, config.eps)?,
            attn2: Projections::load(&attn2, "to_out.0", width, width, config.eps)?,
            attn2_added: config.added_kv_proj_dim.map(added).transpose()?,
            norm2: config.cross_attn_norm.then(|| LayerNorm::load(loader, "norm2", width, config.eps)).transpose()?,
            ffn: Mlp::load(loader, ["ffn.net.0.proj", "ffn.net.2"], [width, config.ffn_dim], Activation::GeluTanh)?,
            scale_shift_table: embed::table(loader, "scale_shift_table", width)?,
        })
    }

    /// Keys and values of text tokens [L, C] and image tokens [L', C]. Where the model has no projections of their own for
    /// image tokens, they stand before the text tokens.
    pub fn cross_keys(&self, rec: &mut Recorder, text: &Tensor, image: Option<&Tensor>, precision: Precision) -> Result<CrossKeys> {
        let operand = self.attention_operand(text.cols(), precision.operand());
        let own = &self.attn2.keys;
        match (&self.attn2_added, image) {
            (Some(added), Some(image)) => {
                Ok(CrossKeys { text: own.forward(rec, text, operand)?, image: Some(added.forward(rec, image, operand)?) })
            }
            (Some(_), None) => Err(Error::Input("this transformer needs the embeddings of a reference image".into())),
            (None, image) => {
                let joined = image.map(|image| concat(rec, &[image, text])).transpose()?;
                Ok(CrossKeys { text: own.forward(rec, joined.as_ref().unwrap_or(text), operand)?, image: None })
            }
        }
    }

    /// Replaces the tokens x [L, C] of all runs, in f32. `times` are the timesteps that runs point to; `sight` says which of all tokens each sees.
    ///
    /// Everything but the keys and values of self-attention is computed run by run, so that no other tensor is longer than a run.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        runs: &mut [TokenRun],
        times: &[TimeEmbedding],
        (keys, beside, sight): (&CrossKeys, &mut Beside, Sight),
        after: &mut AfterBlock,
        precision: Precision,
    ) -> Result<()> {
        let operand = precision.operand();
        let vectors = times.iter().map(|time| modulation(rec, &self.scale_shift_table, time.modulation.each_ref()));
        let vectors = vectors.collect::<Result<Vec<_>>>()?;
        let own = self.self_keys(rec, runs, &vectors, beside, operand)?;
        for run in runs {
            let x = self.forward_run(rec, run, &vectors[run.time], &own, (keys, &*beside, sight), operand)?;
            run.x = after(rec, run, x)?;
        }
        Ok(())
    }

    fn forward_run(
        &self,
        rec: &mut Recorder,
        run: &TokenRun,
        vectors: &[Tensor; MODULATION],
        own: &SelfKeys,
        (keys, beside, sight): (&CrossKeys, &Beside, Sight),
        operand: DType,
    ) -> Result<Tensor> {
        let [_, _, gate_msa, c_shift_msa, c_scale_msa, c_gate_msa] = vectors;
        let normed = self.norm1(rec, run, vectors, operand)?;
        let attended = match beside {
            Beside::See(seen) => self.attention_beside(rec, &normed, run, own, seen, operand)?,
            _ => self.self_attention(rec, &normed, run, (own, sight), operand)?,
        };
        let x = self.attn1.to_out.forward_residual(rec, &attended, Some(gate_msa), &run.x)?;

        let normed = match &self.norm2 {
            Some(norm2) => norm2.forward(rec, &x, operand)?,
            None => lincomb(rec, &[(1.0, &x)], crate::ops::operand_dtype(operand, x.cols()))?,
        };
        let attended = self.cross_attention(rec, &normed, keys, operand)?;
        let x = self.attn2.to_out.forward_residual(rec, &attended, None, &x)?;

        let normed = layer_norm(rec, &x, Affine::Modulation(c_scale_msa, c_shift_msa), self.eps, operand)?;
        self.ffn.forward(rec, &normed, Some(c_gate_msa), &x)
    }

    fn norm1(
        &self,
        rec: &mut Recorder,
        run: &TokenRun,
        [shift_msa, scale_msa, ..]: &[Tensor; MODULATION],
        operand: DType,
    ) -> Result<Tensor> {
        layer_norm(rec, &run.x, Affine::Modulation(scale_msa, shift_msa), self.eps, operand)
    }

    /// Attention reads heads, so it is their size that must be a multiple of four for f16.
    fn attention_operand(&self, width: usize, operand: DType) -> DType {
        crate::ops::operand_dtype(operand, width / self.heads)
    }

    /// Keys and values of self-attention over the tokens of all runs. Where another video is seen, there is room for one of its frames after
    /// them; where the tokens are that other video's, they are kept.
    fn self_keys(
        &self,
        rec: &mut Recorder,
        runs: &[TokenRun],
        vectors: &[[Tensor; MODULATION]],
        beside: &mut Beside,
        operand: DType,
    ) -> Result<SelfKeys> {
        let own = &self.attn1;
        let room = if let Beside::See(seen) = beside { seen.frame } else { 0 };
        let mut whole: Option<SelfKeys> = None;
        let mut done = 0;
        for run in runs {
            let inputs = self.attention_operand(run.x.cols(), operand);
            let normed = self.norm1(rec, run, &vectors[run.time], operand)?;
            let k = self.rotated(rec, &own.keys.to_k, &own.keys.norm_k, &normed, &run.angles, inputs)?;
            let v = own.keys.to_v.forward(rec, &normed, inputs)?;
            if let Beside::Keep(kept) = beside {
                kept.keep(rec, run, [&normed, &k, &v])?;
            }
            if runs.len() == 1 && room == 0 {
                return Ok(SelfKeys::of(k, v, self.heads));
            }
            let keys = match &whole {
                Some(whole) => whole,
                None => {
                    let tokens = runs.iter().map(|run| run.x.rows()).sum::<usize>() + room;
                    whole.insert(SelfKeys::room(rec, [tokens, run.x.cols()], self.heads, k.dtype())?)
                }
            };
            keys.put(rec, done, [&k, &v])?;
            done += k.rows();
        }
        whole.ok_or_else(|| Error::Input("attention among no tokens".into()))
    }

    fn rotated(&self, rec: &mut Recorder, to: &Linear, norm: &RmsNorm, x: &Tensor, angles: &Angles, inputs: DType) -> Result<Tensor> {
        let projected = to.forward(rec, x, DType::F32)?;
        norm.forward_rotated(rec, &projected, Rotation { cos: &angles.cos, sin: &angles.sin }, inputs)
    }

    fn self_attention(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        run: &TokenRun,
        (keys, sight): (&SelfKeys, Sight),
        operand: DType,
    ) -> Result<Tensor> {
        let own = &self.attn1;
        let q = self.rotated(rec, &own.to_q, &own.norm_q, x, &run.angles, self.attention_operand(x.cols(), operand))?;
        let Some(seen) = sight else { return keys.attend(rec, &q, keys.tokens(), None, operand) };
        let frame = q.rows() / run.frames.len();
        let mut attend = |(place, ranges)| {
            let q = slice(rec, &q, place * frame, frame)?;
            keys.attend_ranges(rec, &q, ranges, operand)
        };
        let attended = seen[run.frames.clone()].iter().enumerate().map(&mut attend).collect::<Result<Vec<_>>>()?;
        concat(rec, &attended.iter().collect::<Vec<_>>())
    }

    /// Self-attention of a run to all tokens, which are those of `keys` but for its last frame, and to the frame of another video before each of
    /// its own.
    fn attention_beside(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        run: &TokenRun,
        keys: &SelfKeys,
        seen: &Seen,
        operand: DType,
    ) -> Result<Tensor> {
        let own = &self.attn1;
        let q = self.rotated(rec, &own.to_q, &own.norm_q, x, &run.angles, self.attention_operand(x.cols(), operand))?;
        let (frame, tokens) = (seen.frame, keys.tokens() - seen.frame);
        let shift = (seen.log_scale != 0.0).then_some(Shift { keys: (frame, 2 * frame), by: seen.log_scale });
        let mut attend = |(place, number): (usize, usize)| {
            let q = slice(rec, &q, place * frame, frame)?;
            let Some(before) = number.checked_sub(1) else {
                return keys.attend(rec, &q, tokens, shift, operand);
            };
            let (k, v) = self.kept_keys(rec, &seen.frames[before], operand)?;
            keys.put(rec, tokens, [&k, &v])?;
            keys.attend(rec, &q, tokens + frame, shift, operand)
        };
        let attended = run.frames.clone().enumerate().map(&mut attend).collect::<Result<Vec<_>>>()?;
        concat(rec, &attended.iter().collect::<Vec<_>>())
    }

    /// Keys and values of a frame of another video, computed anew where only what goes into them was kept.
    fn kept_keys(&self, rec: &mut Recorder, kept: &Kept, operand: DType) -> Result<(Tensor, Tensor)> {
        let (tokens, angles) = match kept {
            Kept::Keys(k, v) => return Ok((k.clone(), v.clone())),
            Kept::Input(tokens, angles) => (tokens.clone(), angles),
            Kept::Stored(stored, angles) => (stored.upload(rec)?, angles),
        };
        let normed = tokens.floats(rec, operand)?;
        let (own, inputs) = (&self.attn1.keys, self.attention_operand(normed.cols(), operand));
        let k = self.rotated(rec, &own.to_k, &own.norm_k, &normed, angles, inputs)?;
        Ok((k, own.to_v.forward(rec, &normed, inputs)?))
    }

    fn cross_attention(&self, rec: &mut Recorder, x: &Tensor, keys: &CrossKeys, operand: DType) -> Result<Tensor> {
        let q = self.attn2.queries(rec, x, self.attention_operand(x.cols(), operand))?;
        let how = Heads::scaled(self.heads, x.cols());
        let (k, v) = &keys.text;
        let text = attention(rec, &q, k, v, how, DType::F32)?;
        let Some((k, v)) = &keys.image else { return lincomb(rec, &[(1.0, &text)], crate::ops::operand_dtype(operand, x.cols())) };
        let image = attention(rec, &q, k, v, how, DType::F32)?;
        lincomb(rec, &[(1.0, &text), (1.0, &image)], crate::ops::operand_dtype(operand, x.cols()))
    }
}
