//! x
pub mod tokenizer;
pub mod dataset;
