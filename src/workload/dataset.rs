//! The conversations that prompts are taken from.
//!
//! Knows files: how they are opened, mapped and refused. What stands in them is
//! read by `sharegpt`. It refuses to choose: every record with two turns or
//! more becomes a pair, in file order.

mod loose;
mod sharegpt;

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use memmap2::Mmap;

/// The first two turns of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What the human asked: the prompt.
    pub prompt: String,
    /// What was answered: its length becomes the requested length.
    pub answer: String,
}

/// All pairs of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dataset {
    /// Records in the file, those with fewer than two turns included.
    pub records: u64,
    /// One pair for each record with two turns or more, in file order.
    pub pairs: Vec<Pair>,
}

/// Reads a file in the ShareGPT format: a JSON list of records
/// `{"conversations": [{"value": text}, ...]}` (other fields are skipped).
///
/// A regular file is mapped into memory; anything else, such as a pipe, is read.
///
/// # Errors
/// No such file, nothing in it, no JSON, JSON of another shape, or another known
/// format. The text names the file, the line and the record.
pub fn read_sharegpt(path: &Path) -> Result<Dataset> {
    read_path(path).with_context(|| format!("dataset `{}`", path.display()))
}

/// Reads the same format from memory; `name` is what errors call it.
///
/// # Errors
/// As [`read_sharegpt`].
pub fn read_sharegpt_slice(bytes: &[u8], name: &str) -> Result<Dataset> {
    read_bytes(bytes).with_context(|| format!("dataset `{name}`"))
}

fn read_path(path: &Path) -> Result<Dataset> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("no such file"),
        _ => anyhow!("cannot be opened: {error}"),
    })?;
    ensure!(
        !metadata.is_dir(),
        "this is a folder; give the JSON file itself (for example \
         ShareGPT_V3_unfiltered_cleaned_split.json)"
    );
    let file = File::open(path).map_err(|error| anyhow!("cannot be opened: {error}"))?;
    if !metadata.is_file() {
        return read_stream(file);
    }
    ensure!(metadata.len() > 0, EMPTY);
    #[expect(
        unsafe_code,
        reason = "mapping the file halves the time to read it and keeps it out of the heap"
    )]
    // SAFETY: the bytes are only read, only while `map` lives, and everything kept
    // is copied out of it. What the type system cannot rule out is that another
    // program changes the file meanwhile: a torn read would then be refused as
    // JSON or read as other text (every string is checked to be UTF-8 before it is
    // copied), and a file that shrinks ends the program. Benchmarks read a dataset
    // once, before any measurement, and nobody writes to it at that time.
    let map = unsafe { Mmap::map(&file) };
    match map {
        Ok(map) => read_bytes(&map),
        // Some file systems cannot be mapped.
        Err(_) => read_stream(file),
    }
}

const EMPTY: &str = "the file is empty";

fn read_bytes(bytes: &[u8]) -> Result<Dataset> {
    refuse_by_first_bytes(bytes)?;
    sharegpt::read(serde_json::Deserializer::from_slice(bytes))
}

/// Reads what has no length: a pipe, a terminal, a device.
fn read_stream(mut file: impl Read) -> Result<Dataset> {
    let mut first = Vec::new();
    file.by_ref()
        .take(4096)
        .read_to_end(&mut first)
        .context("cannot be read")?;
    refuse_by_first_bytes(&first)?;
    let reader = BufReader::with_capacity(1 << 20, first.as_slice().chain(file));
    sharegpt::read(serde_json::Deserializer::from_reader(reader))
}

/// Says in words what a JSON parser would only call an unexpected character.
fn refuse_by_first_bytes(bytes: &[u8]) -> Result<()> {
    match bytes {
        [0xEF, 0xBB, 0xBF, ..] => {
            bail!("it begins with a byte-order mark, which JSON does not have; save it without")
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => bail!("it is UTF-16; save it as UTF-8"),
        [0x1F, 0x8B, ..] => bail!("it is compressed with gzip; unpack it first"),
        [b'P', b'K', 3, 4, ..] => bail!("it is a zip archive; unpack it first"),
        [b'P', b'A', b'R', b'1', ..] => bail!(
            "it is a parquet file, which comes with a later version; today only ShareGPT JSON"
        ),
        _ if bytes.trim_ascii().is_empty() => bail!(EMPTY),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            bail!("it is a Git LFS pointer, not the data; fetch it with `git lfs pull`")
        }
        _ if bytes.trim_ascii_start().starts_with(b"<") => {
            bail!("it is a web page or XML, not JSON; was the download refused?")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
