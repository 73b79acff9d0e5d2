//! LMDeploy's own counts and samples, reproduced: `golden_sampling.json` was made
//! by running LMDeploy v0.1.0's tokenizer classes and its sampling on
//! `sharegpt_mini.json` (see `data/README.md`).

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pairbench::workload::{
    Answer, Dataset, Prompt, Rules, SamplingStyle, Tokenizer, read_dataset, sample,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Golden {
    pairs: usize,
    prompt_len: Vec<u32>,
    output_len: Vec<u32>,
    ids_sha256_16: String,
    filtered: u64,
    samples: BTreeMap<String, GoldenSample>,
}

#[derive(Deserialize)]
struct GoldenSample {
    first10: Vec<u32>,
    in_tokens: u64,
    out_tokens: u64,
    index_sha256_16: String,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn golden(name: &str) -> Golden {
    let text = fs::read_to_string(data("golden_sampling.json")).unwrap();
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    serde_json::from_value(all.remove(name).unwrap()).unwrap()
}

/// First 16 hex digits of the SHA-256 of the compact JSON.
fn digest(value: &impl serde::Serialize) -> String {
    let hash = Sha256::digest(serde_json::to_vec(value).unwrap());
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn check(name: &str, tokenizer: &Tokenizer) {
    let golden = golden(name);
    let dataset = read_dataset(&data("sharegpt_mini.json"), None).unwrap();
    assert_eq!((dataset.records(), dataset.len()), (2109, golden.pairs));

    let encode = |text: &str| tokenizer.encode(text).unwrap();
    let mut prompts: Vec<Vec<u32>> = Vec::new();
    let mut answers: Vec<Vec<u32>> = Vec::new();
    for place in 0..dataset.len() {
        let pair = dataset.pair(place).unwrap();
        let Answer::Text(answer) = &pair.answer else {
            panic!("pair {place} has no answer");
        };
        prompts.push(encode(&pair.prompt));
        answers.push(encode(answer));
    }
    let lengths = |ids: &[Vec<u32>]| -> Vec<u32> {
        ids.iter()
            .map(|ids| u32::try_from(ids.len()).unwrap())
            .collect()
    };
    assert_eq!(lengths(&prompts), golden.prompt_len);
    assert_eq!(lengths(&answers), golden.output_len);
    assert_eq!(digest(&[prompts, answers].concat()), golden.ids_sha256_16);
    check_filter(tokenizer, &dataset, &golden);
    check_samples(tokenizer, &dataset, &golden);
}

/// The filter's counts, computed again from the golden lengths.
fn check_filter(tokenizer: &Tokenizer, dataset: &Dataset, golden: &Golden) {
    let rules = Rules {
        num_prompts: Some(1),
        ..Rules::default()
    };
    let filter = sample(dataset, tokenizer, &rules, &()).unwrap().filter;
    let mut counts = [0; 4];
    for (&prompt, &output) in golden.prompt_len.iter().zip(&golden.output_len) {
        let rule = match (prompt, output) {
            (..4, _) => 0,
            (1025.., _) => 1,
            (_, ..4) => 0,
            _ if prompt + output > 2048 => 2,
            _ => 3,
        };
        counts[rule] += 1;
    }
    let ours = [
        filter.too_short,
        filter.prompt_too_long,
        filter.sum_too_long,
        filter.kept,
    ];
    assert_eq!(ours, counts);
    assert_eq!(
        (filter.pairs, filter.kept),
        (golden.pairs as u64, golden.filtered)
    );
}

/// What LMDeploy's three generations draw: for 3 seeds and 3 sizes the same
/// prompts, in the same order, with the same counts.
fn check_samples(tokenizer: &Tokenizer, dataset: &Dataset, golden: &Golden) {
    let mut checked = 0;
    for (key, wanted) in &golden.samples {
        let (version, rest) = key.split_once(" seed=").unwrap();
        let (seed, count) = rest.split_once(" n=").unwrap();
        let style = match version {
            "v0.1.0" => SamplingStyle::Lmdeploy01,
            "v0.2.6" => SamplingStyle::Lmdeploy026,
            "v0.6.2" => SamplingStyle::Lmdeploy062,
            _ => panic!("{key}"),
        };
        let rules = Rules {
            style: Some(style),
            num_prompts: Some(count.parse().unwrap()),
            seed: seed.parse().unwrap(),
            ..Rules::default()
        };
        let workload = sample(dataset, tokenizer, &rules, &()).unwrap();
        assert_eq!((workload.style, workload.notes.len()), (Some(style), 0));
        let prompts = &workload.prompts;
        let indices: Vec<u32> = prompts.iter().map(|prompt| prompt.index).collect();
        assert_eq!(indices[..10], wanted.first10, "{key}");
        assert_eq!(digest(&indices), wanted.index_sha256_16, "{key}");
        let total = |tokens: fn(&Prompt) -> u32| -> u64 {
            prompts.iter().map(|prompt| u64::from(tokens(prompt))).sum()
        };
        let counts = (
            total(|prompt| prompt.prompt_tokens),
            total(|prompt| prompt.output_tokens),
        );
        assert_eq!(counts, (wanted.in_tokens, wanted.out_tokens), "{key}");
        let bos = tokenizer.adds_bos() && style != SamplingStyle::Lmdeploy062;
        for prompt in prompts {
            let served = prompt.token_ids.len() - usize::from(bos);
            assert_eq!(served, prompt.prompt_tokens as usize);
            let pair = dataset.pair(prompt.index as usize).unwrap();
            assert_eq!(*prompt.text, *pair.prompt);
        }
        checked += 1;
    }
    assert_eq!(checked, 27);
}

/// Mistral v1's model is kept once, where `pairbench demo` embeds it.
fn mistral_v1_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/tokenizer.model")
}

#[test]
fn internlm_sentencepiece() {
    let tokenizer = Tokenizer::load(&data("tokenizers/internlm-sp")).unwrap();
    assert_eq!(
        tokenizer.describe(),
        "SentencePiece BPE, 103168 pieces, tokenizer.model"
    );
    check("internlm-sp", &tokenizer);
}

#[test]
fn mistral_v1_sentencepiece() {
    let tokenizer = Tokenizer::load(&mistral_v1_model()).unwrap();
    check("mistral-v1-sp", &tokenizer);
}

#[test]
fn mistral_v3_sentencepiece() {
    let tokenizer = Tokenizer::load(&data("tokenizers/mistral-v3-sp")).unwrap();
    check("mistral-v3-sp", &tokenizer);
}

/// A folder as Hugging Face publishes it: settings, so `tokenizer.json` wins over
/// the `tokenizer.model` beside it.
#[test]
fn mistral_v1_huggingface() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(
            data("tokenizers/mistral-v1-hf").join(name),
            folder.path().join(name),
        )
        .unwrap();
    }
    fs::copy(mistral_v1_model(), folder.path().join("tokenizer.model")).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(
        tokenizer.describe(),
        "Hugging Face BPE, 32000 tokens, tokenizer.json"
    );
    check("mistral-v1-hf", &tokenizer);
}
