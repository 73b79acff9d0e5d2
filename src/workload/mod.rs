//! What is asked of the servers: prompts and requested lengths, made once.
//!
//! Knows conversations, the model's tokenizer and LMDeploy's rules of sampling.
//! It refuses to know servers, clocks and schedules: all of this happens before
//! anything is measured, and every arm gets the same prompts.

mod blocks;
mod bundled;
pub mod dataset;
pub mod python_random;
pub mod sampling;
pub mod tokenizer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, Result};

pub use bundled::bundled_conversations;
pub use dataset::{Dataset, Pair, read_sharegpt, read_sharegpt_slice};
pub use sampling::{FilterCounts, SamplingStyle};
pub use tokenizer::{Family, Tokenizer};

/// One prompt, with everything that a backend may need to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Place among the pairs of the file: records with two turns or more, in file
    /// order, from 0.
    pub index: u32,
    /// The text.
    pub text: Arc<str>,
    /// What a server's tokenizer makes of the text, with begin of sequence where
    /// it adds one.
    pub token_ids: Arc<[u32]>,
    /// LMDeploy's count for the filter and the throughput: nothing inserted.
    pub prompt_tokens: u32,
    /// Length to ask for: the tokens of the answer in the file.
    pub output_tokens: u32,
}

/// The prompts of a run, in the order in which they were drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// As many as were asked for.
    pub prompts: Vec<Prompt>,
    /// What the filter dropped.
    pub filter: FilterCounts,
}

/// Draws `num_prompts` prompts from `dataset`, as LMDeploy's script of that
/// `style` does for the same `seed`. Tokenises on all cores.
///
/// # Errors
/// Nothing is left after the filter, or fewer than `num_prompts`; a text cannot
/// be tokenised. The text has the numbers and the cure.
pub fn sample(
    dataset: &Dataset,
    tokenizer: &Tokenizer,
    style: SamplingStyle,
    num_prompts: u32,
    seed: u64,
) -> Result<Workload> {
    let Dataset { records, pairs } = dataset;
    let (drawn, filter) = sampling::draw(*records, pairs, tokenizer, style, num_prompts, seed)?;
    let prompts = blocks::for_each(&drawn, |_, drawn| {
        let text = pairs[drawn.place].prompt.as_str();
        let token_ids = tokenizer
            .encode_as_served(text)
            .with_context(|| format!("the prompt of pair {}", drawn.place))?;
        Ok(Prompt {
            index: u32::try_from(drawn.place).context("more than 2^32 pairs")?,
            text: text.into(),
            token_ids: token_ids.into(),
            prompt_tokens: drawn.prompt_tokens,
            output_tokens: drawn.answer_tokens,
        })
    })?;
    Ok(Workload { prompts, filter })
}
