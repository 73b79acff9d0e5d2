//! Prompts of exact lengths, made of words of the vocabulary.
//!
//! Knows how to draw ids so that their text has as many tokens as were wanted when
//! it is tokenised again. It refuses tokenizers whose vocabulary has no words that
//! stay one token each, such as one of bytes.

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::numpy_random::NumpyRandom;
use super::python_random::PythonRandom;
use super::tokenizer::Tokenizer;
use super::watch::Watch;
use super::{FilterCounts, Prompt, Workload, blocks};

/// Lengths of random prompts and answers, in tokens: uniform from
/// `range_ratio` times the length (at least 1) to the length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomLengths {
    /// Longest prompt (`--random-input-len`).
    pub input_tokens: u32,
    /// Longest answer (`--random-output-len`).
    pub output_tokens: u32,
    /// From 0 to 1 (`--random-range-ratio`); LMDeploy's default is 0.
    pub range_ratio: f64,
}

/// Longest random prompt or answer; beyond any model's context.
const MOST_TOKENS: u32 = 1 << 20;

impl RandomLengths {
    fn check(&self) -> Result<()> {
        for (tokens, flag) in [
            (self.input_tokens, "--random-input-len"),
            (self.output_tokens, "--random-output-len"),
        ] {
            ensure!(
                (1..=MOST_TOKENS).contains(&tokens),
                "{flag} {tokens}: must be from 1 to {MOST_TOKENS}"
            );
        }
        ensure!(
            (0.0..=1.0).contains(&self.range_ratio),
            "--random-range-ratio {}: must be from 0 to 1",
            self.range_ratio
        );
        Ok(())
    }
}

/// Lengths as LMDeploy's `--dataset-name random` draws them (v0.6.2 on,
/// `compute_random_lens`: `np.random.randint(max(int(full * ratio), 1), full + 1)`).
fn lengths(random: &mut NumpyRandom, full: u32, ratio: f64, count: u32) -> Result<Vec<u32>> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ratio is from 0 to 1, so the product is from 0 to `full`; cut as in Python"
    )]
    let least = ((f64::from(full) * ratio) as u32).max(1);
    (0..count)
        .map(|_| {
            let drawn = random.integer(least.into(), u64::from(full) + 1);
            u32::try_from(drawn).context("a length above 2^32")
        })
        .collect()
}

/// Makes `num_prompts` prompts. The same tokenizer, lengths and seed give the same
/// prompts; the lengths are those of LMDeploy's script for the same seed, the
/// texts are not (its script takes them from ShareGPT).
///
/// # Errors
/// A length or ratio out of range, a seed of 2^32 or more, or a tokenizer with
/// which exact lengths cannot be had.
pub fn random(
    tokenizer: &Tokenizer,
    lengths_wanted: RandomLengths,
    num_prompts: u32,
    seed: u64,
    watch: &dyn Watch,
) -> Result<Workload> {
    lengths_wanted.check()?;
    ensure!(
        num_prompts > 0,
        "0 prompts were asked for; ask for at least 1 (--num-prompts)"
    );
    let RandomLengths {
        input_tokens,
        output_tokens,
        range_ratio,
    } = lengths_wanted;
    let mut random = NumpyRandom::from_seed(seed)?;
    let inputs = lengths(&mut random, input_tokens, range_ratio, num_prompts)?;
    let outputs = lengths(&mut random, output_tokens, range_ratio, num_prompts)?;
    let words = Words::of(tokenizer, seed)?;
    let wanted: Vec<(u32, u32)> = inputs.into_iter().zip(outputs).collect();
    watch.stage("making random prompts", num_prompts.into());
    let prompts = blocks::in_blocks(&wanted, 8, watch, |index, &(input, output)| {
        let index = u32::try_from(index)?;
        let own = i128::from(seed) << 32 | i128::from(index);
        let text = words.text(PythonRandom::from_seed(own), input)?;
        Ok(Prompt {
            index,
            token_ids: tokenizer.encode_as_served(&text)?.into(),
            text: text.into(),
            turn: None,
            prompt_tokens: input,
            output_tokens: output,
        })
    })?;
    Ok(Workload {
        limits: None,
        filter: FilterCounts {
            records: num_prompts.into(),
            pairs: num_prompts.into(),
            looked_at: num_prompts.into(),
            kept: num_prompts.into(),
            ..FilterCounts::default()
        },
        prompts,
        style: None,
        notes: Vec::new(),
    })
}

/// Words that are one token each, whichever stands before.
struct Words<'a> {
    tokenizer: &'a Tokenizer,
    words: Vec<String>,
    /// The first word needs a space, too.
    space_first: bool,
}

/// Enough words for prompts that differ, few enough to be found in no time.
const MOST_WORDS: usize = 4096;
const FEWEST_WORDS: usize = 16;

/// Rounds in which a text may be made longer or shorter.
const MOST_ROUNDS: u32 = 64;

impl<'a> Words<'a> {
    fn of(tokenizer: &'a Tokenizer, seed: u64) -> Result<Self> {
        let mut ids: Vec<u32> = (0..u32::try_from(tokenizer.vocabulary_len())?).collect();
        PythonRandom::from_seed(seed).shuffle(&mut ids);
        let mut with = Vec::new();
        let mut without = Vec::new();
        for id in ids {
            if with.len() >= MOST_WORDS || without.len() >= MOST_WORDS {
                break;
            }
            let bytes = tokenizer.decode_bytes(&[id]);
            let Some(word) = std::str::from_utf8(&bytes).ok().map(str::trim) else {
                continue;
            };
            if word.is_empty() || !word.chars().all(char::is_alphabetic) {
                continue;
            }
            let pair = format!("{word} {word}");
            if tokenizer.count(&pair)? == 2 {
                without.push(word.to_owned());
            }
            if tokenizer.count(&format!(" {pair}"))? == 2 {
                with.push(word.to_owned());
            }
        }
        let space_first = with.len() > without.len();
        let words = if space_first { with } else { without };
        ensure!(
            words.len() >= FEWEST_WORDS,
            "--dataset-format random: the vocabulary of this tokenizer ({}) has {} words that stay \
             one token each within a text, too few to make prompts of exact lengths; use a dataset \
             file",
            tokenizer.describe(),
            words.len()
        );
        Ok(Self {
            tokenizer,
            words,
            space_first,
        })
    }

    /// A text of `wanted` tokens.
    fn text(&self, mut random: PythonRandom, wanted: u32) -> Result<String> {
        let mut chosen: Vec<&str> = Vec::new();
        let mut missing = i64::from(wanted);
        for _ in 0..MOST_ROUNDS {
            if missing < 0 {
                let spare = usize::try_from(-missing)?;
                // Each word is a token in most places: drop as many as are too much.
                chosen.truncate(chosen.len().saturating_sub(spare));
            }
            for _ in 0..missing.max(0) {
                let place = usize::try_from(random.below(self.words.len() as u64))?;
                let word = self.words.get(place).ok_or_else(|| anyhow!("no word"))?;
                chosen.push(word);
            }
            let mut text = chosen.join(" ");
            if self.space_first {
                text.insert(0, ' ');
            }
            missing = i64::from(wanted) - i64::from(self.tokenizer.count(&text)?);
            if missing == 0 {
                return Ok(text);
            }
        }
        bail!(
            "--dataset-format random: no text of exactly {wanted} tokens could be made with this \
             tokenizer ({}); use a dataset file",
            self.tokenizer.describe()
        )
    }
}
