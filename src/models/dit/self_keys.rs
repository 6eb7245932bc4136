//! Keys and values of self-attention over all tokens, by groups of heads: as few as it takes for each to be within a buffer.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor, arena::largest_buffer};
use crate::ops::{
    attention::Heads, attention::KeyRanges, attention::Shift, attention::attention, copy::concat, copy::slice, operand_dtype,
    permute::permute,
};

/// See the module. What is computed is the same bits however many groups there are.
#[derive(Debug)]
pub struct SelfKeys {
    /// Of all heads.
    width: usize,
    /// Of one group.
    heads: usize,
    /// [L, C / groups] each.
    groups: Vec<(Tensor, Tensor)>,
}

impl SelfKeys {
    /// Keys and values [L, C] that are all there are.
    pub fn of(k: Tensor, v: Tensor, heads: usize) -> Self {
        Self { width: k.cols(), heads, groups: vec![(k, v)] }
    }

    /// Room for the keys and values of so many tokens.
    pub fn room(rec: &mut Recorder, [tokens, width]: [usize; 2], heads: usize, dtype: DType) -> Result<Self> {
        let largest = largest_buffer(rec.device());
        let fits = |&groups: &usize| heads.is_multiple_of(groups) && (tokens * width / groups) as u64 * dtype.bytes() <= largest;
        let count = (1..heads).find(fits).unwrap_or(heads);
        let shape = [tokens, width / count];
        let groups = (0..count).map(|_| Ok((rec.alloc(&shape, dtype)?, rec.alloc(&shape, dtype)?))).collect::<Result<_>>()?;
        Ok(Self { width, heads: heads / count, groups })
    }

    /// How many tokens there is room for.
    pub fn tokens(&self) -> usize {
        self.groups.first().map_or(0, |(k, _)| k.rows())
    }

    /// Puts keys and values [L, C] in the places from token `at` on.
    pub fn put(&self, rec: &mut Recorder, at: usize, [k, v]: [&Tensor; 2]) -> Result<()> {
        let (count, size) = (self.groups.len(), k.len() / self.groups.len());
        let [k, v] = [grouped(rec, k, count)?, grouped(rec, v, count)?];
        for (number, (keys, values)) in self.groups.iter().enumerate() {
            let to = at * keys.cols();
            rec.copy(&k, number * size, keys, to, size)?;
            rec.copy(&v, number * size, values, to, size)?;
        }
        Ok(())
    }

    /// Attention of queries [L, C] to the first of the tokens.
    pub fn attend(&self, rec: &mut Recorder, q: &Tensor, tokens: usize, shift: Option<Shift>, dtype: DType) -> Result<Tensor> {
        self.attend_as(rec, q, tokens, Heads { shift, ..self.own() }, dtype)
    }

    /// The same to some of all tokens.
    pub fn attend_ranges(&self, rec: &mut Recorder, q: &Tensor, ranges: &KeyRanges, dtype: DType) -> Result<Tensor> {
        self.attend_as(rec, q, self.tokens(), Heads { ranges: Some(ranges), ..self.own() }, dtype)
    }

    fn own(&self) -> Heads<'static> {
        Heads::scaled(self.heads, self.width / self.groups.len())
    }

    fn attend_as(&self, rec: &mut Recorder, q: &Tensor, tokens: usize, how: Heads, dtype: DType) -> Result<Tensor> {
        let (count, width) = (self.groups.len(), self.width / self.groups.len());
        let [(k, v)] = &self.groups[..] else {
            let all = grouped(rec, q, count)?.reshape(&[count, q.rows(), width]);
            let attended = self.groups.iter().enumerate().map(|(number, (k, v))| {
                let q = slice(rec, &all, number, 1)?.reshape(&[q.rows(), width]);
                attention(rec, &q, &k.first(tokens), &v.first(tokens), how, dtype)
            });
            let attended = attended.collect::<Result<Vec<_>>>()?;
            let joined = concat(rec, &attended.iter().collect::<Vec<_>>())?.reshape(&[count, q.rows(), width]);
            return Ok(permute(rec, &joined, &[1, 0, 2], operand_dtype(dtype, self.width))?.reshape(q.shape()));
        };
        attention(rec, q, &k.first(tokens), &v.first(tokens), how, dtype)
    }
}

/// Rows [L, C] by groups of columns: [groups, L, C / groups].
fn grouped(rec: &mut Recorder, x: &Tensor, groups: usize) -> Result<Tensor> {
    match groups {
        1 => Ok(x.clone()),
        _ => permute(rec, &x.reshape(&[x.rows(), groups, x.cols() / groups]), &[1, 0, 2], x.dtype()),
    }
}
