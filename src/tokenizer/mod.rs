//! Stand-in until the tokenizer lands.
#![allow(missing_docs)]
use crate::error::Result;
#[derive(Debug)]
pub struct Tokenizer;
impl Tokenizer {
    pub fn open(_: &std::path::Path) -> Result<Self> {
        Ok(Self)
    }
    pub fn encode(&self, _: &str, _: usize) -> Vec<u32> {
        vec![1]
    }
}
pub fn clean(text: &str) -> String {
    text.into()
}
