//! What needs no GPU: schedulers, random numbers, linear algebra, tokens.

#[path = "../common/mod.rs"]
mod common;

mod convergence;
mod linalg;
mod rng;
mod schedulers;
mod tokenizer;
