//! Byte-level BPE of all kinds of files against the Python libraries, id for id:
//! tiktoken ranks of three families, tekken, `vocab.json` with `merges.txt`.
//!
//! `data/tools/make_tiktoken_cases.py` made the cases and the small vocabularies.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pairbench::workload::{Family, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

type Texts = Vec<(String, Vec<u32>)>;

#[derive(Deserialize)]
struct Cases<T> {
    kinds: BTreeMap<String, T>,
}

#[derive(Deserialize)]
struct WithSettings {
    settings: serde_json::Value,
    /// What "Hello" becomes with all that is inserted.
    served: Vec<u32>,
    cases: Texts,
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn read<T: DeserializeOwned>(name: &str) -> BTreeMap<String, T> {
    let cases: Cases<T> = serde_json::from_slice(&fs::read(at(name)).unwrap()).unwrap();
    cases.kinds
}

fn assert_equal(kind: &str, tokenizer: &Tokenizer, cases: &Texts) {
    assert!(cases.len() > 250, "{kind}");
    let ids: Vec<u32> = (0..9).collect();
    assert!(!tokenizer.decode_bytes(&ids).is_empty() || kind == "tekken");
    for (text, wanted) in cases {
        assert_eq!(tokenizer.encode(text).unwrap(), *wanted, "{kind}: {text:?}");
        let count = tokenizer.count(text).unwrap();
        assert_eq!(count as usize, wanted.len(), "{kind}: {text:?}");
        assert_eq!(
            tokenizer.count_answer(text).unwrap(),
            count,
            "{kind}: {text:?}"
        );
    }
}

/// Qwen's first 20,000 ranks under each family, and Mistral's own kind of file.
fn ranks(kind: &str) -> Tokenizer {
    let cut = at("tokenizers/qwen-cut/qwen.tiktoken");
    match kind {
        "tekken" => Tokenizer::load(&at("tokenizers/tekken-small")),
        family => Tokenizer::load_as(&cut, Some(family.parse().unwrap())),
    }
    .unwrap()
}

#[test]
fn ranks_are_those_of_tiktoken() {
    let kinds = read::<Texts>("ranks_cases.json");
    assert_eq!(kinds.len(), 4);
    for (kind, cases) in kinds {
        assert_equal(&kind, &ranks(&kind), &cases);
    }
}

#[test]
fn families_put_their_own_tokens_in_front() {
    for (kind, in_front, bos, eos, size, description) in [
        (
            "qwen",
            &[][..],
            None,
            Some(20_000),
            20_208,
            "qwen tiktoken, 20208 tokens, qwen.tiktoken",
        ),
        (
            "llama-3",
            &[20_000],
            Some(20_000),
            Some(20_001),
            20_256,
            "llama-3 tiktoken, 20256 tokens, qwen.tiktoken",
        ),
        (
            // LMDeploy's class for it inserts nothing.
            "glm-4",
            &[],
            None,
            Some(20_000),
            20_014,
            "glm-4 tiktoken, 20014 tokens, qwen.tiktoken",
        ),
        (
            "tekken",
            &[1],
            Some(1),
            Some(2),
            1_490,
            "Mistral tekken, 1490 tokens, tekken.json",
        ),
    ] {
        let tokenizer = ranks(kind);
        let plain = tokenizer.encode("Hello").unwrap();
        let served = tokenizer.encode_as_served("Hello").unwrap();
        assert_eq!(served, [in_front, &plain].concat(), "{kind}");
        assert_eq!(tokenizer.decode_bytes(&served), b"Hello", "{kind}");
        assert_eq!(tokenizer.adds_bos(), !in_front.is_empty(), "{kind}");
        assert_eq!(
            (tokenizer.bos_id(), tokenizer.eos_id()),
            (bos, eos),
            "{kind}"
        );
        assert_eq!(tokenizer.vocabulary_len(), size, "{kind}");
        assert_eq!(tokenizer.describe(), description);
    }
}

#[test]
fn vocab_and_merges_are_those_of_transformers() {
    let kinds = read::<WithSettings>("merges_cases.json");
    assert_eq!(kinds.len(), 3);
    for (
        kind,
        WithSettings {
            settings,
            served,
            cases,
        },
    ) in kinds
    {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vocab.json", "merges.txt"] {
            fs::copy(
                at("tokenizers/merges-small").join(name),
                folder.path().join(name),
            )
            .unwrap();
        }
        let family: Family = if kind == "qwen-2" {
            Family::Qwen2
        } else {
            Family::Gpt2
        };
        let write =
            |settings: &str| fs::write(folder.path().join("tokenizer_config.json"), settings);
        let mut wrong = settings.clone();
        wrong["tokenizer_class"] = "PreTrainedTokenizer".into();
        write(&wrong.to_string()).unwrap();
        let error = format!("{:#}", Tokenizer::load(folder.path()).err().unwrap());
        assert!(error.contains("--tokenizer-family gpt-2"), "{error}");
        let told = Tokenizer::load_as(folder.path(), Some(family)).unwrap();
        assert_eq!(told.encode_as_served("Hello").unwrap(), served, "{kind}");
        write(&settings.to_string()).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_equal(&kind, &tokenizer, &cases);
        assert_eq!(
            tokenizer.encode_as_served("Hello").unwrap(),
            served,
            "{kind}"
        );
        assert_eq!(tokenizer.adds_bos(), kind.ends_with("bos"), "{kind}");
    }
}

/// A run that no pattern cuts costs no more for a byte than a short one: were it
/// quadratic, this would take minutes.
#[test]
fn long_runs_are_linear() {
    for kind in ["qwen", "llama-3", "tekken"] {
        let tokenizer = ranks(kind);
        for one in ["a", " ", "中", "\n", "!", "7", "A", "\u{301}", " \n", "ab"] {
            let text = one.repeat(300_000 / one.len());
            let ids = tokenizer.encode(&text).unwrap();
            assert_eq!(
                tokenizer.decode_bytes(&ids),
                text.as_bytes(),
                "{kind} {one:?}"
            );
        }
    }
}

/// Many threads share a tokenizer, and each gets its own ids.
#[test]
fn threads_do_not_disturb_each_other() {
    let kinds = read::<Texts>("ranks_cases.json");
    let (tokenizer, cases) = (&ranks("qwen"), &kinds["qwen"]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (text, wanted) in cases {
                    assert_eq!(tokenizer.encode(text).unwrap(), *wanted);
                }
            });
        }
    });
}

static BYTE_LEVEL: LazyLock<[Tokenizer; 3]> =
    LazyLock::new(|| [ranks("llama-3"), ranks("glm-4"), ranks("tekken")]);

proptest! {
    #[test]
    fn all_of_the_text_comes_back(text in any::<String>()) {
        for tokenizer in &*BYTE_LEVEL {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode_bytes(&ids), text.as_bytes());
        }
    }
}
