//! Flags that say what is asked: the data that prompts come from, the rule by
//! which they are chosen, and how the server is to answer.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};

/// What is asked: the workload.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Where the prompts come from.
    #[command(flatten)]
    pub data: DataArgs,

    /// How the server is to answer.
    #[command(flatten)]
    pub ask: AskArgs,

    /// Receive answers in pieces and measure the first token. Before another
    /// argument write --stream_output=true [default: false in profile, true in
    /// compare]
    #[arg(
        long = "stream_output",
        visible_alias = "stream-output",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set
    )]
    pub stream_output: Option<bool>,
}

/// Where the prompts come from, and which of them are taken.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Tokenizer of the model: its folder, or the file itself (tokenizer.json,
    /// a SentencePiece BPE tokenizer.model, *.tiktoken, Llama 3's or GLM-4's
    /// base64 tokenizer.model, tekken.json, vocab.json with merges.txt)
    #[arg(value_name = "TOKENIZER_PATH")]
    pub tokenizer: PathBuf,

    /// Conversations or prompts (see --dataset-format), plain or compressed
    /// with gzip or zstd; - reads standard input. Left out with
    /// --dataset-format random
    #[arg(value_name = "DATASET")]
    pub dataset: Option<PathBuf>,

    /// Family of the tokenizer, where its files do not tell it
    #[arg(
        long = "tokenizer-family",
        visible_alias = "tokenizer_family",
        value_name = "NAME",
        help = "Family of the tokenizer, where its files do not tell it: qwen,\n\
                llama-3, glm-4, gpt-2 or qwen-2 [default: as config.json or\n\
                tokenizer_config.json say]"
    )]
    pub tokenizer_family: Option<String>,

    /// What DATASET holds
    #[arg(
        long = "dataset-format",
        visible_aliases = ["dataset_format", "dataset-name", "dataset_name"],
        value_name = "FORMAT",
        help = "What DATASET holds [default: found by its content]:\n\
                sharegpt       a list of {\"conversations\": [{\"value\": text}]}\n\
                openai         {\"messages\": [{\"role\", \"content\"}]}, as a list\n               \
                or one a line; the first user message is the\n               \
                prompt, a system message is left out\n\
                jsonl-prompts  one {\"prompt\": text, \"output_tokens\": N} a line\n\
                random         no file: random tokens of exact lengths"
    )]
    pub dataset_format: Option<String>,

    /// Requests to send, chosen from the dataset [default: 1000; with
    /// --sampling in-order all of the file]
    #[arg(long = "num-prompts", visible_alias = "num_prompts", value_name = "N")]
    pub num_prompts: Option<u32>,

    /// Seed of the choice; the same seed gives the same requests on every
    /// backend, and those that LMDeploy's script would choose
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Rule of the choice, named after the first LMDeploy release whose script
    /// chooses so
    #[arg(
        long,
        value_name = "RULE",
        help = "Rule of the choice, named after the first LMDeploy release whose\n\
                script chooses so [default: lmdeploy-0.1; in-order for\n\
                jsonl-prompts]:\n\
                lmdeploy-0.1    to 0.2.5: filter all, then draw\n\
                lmdeploy-0.2.6  to 0.6.1: draw 1.2 times as many (at least\n                \
                1000), filter, draw again\n\
                lmdeploy-0.6.2  and later: shuffle, take what the filter lets\n                \
                pass; their default --seed is 1\n\
                in-order        the first of the file, unfiltered"
    )]
    pub sampling: Option<String>,

    /// Length to ask for in every request, in tokens [default: that of the
    /// answer in the dataset]
    #[arg(long = "output-len", visible_alias = "output_len", value_name = "N")]
    pub output_len: Option<u32>,

    /// Filter: fewest tokens of a prompt, and of an answer [default: 4; none
    /// with --sampling in-order]
    #[arg(long = "min-tokens", visible_alias = "min_tokens", value_name = "N")]
    pub min_tokens: Option<u32>,

    /// Filter: most tokens of a prompt [default: 1024; none with --sampling
    /// in-order]
    #[arg(
        long = "max-prompt-tokens",
        visible_alias = "max_prompt_tokens",
        value_name = "N"
    )]
    pub max_prompt_tokens: Option<u32>,

    /// Filter: most tokens of prompt and answer together; not looked at with
    /// --output-len [default: 2048; none with --sampling in-order]
    #[arg(
        long = "max-total-tokens",
        visible_alias = "max_total_tokens",
        value_name = "N"
    )]
    pub max_total_tokens: Option<u32>,

    /// Random prompts: their longest length, in tokens [default:
    /// 1024]
    #[arg(
        long = "random-input-len",
        visible_alias = "random_input_len",
        value_name = "N"
    )]
    pub random_input_len: Option<u32>,

    /// Random prompts: the longest answer to ask for, in tokens [default:
    /// 1024]
    #[arg(
        long = "random-output-len",
        visible_alias = "random_output_len",
        value_name = "N"
    )]
    pub random_output_len: Option<u32>,

    /// Random prompts: the shortest length as a part of the longest, from 0 to
    /// 1; with 1 all have the same [default: 0]
    #[arg(
        long = "random-range-ratio",
        visible_alias = "random_range_ratio",
        value_name = "R"
    )]
    pub random_range_ratio: Option<f64>,

    /// What the server gets: the text as it is, or a user's turn in the model's
    /// chat template. For Triton the template is taken from the tokenizer's
    /// folder; an api_server uses its own, and its count of tokens is checked
    #[arg(long, value_name = "MODE", default_value = "raw")]
    pub prompt: PromptArg,
}

/// How the server is to answer. Part of the workload's digest.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// Candidates that the server may choose a token from; 1 is greedy
    #[arg(
        long = "top_k",
        visible_alias = "top-k",
        value_name = "N",
        default_value_t = 1
    )]
    pub top_k: u32,

    /// Probability mass that the server may choose from, above 0 and up to 1
    #[arg(
        long = "top_p",
        visible_alias = "top-p",
        value_name = "P",
        default_value_t = 1.0
    )]
    pub top_p: f32,

    /// Softmax temperature, above 0
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f32,

    /// Ask the server to ignore the end of sequence, so that every answer has
    /// the length asked for
    #[arg(
        long = "ignore_eos", visible_alias = "ignore-eos", value_name = "BOOL",
        default_value = "true", num_args = 0..=1, default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = ArgAction::Set
    )]
    pub ignore_eos: bool,
}

/// Values of `--prompt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PromptArg {
    /// The text as it is
    Raw,
    /// A user's turn in the chat template
    Chat,
}
