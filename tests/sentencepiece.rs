//! Our SentencePiece encoder against SentencePiece itself, id for id.
//!
//! `data/sp_fuzz_*.json` are kept samples; the whole comparison is `exactness/run`.
//! The plain reference of `sentencepiece/reference.rs` is itself held to the kept
//! samples, and then to any text that proptest thinks of.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pairbench::workload::Tokenizer;
use proptest::prelude::*;
use serde::Deserialize;

#[path = "sentencepiece/reference.rs"]
mod reference;

use reference::Reference;

#[derive(Deserialize)]
struct Cases {
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

const MODELS: [(&str, &str); 5] = [
    (
        "internlm",
        "tests/data/tokenizers/internlm-sp/tokenizer.model",
    ),
    ("mistral_v1", "src/demo/tokenizer.model"),
    (
        "mistral_v3",
        "tests/data/tokenizers/mistral-v3-sp/tokenizer.model",
    ),
    (
        "small_bytes",
        "tests/data/tokenizers/sp-small-bytes/tokenizer.model",
    ),
    (
        "small_unk",
        "tests/data/tokenizers/sp-small-unk/tokenizer.model",
    ),
];

static BOTH: LazyLock<Vec<(Tokenizer, Reference)>> = LazyLock::new(|| {
    let both = MODELS.iter().map(|(_, model)| {
        let bytes = fs::read(at(model)).unwrap();
        let tokenizer = Tokenizer::from_sentencepiece_bytes(&bytes).unwrap();
        (tokenizer, Reference::of(&bytes))
    });
    both.collect()
});

#[test]
fn the_plain_reference_is_sentencepiece() {
    for ((name, _), (_, reference)) in MODELS.iter().zip(&*BOTH) {
        for (text, ids) in read(&at(&format!("tests/data/sp_fuzz_{name}.json"))).cases {
            assert_eq!(reference.encode(&text), ids, "{name}: {text:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any text, words without a place to cut, and pieces glued together: what the
    /// encoder does with cuts, cache and queue is what plain merging does.
    #[test]
    fn any_text_is_encoded_as_the_plain_reference_does(
        text in any::<String>(),
        word in "[a-d]{0,300}",
        spaced in "[ a-zé中\u{2581}\0]{0,80}",
        numbers in proptest::collection::vec(any::<u16>(), 0..60),
    ) {
        for (tokenizer, reference) in &*BOTH {
            let pieces = numbers.iter().map(|&number| {
                let (text, _) = &reference.pieces[usize::from(number) % reference.pieces.len()];
                text.as_str()
            });
            let glued: String = pieces.collect();
            let unspaced = glued.replace('\u{2581}', "");
            for text in [&text, &word, &spaced, &glued, &unspaced] {
                prop_assert_eq!(tokenizer.encode(text).unwrap(), reference.encode(text), "{}", text);
            }
        }
    }
}
