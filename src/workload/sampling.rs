//! Which conversations become prompts, and in which order.
//!
//! Knows LMDeploy's filter and its ways of drawing, by version; the same seed gives
//! the same prompts as LMDeploy's own script. It refuses to read files and to say
//! when a prompt is sent.

use anyhow::{Context, Result, bail, ensure};

use super::blocks;
use super::dataset::{Answer, Dataset, DatasetFormat};
use super::python_random::PythonRandom;
use super::rules::{FilterCounts, Limits, NUM_PROMPTS, Rules, SamplingStyle};
use super::tokenizer::Tokenizer;
use super::watch::Watch;

/// v0.2.6 to v0.6.1 filter at least this many pairs.
const FEWEST_PAIRS_OF_026: u64 = 1000;

/// A pair that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Its place among the pairs of the file.
    pub(super) place: usize,
    pub(super) prompt_tokens: u32,
    pub(super) output_tokens: u32,
}

/// What was drawn, and what became of the rest.
pub(super) struct Draw {
    pub(super) drawn: Vec<Drawn>,
    pub(super) filter: FilterCounts,
    pub(super) limits: Option<Limits>,
    pub(super) style: SamplingStyle,
    pub(super) notes: Vec<String>,
}

/// What became of one pair in the filter.
#[derive(Clone, Copy)]
enum Verdict {
    Kept(Drawn),
    TooShort,
    PromptTooLong,
    SumTooLong,
}

/// A dataset, with the rules made complete.
struct Sampling<'a> {
    dataset: &'a Dataset,
    tokenizer: &'a Tokenizer,
    watch: &'a dyn Watch,
    style: SamplingStyle,
    limits: Limits,
    /// The rules drop pairs; without, a pair that cannot be asked is an error.
    filters: bool,
    output_tokens: Option<u32>,
    filter: FilterCounts,
}

/// Filters and draws, in the order of the style.
///
/// # Errors
/// Nothing is left after the filter, more is asked for than the style gives, or a
/// text cannot be tokenised.
pub(super) fn draw(
    dataset: &Dataset,
    tokenizer: &Tokenizer,
    rules: &Rules,
    watch: &dyn Watch,
) -> Result<Draw> {
    let style = rules.style.unwrap_or(match dataset.format() {
        DatasetFormat::JsonlPrompts => SamplingStyle::InOrder,
        _ => SamplingStyle::Lmdeploy01,
    });
    let limits = rules.filter(style)?;
    let mut sampling = Sampling {
        dataset,
        tokenizer,
        watch,
        style,
        limits: limits.unwrap_or(Limits::NONE),
        filters: limits.is_some(),
        output_tokens: rules.output_tokens,
        filter: FilterCounts {
            records: dataset.records(),
            pairs: dataset.len() as u64,
            ..FilterCounts::default()
        },
    };
    let count = rules.num_prompts.unwrap_or(NUM_PROMPTS);
    let mut notes = Vec::new();
    let mut drawn = match style {
        SamplingStyle::Lmdeploy01 => sampling.draw_01(count, rules.seed)?,
        SamplingStyle::Lmdeploy026 => sampling.draw_026(count, rules.seed)?,
        SamplingStyle::Lmdeploy062 => sampling.draw_062(count, rules.seed, &mut notes)?,
        SamplingStyle::InOrder => sampling.draw_in_order(rules.num_prompts)?,
    };
    sampling.compare_stated(&mut drawn, &mut notes)?;
    Ok(Draw {
        drawn,
        filter: sampling.filter,
        limits,
        style,
        notes,
    })
}

impl Sampling<'_> {
    fn draw_01(&mut self, count: u32, seed: u64) -> Result<Vec<Drawn>> {
        let places: Vec<usize> = (0..self.dataset.len()).collect();
        let kept = self.filter(&places)?;
        let chosen = PythonRandom::from_seed(seed)
            .sample(kept.len(), count as usize)
            .with_context(|| self.too_many_asked(count))?;
        Ok(chosen.into_iter().map(|place| kept[place]).collect())
    }

    fn draw_026(&mut self, count: u32, seed: u64) -> Result<Vec<Drawn>> {
        // `max(int(n * 1.2), 1000)`: the product in doubles, cut, is n * 6 / 5.
        let first = (u64::from(count) * 6 / 5).max(FEWEST_PAIRS_OF_026);
        let mut random = PythonRandom::from_seed(seed);
        let places = random
            .sample(self.dataset.len(), usize::try_from(first)?)
            .with_context(|| {
                // Below the least that is drawn, fewer prompts are no cure.
                let fewer = if self.dataset.len() as u64 >= FEWEST_PAIRS_OF_026 {
                    "fewer prompts (--num-prompts), "
                } else {
                    ""
                };
                format!(
                    "the dataset has {} pairs, but LMDeploy v0.2.6 to v0.6.1 first draws {first} \
                     for {count} prompts (1.2 times as many, at least {FEWEST_PAIRS_OF_026}) and \
                     ends with an error here (Python's ValueError); use a larger dataset, {fewer}\
                     or --sampling lmdeploy-0.1 or lmdeploy-0.6.2",
                    self.dataset.len()
                )
            })?;
        let kept = self.filter(&places)?;
        let chosen = random
            .sample(kept.len(), count as usize)
            .with_context(|| self.too_many_asked(count))?;
        Ok(chosen.into_iter().map(|place| kept[place]).collect())
    }

    fn draw_062(&mut self, count: u32, seed: u64, notes: &mut Vec<String>) -> Result<Vec<Drawn>> {
        let mut places: Vec<usize> = (0..self.dataset.len()).collect();
        PythonRandom::from_seed(seed).shuffle(&mut places);
        let kept = self.first_kept(&places, count as usize)?;
        if kept.len() < count as usize {
            notes.push(format!(
                "{count} prompts were asked for, but only {} conversations pass the filter; the \
                 run takes all of them, as LMDeploy v0.6.2 does without a word",
                kept.len()
            ));
        }
        Ok(kept)
    }

    fn draw_in_order(&mut self, count: Option<u32>) -> Result<Vec<Drawn>> {
        let places: Vec<usize> = (0..self.dataset.len()).collect();
        let Some(count) = count else {
            return self.filter(&places);
        };
        let kept = self.first_kept(&places, count as usize)?;
        ensure!(kept.len() == count as usize, self.too_many_asked(count));
        Ok(kept)
    }

    /// The first `count` of `places` that pass.
    fn first_kept(&mut self, places: &[usize], count: usize) -> Result<Vec<Drawn>> {
        self.watch.stage("counting tokens", 0);
        let mut kept: Vec<Drawn> = Vec::with_capacity(count.min(places.len()));
        let mut rest = places;
        while kept.len() < count && !rest.is_empty() {
            // A few more than are missing, so that mostly one round is enough.
            let missing = count - kept.len();
            let (now, later) = rest.split_at((missing + missing / 8 + 16).min(rest.len()));
            // A pair behind the last that is taken may be as broken as it likes.
            let verdicts = blocks::watched(now, self.watch, |_, &place| Ok(self.judge(place)))?;
            for verdict in verdicts {
                if kept.len() == count {
                    break;
                }
                kept.extend(self.note(verdict?));
            }
            rest = later;
        }
        self.filter.kept = kept.len() as u64;
        ensure!(!kept.is_empty(), self.nothing_left());
        Ok(kept)
    }

    /// All of `places` that pass, in their order.
    fn filter(&mut self, places: &[usize]) -> Result<Vec<Drawn>> {
        self.watch.stage("counting tokens", places.len() as u64);
        let verdicts = blocks::watched(places, self.watch, |_, &place| self.judge(place))?;
        let mut kept = Vec::with_capacity(places.len());
        for verdict in verdicts {
            kept.extend(self.note(verdict));
        }
        self.filter.kept = kept.len() as u64;
        ensure!(!kept.is_empty(), self.nothing_left());
        Ok(kept)
    }

    fn note(&mut self, verdict: Verdict) -> Option<Drawn> {
        self.filter.looked_at += 1;
        match verdict {
            Verdict::Kept(drawn) => return Some(drawn),
            Verdict::TooShort => self.filter.too_short += 1,
            Verdict::PromptTooLong => self.filter.prompt_too_long += 1,
            Verdict::SumTooLong => self.filter.sum_too_long += 1,
        }
        None
    }

    fn judge(&self, place: usize) -> Result<Verdict> {
        self.verdict(place)
            .with_context(|| self.dataset.place_name(place))
    }

    /// LMDeploy's filter (`sample_requests` of its profile scripts), v0.1.0 on.
    fn verdict(&self, place: usize) -> Result<Verdict> {
        let pair = self.dataset.pair(place)?;
        let prompt_tokens = self.count(&pair.prompt).context("the prompt")?;
        let limits = self.limits;
        if !self.filters {
            ensure!(prompt_tokens > 0, "the prompt is empty");
        }
        if prompt_tokens < limits.min_tokens {
            return Ok(Verdict::TooShort);
        }
        if prompt_tokens > limits.max_prompt_tokens {
            return Ok(Verdict::PromptTooLong);
        }
        let output_tokens = match (self.output_tokens, &pair.answer) {
            (Some(tokens), _) => tokens,
            (None, Answer::Tokens(tokens)) => *tokens,
            (None, Answer::Text(text)) => self.count(text).context("the answer")?,
            (None, Answer::Unknown) => bail!(
                "there is no answer and no `output_tokens`, so nobody knows how much to ask for; \
                 give one length for all with --output-len"
            ),
        };
        if !self.filters {
            ensure!(output_tokens > 0, "the answer is empty");
        }
        let sum_counts = self.output_tokens.is_none() && limits.max_total_tokens < u32::MAX;
        Ok(if output_tokens < limits.min_tokens {
            Verdict::TooShort
        } else if sum_counts
            && output_tokens > limits.max_total_tokens.saturating_sub(prompt_tokens)
        {
            Verdict::SumTooLong
        } else {
            Verdict::Kept(Drawn {
                place,
                prompt_tokens,
                output_tokens,
            })
        })
    }

    /// Tokens as the style's version counts them.
    fn count(&self, text: &str) -> Result<u32> {
        match self.style {
            // `len(tokenizer.encode(text))`: begin of sequence counts.
            SamplingStyle::Lmdeploy062 => {
                let tokens = self.tokenizer.encode_as_served(text)?.len();
                u32::try_from(tokens).context("more than 2^32 tokens")
            }
            _ => self.tokenizer.count(text),
        }
    }

    /// Compares the counts that exported lines state. A count with begin of
    /// sequence (of a `lmdeploy-0.6.2` sample) is taken over; another one is told.
    fn compare_stated(&self, drawn: &mut [Drawn], notes: &mut Vec<String>) -> Result<()> {
        let mut others = 0_u32;
        let mut first = None;
        let mut stated_lines = 0_u32;
        for drawn in drawn {
            let Some(stated) = self.dataset.stated_tokens(drawn.place) else {
                continue;
            };
            stated_lines += 1;
            if stated == drawn.prompt_tokens {
                continue;
            }
            let prompt = self.dataset.prompt(drawn.place)?;
            let served = self.tokenizer.encode_as_served(&prompt)?.len();
            if served == stated as usize && self.style == SamplingStyle::InOrder {
                drawn.prompt_tokens = stated;
            } else {
                others += 1;
                let counted = drawn.prompt_tokens;
                first.get_or_insert_with(|| {
                    let place = self.dataset.place_name(drawn.place);
                    format!("{place}: {stated} stated, {counted} counted")
                });
            }
        }
        if let Some(first) = first {
            notes.push(format!(
                "{others} of {stated_lines} prompts state other `prompt_tokens` than this \
                 tokenizer counts ({first}); were they exported with another tokenizer, or with \
                 begin of sequence counted (--sampling lmdeploy-0.6.2)? Compare the workload's \
                 digests"
            ));
        }
        Ok(())
    }

    /// How many pairs each rule dropped, as a clause.
    fn dropped(&self) -> String {
        let FilterCounts {
            records,
            pairs,
            looked_at,
            too_short,
            prompt_too_long,
            sum_too_long,
            ..
        } = self.filter;
        let Limits {
            min_tokens,
            max_prompt_tokens,
            max_total_tokens,
        } = self.limits;
        let without = records.saturating_sub(pairs);
        let others = if looked_at == pairs {
            format!("of the {pairs} others")
        } else {
            format!("of the {looked_at} that were drawn of the {pairs} others")
        };
        format!(
            "of {records} records {without} have no prompt or no answer; {others} {too_short} have a \
             prompt or answer under {min_tokens} tokens, {prompt_too_long} a prompt over \
             {max_prompt_tokens}, {sum_too_long} more than {max_total_tokens} together"
        )
    }

    fn nothing_left(&self) -> String {
        if self.filter.pairs == 0 {
            return format!(
                "{}: of {} records none has a prompt",
                self.dataset.name(),
                self.filter.records
            );
        }
        if !self.filters {
            return "there is no prompt in it".to_owned();
        }
        format!(
            "no conversation is left after LMDeploy's filter: {}; use a dataset with longer or \
             shorter turns, other limits (--min-tokens, --max-prompt-tokens, --max-total-tokens), \
             and check that the tokenizer is the model's",
            self.dropped()
        )
    }

    fn too_many_asked(&self, count: u32) -> String {
        let kept = self.filter.kept;
        if !self.filters {
            return format!(
                "{count} prompts were asked for, but there are only {kept}; ask for at most {kept} \
                 (--num-prompts {kept})"
            );
        }
        let fewer = match self.style {
            // With fewer prompts the first draw shrinks, too.
            SamplingStyle::Lmdeploy026 => {
                "ask for fewer (--num-prompts; the first draw is 1.2 times that), take another \
                 --sampling"
                    .to_owned()
            }
            _ => format!("ask for at most {kept} (--num-prompts {kept})"),
        };
        format!(
            "{count} prompts were asked for, but only {kept} conversations are left after \
             LMDeploy's filter ({}); {fewer}, use a larger dataset, or other limits \
             (--min-tokens, --max-prompt-tokens, --max-total-tokens)",
            self.dropped()
        )
    }
}
