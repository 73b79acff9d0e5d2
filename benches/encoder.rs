//! How fast the SentencePiece encoder is, in CPU time of this thread.
//!
//! `cargo bench --bench encoder`            MB per CPU second, and time per byte by length
//! `... -- --model FILE --texts FILE`       another model; a corpus of `tests/exactness/run`
//! `... -- --corpus-only`                   the first part alone, for `encoder_pairs.py`
//!
//! Only the thread's CPU time is read, which other programs disturb less than the
//! wall's time.

#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pairbench::workload::Tokenizer;
use rand_mt::Mt;
use rustix::time::{ClockId, clock_gettime};

const SHORT_BYTES: usize = 3_000;
const LONG_BYTES: usize = 300_000;
/// Long strings of one kind: together enough work for the kernel's accounting.
const LONG_STRINGS: usize = 10;
const PAIRS: usize = 5;

struct Arguments {
    model: PathBuf,
    texts: Option<PathBuf>,
    is_corpus_only: bool,
}

fn arguments() -> Result<Arguments> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Arguments {
        model: project.join("src/demo/tokenizer.model"),
        texts: None,
        is_corpus_only: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut file = || words.next().map(PathBuf::from).context("a file is missing");
        match word.as_str() {
            "--model" => found.model = file()?,
            "--texts" => found.texts = Some(file()?),
            "--corpus-only" => found.is_corpus_only = true,
            "--bench" => {} // cargo's own
            other => bail!("unknown argument `{other}`"),
        }
    }
    Ok(found)
}

/// Nanoseconds that this thread has been on a processor.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// CPU seconds that encoding `texts` takes.
fn seconds(tokenizer: &Tokenizer, texts: &[String]) -> Result<f64> {
    let before = cpu_ns();
    for text in texts {
        black_box(tokenizer.encode(text)?);
    }
    Ok((cpu_ns() - before) as f64 / 1e9)
}

fn load(model: &Path) -> Result<Tokenizer> {
    Tokenizer::from_sentencepiece_bytes(&fs::read(model)?)
}

/// Every turn of the project's own conversations.
fn turns() -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sharegpt_mini.json");
    let records: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let records = records.as_array().context("a list")?.iter();
    let turns = records.flat_map(|record| record["conversations"].as_array().into_iter().flatten());
    let texts = turns.filter_map(|turn| turn["value"].as_str().map(str::to_owned));
    Ok(texts.collect())
}

/// A corpus as `tests/exactness` writes it: length in bytes, then UTF-8.
fn corpus(path: &Path) -> Result<Vec<String>> {
    let data = fs::read(path).with_context(|| format!("`{}`", path.display()))?;
    let mut rest = data.as_slice();
    let mut texts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, after) = after.split_at_checked(length).context("cut off")?;
        texts.push(String::from_utf8(text.to_vec())?);
        rest = after;
    }
    Ok(texts)
}

fn bytes_of(texts: &[String]) -> f64 {
    texts.iter().map(String::len).sum::<usize>() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Speed with an empty cache, and once it knows the texts.
fn measure_corpus(model: &Path, texts: &[String], rounds: usize) -> Result<()> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let tokenizer = load(model)?;
        cold.push(seconds(&tokenizer, texts)?);
        warm.push(seconds(&tokenizer, texts)?);
    }
    let (bytes, cold, warm) = (bytes_of(texts), median(cold), median(warm));
    println!(
        "{} strings, {bytes} bytes; CPU s cold {cold:.3} warm {warm:.3}; MB per CPU s cold {:.1} warm {:.1}",
        texts.len(),
        bytes / cold / 1e6,
        bytes / warm / 1e6,
    );
    Ok(())
}

/// The first characters of `text` that have at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..boundary(text, bytes)]
}

/// The last start of a character up to `place`.
fn boundary(text: &str, place: usize) -> usize {
    let last = place.min(text.len());
    (0..=last)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// Kinds of long string: a name, and `LONG_STRINGS` of them.
fn kinds(turns: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let all: String = turns.concat();
    let unspaced: String = all.split_whitespace().collect();
    let ideographs: String = all
        .chars()
        .filter(|c| ('\u{4E00}'..='\u{9FFF}').contains(c))
        .collect();
    let mut random = Mt::new(1);
    let mut drawn = |low: u32, count: u32| {
        let mut long = || {
            let draws = std::iter::repeat_with(|| low + random.next_u32() % count);
            let text: String = draws.filter_map(char::from_u32).take(LONG_BYTES).collect();
            cut(&text, LONG_BYTES).to_owned()
        };
        std::iter::repeat_with(&mut long)
            .take(LONG_STRINGS)
            .collect::<Vec<_>>()
    };
    // Each real text from another place, so that the strings differ.
    let real = |text: &str| {
        let text = text.repeat(1 + 2 * LONG_BYTES / text.len());
        let step = (text.len() - LONG_BYTES) / LONG_STRINGS;
        let starts = (0..LONG_STRINGS).map(|number| boundary(&text, number * step));
        starts
            .map(|start| cut(&text[start..], LONG_BYTES).to_owned())
            .collect::<Vec<_>>()
    };
    let same = |text: &str| vec![text.repeat(LONG_BYTES / text.len()); LONG_STRINGS];
    vec![
        ("real text", real(&all)),
        ("real text without spaces", real(&unspaced)),
        ("real Chinese, ideographs only", real(&ideographs)),
        ("one letter repeated", same("a")),
        ("spaces", same(" ")),
        ("one word repeated, no spaces", same("token")),
        ("random letters a-z", drawn(u32::from('a'), 26)),
        ("random letters a-b", drawn(u32::from('a'), 2)),
        ("random ASCII 0x20-0x7E", drawn(0x20, 95)),
        ("random ideographs", drawn(0x4E00, 0x5000)),
        ("random emoji", drawn(0x1F600, 0x50)),
    ]
}

/// The same bytes once as long strings and once cut into short ones, in turns.
fn measure_lengths(model: &Path, name: &str, long: &[String]) -> Result<()> {
    let short: Vec<String> = long.iter().flat_map(|text| in_parts(text)).collect();
    let (mut ns_short, mut ns_long, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let tokenizer = load(model)?;
        let per_short = seconds(&tokenizer, &short)? * 1e9 / bytes_of(&short);
        let tokenizer = load(model)?;
        let per_long = seconds(&tokenizer, long)? * 1e9 / bytes_of(long);
        ns_short.push(per_short);
        ns_long.push(per_long);
        ratios.push(per_long / per_short);
    }
    println!(
        "{name:<32} ns per byte at 3 kB {:>6.1}  at 300 kB {:>6.1}  ratio {:.2}",
        median(ns_short),
        median(ns_long),
        median(ratios)
    );
    Ok(())
}

fn in_parts(mut text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let part = cut(text, SHORT_BYTES);
        parts.push(part.to_owned());
        text = &text[part.len()..];
    }
    parts
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let turns = turns()?;
    let texts = match &arguments.texts {
        Some(path) => corpus(path)?,
        None => turns.clone(),
    };
    if arguments.is_corpus_only {
        return measure_corpus(&arguments.model, &texts, 1);
    }
    measure_corpus(&arguments.model, &texts, PAIRS)?;
    for (name, long) in kinds(&turns) {
        measure_lengths(&arguments.model, name, &long)?;
    }
    Ok(())
}
