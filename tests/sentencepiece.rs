//! Our SentencePiece encoder against SentencePiece itself, id for id.
//!
//! `data/sp_fuzz_*.json` are kept samples. For a full comparison make files with
//! `data/tools/make_sp_cases.py` and name them, each with its model:
//! `PAIRBENCH_SP_CASES="MODEL=CASES.json ..." cargo test --release --test sentencepiece
//! -- --ignored --nocapture`

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pairbench::workload::Tokenizer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    made_with: String,
    cases: Vec<(String, Vec<u32>)>,
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The texts whose ids differ.
fn differences(tokenizer: &Tokenizer, cases: &Cases) -> Vec<String> {
    let wrong = cases.cases.iter().filter_map(|(text, wanted)| {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.count(text).unwrap() as usize, ids.len());
        let short: String = text.chars().take(200).collect();
        (ids != *wanted).then(|| format!("{short:?}\n  wanted {wanted:?}\n  got    {ids:?}"))
    });
    wrong.collect()
}

fn read(path: &Path) -> Cases {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn kept_samples_are_equal() {
    let models = BTreeMap::from([
        ("internlm", "tests/data/tokenizers/internlm-sp"),
        ("mistral_v1", "src/demo/tokenizer.model"),
        ("mistral_v3", "tests/data/tokenizers/mistral-v3-sp"),
        ("small_bytes", "tests/data/tokenizers/sp-small-bytes"),
        ("small_unk", "tests/data/tokenizers/sp-small-unk"),
    ]);
    for (name, model) in models {
        let cases = read(&at(&format!("tests/data/sp_fuzz_{name}.json")));
        assert!(cases.cases.len() >= 200, "{name}");
        let tokenizer = Tokenizer::load(&at(model)).unwrap();
        let wrong = differences(&tokenizer, &cases);
        assert!(
            wrong.is_empty(),
            "{name}: {} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

/// Pieces say what they stand for: all of the text comes back out of its ids, but
/// for the dummy prefix and for U+2581, which is how a space is written.
#[test]
fn texts_come_back_out_of_their_ids() {
    for (name, model, prefix) in [
        ("internlm", "tests/data/tokenizers/internlm-sp", ""),
        ("mistral_v1", "src/demo/tokenizer.model", " "),
        ("mistral_v3", "tests/data/tokenizers/mistral-v3-sp", " "),
        ("small_bytes", "tests/data/tokenizers/sp-small-bytes", ""),
    ] {
        let tokenizer = Tokenizer::load(&at(model)).unwrap();
        for (text, ids) in read(&at(&format!("tests/data/sp_fuzz_{name}.json"))).cases {
            let prefix = if text.is_empty() { "" } else { prefix };
            let bytes = tokenizer.decode_bytes(&ids);
            let wanted = format!("{prefix}{text}").replace('\u{2581}', " ");
            assert_eq!(
                String::from_utf8(bytes).unwrap().replace('\u{2581}', " "),
                wanted
            );
            // What a server sends as it is, and what it sends without the prefix.
            let answer = format!("{prefix}{text}");
            assert_eq!(
                tokenizer.count_answer(&answer).unwrap() as usize,
                ids.len(),
                "{answer:?}"
            );
            if !text.starts_with(' ') {
                assert_eq!(tokenizer.count_answer(&text).unwrap() as usize, ids.len());
            }
        }
    }
}

#[test]
#[ignore = "needs files made with Python's sentencepiece; see the head of this file"]
fn named_cases_are_equal() {
    let named = std::env::var("PAIRBENCH_SP_CASES").expect("PAIRBENCH_SP_CASES");
    let mut all_equal = true;
    for pair in named.split_whitespace() {
        let (model, file) = pair.split_once('=').expect("MODEL=CASES.json");
        let cases = read(Path::new(file));
        let wrong = differences(&Tokenizer::load(Path::new(model)).unwrap(), &cases);
        let bytes: usize = cases.cases.iter().map(|(text, _)| text.len()).sum();
        println!(
            "{model} against {}: {} of {} texts differ ({bytes} bytes)",
            cases.made_with,
            wrong.len(),
            cases.cases.len()
        );
        for text in wrong.iter().filter(|text| text.len() < 1000).take(3) {
            println!("{text}");
        }
        all_equal &= wrong.is_empty();
    }
    assert!(all_equal);
}
