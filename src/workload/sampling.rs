//! Which conversations become prompts, and in which order.
//!
//! Knows LMDeploy's filter and its way of drawing, by version; the same seed gives
//! the same prompts as LMDeploy's own script. It refuses to read files and to say
//! when a prompt is sent.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use super::blocks;
use super::dataset::Pair;
use super::python_random::PythonRandom;
use super::tokenizer::Tokenizer;

/// LMDeploy's way of sampling, named by the version that brought it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SamplingStyle {
    /// v0.1.0 to v0.2.5: tokenise all pairs, filter, `random.sample`.
    #[default]
    Lmdeploy01,
}

impl FromStr for SamplingStyle {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "lmdeploy-0.1" => Ok(Self::Lmdeploy01),
            "lmdeploy-0.2.6" | "lmdeploy-0.6.2" => bail!(
                "the sampling style `{name}` comes with a later version; today only \
                 `lmdeploy-0.1` (LMDeploy v0.1.0 to v0.2.5)"
            ),
            _ => bail!(
                "no sampling style `{name}`; there is `lmdeploy-0.1` (LMDeploy v0.1.0 to v0.2.5)"
            ),
        }
    }
}

impl fmt::Display for SamplingStyle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lmdeploy01 => formatter.write_str("lmdeploy-0.1"),
        }
    }
}

/// Shortest prompt and shortest answer that are kept, in tokens.
pub const FEWEST_TOKENS: u32 = 4;
/// Longest prompt that is kept, in tokens.
pub const MOST_PROMPT_TOKENS: u32 = 1024;
/// Most tokens of prompt and answer together.
pub const MOST_TOKENS: u32 = 2048;

/// What the filter did. Each dropped pair is counted once, under the first rule
/// that it breaks, in the order of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterCounts {
    /// Records in the file.
    pub records: u64,
    /// Records with two turns or more.
    pub pairs: u64,
    /// Prompt or answer under [`FEWEST_TOKENS`]. The answer of a prompt that is
    /// too long is not looked at.
    pub too_short: u64,
    /// Prompt over [`MOST_PROMPT_TOKENS`].
    pub prompt_too_long: u64,
    /// Prompt and answer together over [`MOST_TOKENS`].
    pub sum_too_long: u64,
    /// Pairs that may be drawn.
    pub kept: u64,
}

/// A pair that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Its place among the pairs of the file.
    pub(super) place: usize,
    pub(super) prompt_tokens: u32,
    pub(super) answer_tokens: u32,
}

/// What became of one pair in the filter.
enum Verdict {
    Kept(Drawn),
    TooShort,
    PromptTooLong,
    SumTooLong,
}

/// Filters all pairs and draws `num_prompts` of them.
///
/// # Errors
/// Nothing is left after the filter, more is asked for than is left, or a text
/// cannot be tokenised.
pub(super) fn draw(
    records: u64,
    pairs: &[Pair],
    tokenizer: &Tokenizer,
    style: SamplingStyle,
    num_prompts: u32,
    seed: u64,
) -> Result<(Vec<Drawn>, FilterCounts)> {
    ensure!(
        num_prompts > 0,
        "0 prompts were asked for; ask for at least 1"
    );
    let verdicts = blocks::for_each(pairs, |place, pair| judge(place, pair, tokenizer))?;
    let mut counts = FilterCounts {
        records,
        pairs: pairs.len() as u64,
        ..Default::default()
    };
    let mut kept = Vec::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Kept(drawn) => kept.push(drawn),
            Verdict::TooShort => counts.too_short += 1,
            Verdict::PromptTooLong => counts.prompt_too_long += 1,
            Verdict::SumTooLong => counts.sum_too_long += 1,
        }
    }
    counts.kept = kept.len() as u64;
    ensure!(!kept.is_empty(), nothing_left(&counts));
    let places = match style {
        SamplingStyle::Lmdeploy01 => {
            PythonRandom::from_seed(seed).sample(kept.len(), num_prompts as usize)
        }
    };
    let places = places.with_context(|| too_many_asked(num_prompts, &counts))?;
    Ok((
        places.into_iter().map(|place| kept[place]).collect(),
        counts,
    ))
}

/// LMDeploy's filter (`sample_requests` of its profile scripts), v0.1.0 on.
fn judge(place: usize, pair: &Pair, tokenizer: &Tokenizer) -> Result<Verdict> {
    let count = |text: &str, what: &str| {
        tokenizer
            .count(text)
            .with_context(|| format!("the {what} of pair {place}"))
    };
    let prompt_tokens = count(&pair.prompt, "prompt")?;
    if prompt_tokens < FEWEST_TOKENS {
        return Ok(Verdict::TooShort);
    }
    if prompt_tokens > MOST_PROMPT_TOKENS {
        return Ok(Verdict::PromptTooLong);
    }
    let answer_tokens = count(&pair.answer, "answer")?;
    Ok(if answer_tokens < FEWEST_TOKENS {
        Verdict::TooShort
    } else if answer_tokens > MOST_TOKENS - prompt_tokens {
        Verdict::SumTooLong
    } else {
        Verdict::Kept(Drawn {
            place,
            prompt_tokens,
            answer_tokens,
        })
    })
}

/// How many pairs each rule dropped, as a clause.
fn dropped(counts: &FilterCounts) -> String {
    let FilterCounts {
        records,
        pairs,
        too_short,
        prompt_too_long,
        sum_too_long,
        ..
    } = counts;
    format!(
        "of {records} records {} have fewer than two turns; of the {pairs} others {too_short} \
         have a prompt or answer under {FEWEST_TOKENS} tokens, {prompt_too_long} a prompt over \
         {MOST_PROMPT_TOKENS}, {sum_too_long} more than {MOST_TOKENS} together",
        records.saturating_sub(*pairs)
    )
}

fn nothing_left(counts: &FilterCounts) -> String {
    format!(
        "no conversation is left after LMDeploy's filter: {}; use a dataset with longer or shorter \
         turns, and check that the tokenizer is the model's",
        dropped(counts)
    )
}

fn too_many_asked(num_prompts: u32, counts: &FilterCounts) -> String {
    format!(
        "{num_prompts} prompts were asked for, but only {kept} conversations are left after \
         LMDeploy's filter ({}); ask for at most {kept} (--num-prompts {kept}) or use a larger \
         dataset",
        dropped(counts),
        kept = counts.kept
    )
}
