//! What is asked: the data, the rule of the choice, the way of answering.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use backends::{PromptMode, Sampling};

use super::at_least_one;
use crate::cli::{AskArgs, DataArgs, PromptArg, WorkArgs};
use crate::workload::{DatasetFormat, Family, RandomLengths, Rules, SamplingStyle, SetLimits};

/// Longest random prompt and answer where nothing else is said, in tokens.
const RANDOM_TOKENS: u32 = 1024;

/// Where the prompts and the tokenizer come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// The user's files.
    Files {
        /// Tokenizer folder or file.
        tokenizer: PathBuf,
        /// Its family, where the user names it.
        family: Option<Family>,
        /// The prompts.
        source: Source,
    },
    /// What the binary carries for `demo`.
    Bundled,
}

/// What prompts are made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A file, or `-` for standard input.
    File {
        /// Its path.
        path: PathBuf,
        /// Its format, if the user names it.
        format: Option<DatasetFormat>,
    },
    /// Random tokens.
    Random(RandomLengths),
}

impl Data {
    /// Where the prompts come from, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Bundled => "bundled conversations".to_owned(),
            Self::Files { source, .. } => match source {
                Source::File { path, .. } if path.as_os_str() == "-" => "standard input".to_owned(),
                Source::File { path, .. } => path.display().to_string(),
                Source::Random(lengths) => format!(
                    "random tokens (input {}, output {}, range ratio {})",
                    lengths.input_tokens, lengths.output_tokens, lengths.range_ratio
                ),
            },
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Work {
    /// Prompts and tokenizer.
    pub data: Data,
    /// Which prompts are taken.
    pub rules: Rules,
    /// How the server is asked to choose tokens.
    pub sampling: Sampling,
    /// Raw text or chat turns.
    pub prompt_mode: PromptMode,
    /// Answers in pieces.
    pub stream: bool,
}

impl Work {
    /// What the flags of `profile` and `compare` ask for.
    pub(super) fn of(args: &WorkArgs, stream: bool) -> Result<Self> {
        let stream = args.stream_output.unwrap_or(stream);
        Self::of_parts(&args.data, &args.ask, stream)
    }

    /// The configuration of `dataset`.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of_dataset(data: &DataArgs, ask: &AskArgs) -> Result<Self> {
        Self::of_parts(data, ask, true)
    }

    fn of_parts(data: &DataArgs, ask: &AskArgs, stream: bool) -> Result<Self> {
        let source = source(data)?;
        Ok(Self {
            rules: rules(data, &source)?,
            data: Data::Files {
                tokenizer: data.tokenizer.clone(),
                family: tokenizer_family(data.tokenizer_family.as_deref())?,
                source,
            },
            sampling: sampling(ask)?,
            prompt_mode: match data.prompt {
                PromptArg::Raw => PromptMode::Raw,
                PromptArg::Chat => PromptMode::Chat,
            },
            stream,
        })
    }
}

/// What `--tokenizer-family` names.
///
/// # Errors
/// Lists the names that there are.
pub fn tokenizer_family(word: Option<&str>) -> Result<Option<Family>> {
    named(word, "--tokenizer-family")
}

/// Reads a flag's word as one of the names that there are.
fn named<T: std::str::FromStr<Err = anyhow::Error>>(
    word: Option<&str>,
    flag: &str,
) -> Result<Option<T>> {
    word.map(|word| word.parse().with_context(|| format!("{flag} {word}")))
        .transpose()
}

fn source(args: &DataArgs) -> Result<Source> {
    let format = named(args.dataset_format.as_deref(), "--dataset-format")?;
    if format == Some(DatasetFormat::Random) {
        ensure!(
            args.dataset.is_none(),
            "--dataset-format random makes its prompts itself: leave DATASET out"
        );
        return Ok(Source::Random(random(args)));
    }
    for (given, flag) in [
        (args.random_input_len.is_some(), "--random-input-len"),
        (args.random_output_len.is_some(), "--random-output-len"),
        (args.random_range_ratio.is_some(), "--random-range-ratio"),
    ] {
        ensure!(!given, "{flag}: goes with --dataset-format random only");
    }
    let path = args.dataset.clone().context(
        "DATASET is missing: give a file of conversations or prompts, - for standard input, or \
         --dataset-format random",
    )?;
    Ok(Source::File { path, format })
}

fn random(args: &DataArgs) -> RandomLengths {
    // The room of the workload checks them, and names the flags.
    RandomLengths {
        input_tokens: args.random_input_len.unwrap_or(RANDOM_TOKENS),
        output_tokens: args.random_output_len.unwrap_or(RANDOM_TOKENS),
        range_ratio: args.random_range_ratio.unwrap_or(0.0),
    }
}

fn rules(args: &DataArgs, source: &Source) -> Result<Rules> {
    let positive =
        |value: Option<u32>, flag: &str| value.map(|value| at_least_one(value, flag)).transpose();
    let style: Option<SamplingStyle> = named(args.sampling.as_deref(), "--sampling")?;
    let rules = Rules {
        style,
        num_prompts: positive(args.num_prompts, "--num-prompts")?,
        seed: args.seed,
        output_tokens: positive(args.output_len, "--output-len")?,
        limits: SetLimits {
            min_tokens: positive(args.min_tokens, "--min-tokens")?,
            max_prompt_tokens: positive(args.max_prompt_tokens, "--max-prompt-tokens")?,
            max_total_tokens: positive(args.max_total_tokens, "--max-total-tokens")?,
        },
    };
    if let Source::Random(_) = source {
        let unused = [
            (style.is_some(), "--sampling"),
            (rules.output_tokens.is_some(), "--output-len"),
            (
                rules.limits != SetLimits::default(),
                "--min-tokens and the other limits",
            ),
        ];
        for (given, flag) in unused {
            ensure!(
                !given,
                "{flag}: random prompts are not chosen from anything; their lengths are \
                 --random-input-len, --random-output-len and --random-range-ratio"
            );
        }
    }
    Ok(rules)
}

fn sampling(args: &AskArgs) -> Result<Sampling> {
    ensure!(
        args.temperature.is_finite() && args.temperature > 0.0,
        "--temperature {}: must be above 0 and finite (for greedy choice use --top_k 1)",
        args.temperature
    );
    ensure!(
        args.top_p > 0.0 && args.top_p <= 1.0,
        "--top_p {}: must be above 0 and at most 1",
        args.top_p
    );
    Ok(Sampling {
        temperature: args.temperature,
        top_p: args.top_p,
        top_k: at_least_one(args.top_k, "--top_k")?,
        ignore_eos: args.ignore_eos,
    })
}
