//! By which rules conversations become prompts.
//!
//! Knows LMDeploy's ways of sampling by their versions and the limits of its
//! filter, and what the user may set. It refuses to apply them: `sampling` does.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

/// LMDeploy's number of prompts, if nobody asks for another.
pub const NUM_PROMPTS: u32 = 1000;

/// A way of choosing prompts, LMDeploy's named by the version that brought it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SamplingStyle {
    /// v0.1.0 to v0.2.5: tokenise all pairs, filter, `random.sample`.
    #[default]
    Lmdeploy01,
    /// v0.2.6 to v0.6.1: `random.sample` of 1.2 times as many pairs as prompts, at
    /// least 1000; filter these; `random.sample` again.
    Lmdeploy026,
    /// v0.6.2 on: `random.shuffle`, then the first that pass the filter. Counts
    /// are those of `tokenizer.encode`, with begin of sequence where it adds one.
    Lmdeploy062,
    /// Not LMDeploy's: the first prompts of the file, in its order.
    InOrder,
}

const STYLES: [(SamplingStyle, &str); 4] = [
    (SamplingStyle::Lmdeploy01, "lmdeploy-0.1"),
    (SamplingStyle::Lmdeploy026, "lmdeploy-0.2.6"),
    (SamplingStyle::Lmdeploy062, "lmdeploy-0.6.2"),
    (SamplingStyle::InOrder, "in-order"),
];

impl FromStr for SamplingStyle {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        for (style, known) in STYLES {
            if name == known {
                return Ok(style);
            }
        }
        bail!(
            "no sampling style `{name}`; there is `lmdeploy-0.1` (LMDeploy v0.1.0 to v0.2.5), \
             `lmdeploy-0.2.6` (to v0.6.1), `lmdeploy-0.6.2` (from then on) and `in-order`"
        )
    }
}

impl fmt::Display for SamplingStyle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = STYLES.iter().find(|(style, _)| style == self);
        formatter.write_str(named.map_or("", |(_, name)| name))
    }
}

/// The limits of the filter, in tokens. The default is LMDeploy's, v0.1.0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Shortest prompt and shortest answer that are kept (`--min-tokens`).
    pub min_tokens: u32,
    /// Longest prompt that is kept (`--max-prompt-tokens`).
    pub max_prompt_tokens: u32,
    /// Most tokens of prompt and answer together (`--max-total-tokens`). Not
    /// applied where the requested length is fixed.
    pub max_total_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_tokens: 4,
            max_prompt_tokens: 1024,
            max_total_tokens: 2048,
        }
    }
}

impl Limits {
    /// Everything that can be asked for at all.
    pub(super) const NONE: Self = Self {
        min_tokens: 1,
        max_prompt_tokens: u32::MAX,
        max_total_tokens: u32::MAX,
    };

    fn check(self, sum_counts: bool) -> Result<()> {
        let Self {
            min_tokens,
            max_prompt_tokens,
            max_total_tokens,
        } = self;
        ensure!(
            min_tokens >= 1,
            "--min-tokens 0: must be 1 or more; nobody can be asked nothing"
        );
        ensure!(
            min_tokens <= max_prompt_tokens,
            "--min-tokens {min_tokens} is above --max-prompt-tokens {max_prompt_tokens}: nothing \
             can pass"
        );
        ensure!(
            !sum_counts || min_tokens.saturating_mul(2) <= max_total_tokens,
            "--max-total-tokens {max_total_tokens} is less than twice --min-tokens {min_tokens}: \
             nothing can pass"
        );
        Ok(())
    }
}

/// What the user sets of the filter; the rest stays as the style has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetLimits {
    /// [`Limits::min_tokens`].
    pub min_tokens: Option<u32>,
    /// [`Limits::max_prompt_tokens`].
    pub max_prompt_tokens: Option<u32>,
    /// [`Limits::max_total_tokens`].
    pub max_total_tokens: Option<u32>,
}

impl SetLimits {
    /// The whole filter: LMDeploy's where nothing is set, and for `in-order` only
    /// what is set. `None`: no filter.
    fn complete(self, style: SamplingStyle) -> Option<Limits> {
        let others = match style {
            SamplingStyle::InOrder if self == Self::default() => return None,
            SamplingStyle::InOrder => Limits::NONE,
            _ => Limits::default(),
        };
        Some(Limits {
            min_tokens: self.min_tokens.unwrap_or(others.min_tokens),
            max_prompt_tokens: self.max_prompt_tokens.unwrap_or(others.max_prompt_tokens),
            max_total_tokens: self.max_total_tokens.unwrap_or(others.max_total_tokens),
        })
    }
}

/// How prompts are chosen from a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// `None`: `lmdeploy-0.1` for conversations, `in-order` for lines of prompts.
    pub style: Option<SamplingStyle>,
    /// `None`: 1000, and for `in-order` all there are.
    pub num_prompts: Option<u32>,
    /// Seed of Python's generator. LMDeploy's default is 0 up to v0.6.1, then 1.
    pub seed: u64,
    /// `--output-len`: this length is asked for instead of the answer's. As in
    /// LMDeploy v0.6.2's script the answer is then not counted and prompt and
    /// length together have no limit.
    pub output_tokens: Option<u32>,
    /// Changes to the filter.
    pub limits: SetLimits,
}

impl Rules {
    /// The filter of `style` with what the user sets; `None` for none.
    ///
    /// # Errors
    /// Nothing could pass; the text names the flags.
    pub(super) fn filter(&self, style: SamplingStyle) -> Result<Option<Limits>> {
        ensure!(
            self.num_prompts != Some(0),
            "0 prompts were asked for; ask for at least 1 (--num-prompts)"
        );
        ensure!(
            self.output_tokens != Some(0),
            "--output-len 0: must be 1 or more"
        );
        let limits = self.limits.complete(style);
        if let Some(limits) = limits {
            limits.check(self.output_tokens.is_none())?;
            if let Some(tokens) = self.output_tokens {
                let least = limits.min_tokens;
                ensure!(
                    tokens >= least,
                    "--output-len {tokens} is under --min-tokens {least}, so no prompt would pass"
                );
            }
        }
        Ok(limits)
    }
}

/// What the filter did. Each dropped pair is counted once, under the first rule
/// that it breaks, in the order of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterCounts {
    /// Records in the file.
    pub records: u64,
    /// Records with two turns or more, or with a prompt.
    pub pairs: u64,
    /// Pairs that the style looked at: all, those of the first draw, or those up
    /// to the last prompt taken.
    pub looked_at: u64,
    /// Prompt or answer too short. The answer of a prompt that is too long is
    /// not looked at.
    pub too_short: u64,
    /// Prompt too long.
    pub prompt_too_long: u64,
    /// Prompt and answer together too long.
    pub sum_too_long: u64,
    /// Pairs that passed.
    pub kept: u64,
}
