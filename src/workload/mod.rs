//! What is asked of the servers: prompts and requested lengths, made once.
//!
//! Knows conversations, the model's tokenizer and LMDeploy's rules of sampling.
//! It refuses to know servers, clocks and schedules: all of this happens before
//! anything is measured, and every arm gets the same prompts.

mod blocks;
mod bundled;
pub mod chat;
pub mod dataset;
mod export;
pub mod numpy_random;
pub mod python_random;
mod random_prompts;
mod rules;
mod sampling;
pub mod tokenizer;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, Result};

pub use bundled::bundled_conversations;
pub use chat::ChatTemplate;
pub use dataset::{Answer, Dataset, DatasetFormat, Pair, read_dataset, read_dataset_bytes};
pub use export::export;
pub use random_prompts::{RandomLengths, random};
pub use rules::{FilterCounts, Limits, NUM_PROMPTS, Rules, SamplingStyle, SetLimits};
pub use tokenizer::{Family, Tokenizer};
pub use watch::Watch;

/// One prompt, with everything that a backend may need to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Place among the pairs of the file: records with two turns or more, in file
    /// order, from 0.
    pub index: u32,
    /// The text that a model gets.
    pub text: Arc<str>,
    /// The user's own turn, where `text` is what a chat template makes of it.
    pub turn: Option<Arc<str>>,
    /// What a server's tokenizer makes of the text, with begin of sequence where
    /// it adds one.
    pub token_ids: Arc<[u32]>,
    /// LMDeploy's count for the filter and the throughput: nothing inserted, but
    /// for the style `lmdeploy-0.6.2`, which counts begin of sequence, too. Of a
    /// chat prompt, in every style: the rendered text, less what the tokenizer
    /// inserts; a begin of sequence that the template writes counts only where the
    /// tokenizer adds none itself.
    pub prompt_tokens: u32,
    /// Length to ask for: the tokens of the answer in the file, or what was set.
    pub output_tokens: u32,
}

/// The prompts of a run, in the order in which they were drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// As many as were asked for, or with a note fewer.
    pub prompts: Vec<Prompt>,
    /// What the filter dropped.
    pub filter: FilterCounts,
    /// The filter's limits. `None`: there was no filter.
    pub limits: Option<Limits>,
    /// How they were drawn. `None`: they were made at random.
    pub style: Option<SamplingStyle>,
    /// What the user should be told, as sentences.
    pub notes: Vec<String>,
}

/// Draws prompts from `dataset`, as LMDeploy's script of the rules' style does for
/// the same seed. Tokenises on all cores.
///
/// # Errors
/// Rules that nothing can pass; nothing is left after the filter, or fewer than
/// asked for; a length is missing; a text cannot be tokenised. The text has the
/// numbers and the cure.
pub fn sample(
    dataset: &Dataset,
    tokenizer: &Tokenizer,
    rules: &Rules,
    watch: &dyn Watch,
) -> Result<Workload> {
    let draw = sampling::draw(dataset, tokenizer, rules, watch)?;
    let prompts = blocks::for_each(&draw.drawn, |_, drawn| {
        let text = dataset.prompt(drawn.place)?;
        let token_ids = tokenizer
            .encode_as_served(&text)
            .with_context(|| dataset.place_name(drawn.place))?;
        Ok(Prompt {
            index: u32::try_from(drawn.place).context("more than 2^32 pairs")?,
            text: text.into(),
            turn: None,
            token_ids: token_ids.into(),
            prompt_tokens: drawn.prompt_tokens,
            output_tokens: drawn.output_tokens,
        })
    })?;
    Ok(Workload {
        prompts,
        filter: draw.filter,
        limits: draw.limits,
        style: Some(draw.style),
        notes: draw.notes,
    })
}
