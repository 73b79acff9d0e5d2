//! Our encoders against the Python libraries that LMDeploy calls, id for id.
//!
//! `exactness/sample.json` is a stored sample and runs always. The whole comparison
//! (every kind, 50,000 real strings and more, 40,000 fuzz strings for each) is one
//! command, `tests/exactness/run`; see the README there.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect, and this one prints its figures"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pairbench::workload::Tokenizer;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Differences that are shown of each comparison.
const SHOWN: usize = 5;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|&word| u32::from_le_bytes(word))
}

/// Texts as `exactness/encode.py` writes them: length in bytes, then UTF-8.
fn read_texts(path: &Path) -> Vec<String> {
    let data = fs::read(path).unwrap();
    let mut rest = data.as_slice();
    let mut texts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (text, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        rest = after;
    }
    texts
}

/// Ids of each text: how many, then the ids.
fn read_ids(path: &Path) -> Vec<Vec<u32>> {
    let mut words = u32s(&fs::read(path).unwrap())
        .collect::<Vec<_>>()
        .into_iter();
    let mut all = Vec::new();
    while let Some(count) = words.next() {
        all.push(words.by_ref().take(count as usize).collect());
    }
    all
}

/// The first ids that differ, with what stands around them.
fn parting(text: &str, wanted: &[u32], got: &[u32]) -> String {
    let place = wanted.iter().zip(got).take_while(|(a, b)| a == b).count();
    let around = |ids: &[u32]| {
        let from = place.saturating_sub(3).min(ids.len());
        format!("{:?}", &ids[from..ids.len().min(place + 8)])
    };
    let short: String = text.chars().take(160).collect();
    format!(
        "{} bytes: {short:?}\n    from id {place}: wanted {} (of {}), got {} (of {})",
        text.len(),
        around(wanted),
        wanted.len(),
        around(got),
        got.len()
    )
}

/// One line of the plan that `exactness/run` writes.
struct Comparison {
    kind: String,
    path: PathBuf,
    family: String,
    texts: PathBuf,
    ids: PathBuf,
    reference: String,
    /// Texts that hold NUL may get other ids, if as many (see `kinds.py`).
    excuses_nul: bool,
}

fn read_plan(folder: &Path) -> Vec<Comparison> {
    let plan = fs::read_to_string(folder.join("plan.tsv")).expect("run tests/exactness/run");
    let lines = plan.lines().map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[kind, path, family, texts, ids, reference, rule] = fields.as_slice() else {
            panic!("a line of the plan: {line}");
        };
        Comparison {
            kind: kind.to_owned(),
            path: path.into(),
            family: family.to_owned(),
            texts: texts.into(),
            ids: ids.into(),
            reference: reference.to_owned(),
            excuses_nul: rule == "nul",
        }
    });
    lines.collect()
}

fn load(path: &Path, family: &str) -> anyhow::Result<Tokenizer> {
    let family = match family {
        "" => None,
        name => Some(name.parse()?),
    };
    Tokenizer::load_as(path, family)
}

/// How many texts differ.
fn compare(comparison: &Comparison, tokenizer: &Tokenizer) -> usize {
    let texts = read_texts(&comparison.texts);
    let ids = read_ids(&comparison.ids);
    assert_eq!(texts.len(), ids.len(), "{}", comparison.ids.display());
    let mut shown = Vec::new();
    let (mut different, mut excused) = (0, 0);
    for (text, wanted) in texts.iter().zip(&ids) {
        let got = tokenizer.encode(text).unwrap_or_default();
        let count = tokenizer.count(text).unwrap_or(u32::MAX) as usize;
        if got == *wanted && count == wanted.len() {
            continue;
        }
        if comparison.excuses_nul && text.contains('\0') && got.len() == wanted.len() {
            excused += 1;
        } else {
            different += 1;
            if shown.len() < SHOWN {
                shown.push(parting(text, wanted, &got));
            }
        }
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    println!(
        "{:<28} {:<22} {:<20} strings {:>6}  bytes {bytes:>9}  different {different}{}",
        comparison.kind,
        comparison.reference,
        comparison.texts.file_stem().unwrap().to_string_lossy(),
        texts.len(),
        if excused > 0 {
            format!(" (and {excused} that hold NUL, see kinds.py)")
        } else {
            String::new()
        }
    );
    for one in shown {
        println!("  {one}");
    }
    different
}

#[test]
#[ignore = "needs what Python made: run tests/exactness/run"]
fn the_python_libraries_are_met() {
    let folder = std::env::var("PAIRBENCH_EXACTNESS").expect("run tests/exactness/run");
    let mut wrong = BTreeMap::new();
    let mut loaded: BTreeMap<String, Option<Tokenizer>> = BTreeMap::new();
    for comparison in read_plan(Path::new(&folder)) {
        let tokenizer = loaded.entry(comparison.kind.clone()).or_insert_with(|| {
            load(&comparison.path, &comparison.family)
                .map_err(|error| println!("{}: not read: {error:#}", comparison.kind))
                .ok()
        });
        let different = match tokenizer {
            Some(tokenizer) => compare(&comparison, tokenizer),
            None => 1,
        };
        if different > 0 {
            *wrong.entry(comparison.kind).or_insert(0) += different;
        }
    }
    assert!(!loaded.is_empty(), "an empty plan");
    assert!(wrong.is_empty(), "not met: {wrong:?}");
}

#[derive(Deserialize)]
struct Sample {
    /// Real strings, the same for all kinds.
    texts: Vec<String>,
    kinds: BTreeMap<String, KindSample>,
}

#[derive(Deserialize)]
struct KindSample {
    /// Below this project's root.
    path: String,
    reference: String,
    /// Texts glued from this kind's own vocabulary.
    fuzz: Vec<String>,
    /// Of all texts, then all fuzz texts: 8 hex digits of SHA-256 over the ids as
    /// compact JSON.
    digests: Vec<String>,
}

fn digest(ids: &[u32]) -> String {
    let json = serde_json::to_vec(ids).unwrap();
    let [a, b, c, d, ..] = Sha256::digest(json)[..] else {
        panic!("SHA-256 has 32 bytes");
    };
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

#[test]
fn the_stored_sample_is_met() {
    let sample: Sample =
        serde_json::from_slice(&fs::read(at("tests/exactness/sample.json")).unwrap()).unwrap();
    assert!(sample.texts.len() >= 300 && sample.kinds.len() >= 7);
    for (kind, expected) in &sample.kinds {
        let tokenizer = Tokenizer::load(&at(&expected.path)).unwrap();
        let texts: Vec<&String> = sample.texts.iter().chain(&expected.fuzz).collect();
        assert_eq!(texts.len(), expected.digests.len(), "{kind}");
        let different: Vec<&&String> = texts
            .iter()
            .zip(&expected.digests)
            .filter(|(text, wanted)| digest(&tokenizer.encode(text).unwrap()) != **wanted)
            .map(|(text, _)| text)
            .collect();
        assert!(
            different.is_empty(),
            "{kind} against {}: {} of {} differ: {different:?}",
            expected.reference,
            different.len(),
            texts.len()
        );
    }
}
