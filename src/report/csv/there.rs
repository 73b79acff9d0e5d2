//! What a CSV file holds before rows are appended to it, and whether rows behind
//! it would be rows. Reads and judges; writes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::HEADER;
use crate::stats::words::one_line;

/// Longest header that is read from a file that may be anything.
const HEADER_LIMIT: u64 = 1 << 16;

/// What a file holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Empty,
    Headed,
}

/// What the file holds already, if rows can follow it.
///
/// # Errors
/// When it has another header than [`HEADER`], or ends within a cell.
pub(super) fn rows_fit(path: &Path) -> Result<Begun> {
    let begun = begun(path)?;
    if begun == Begun::Headed && ends_in_a_cell(path)? {
        bail!(
            "the CSV {} ends within a cell: a quote before its end is not closed, and rows behind \
             it would become part of that cell; it was not changed: close the quote, or give \
             another file with --csv",
            path.display()
        );
    }
    Ok(begun)
}

/// Whether a line behind the file's end would be read as a part of its last cell.
fn ends_in_a_cell(path: &Path) -> Result<bool> {
    const LINE: &[u8] = b"\nline\n";
    let failed = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(failed)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(BufReader::new(file).chain(LINE));
    let mut last = csv::ByteRecord::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).with_context(failed)? {
        std::mem::swap(&mut last, &mut record);
    }
    Ok(last != vec!["line"])
}

/// Whether the file is empty or begins with [`HEADER`]; says which.
fn begun(path: &Path) -> Result<Begun> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut begin = Vec::new();
    file.take(HEADER_LIMIT)
        .read_to_end(&mut begin)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if begin.is_empty() {
        return Ok(Begun::Empty);
    }
    // A spreadsheet may have saved the file with a byte order mark.
    let text = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&begin);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let mut found = csv::ByteRecord::new();
    reader
        .read_byte_record(&mut found)
        .with_context(|| format!("{} is no CSV; give another file with --csv", path.display()))?;
    for place in 0..HEADER.len().max(found.len()) {
        let expected = HEADER.get(place).map(|name| format!("`{name}`"));
        let there = found
            .get(place)
            .map(|name| format!("`{}`", one_line(&String::from_utf8_lossy(name), 60)));
        if expected != there {
            let (nothing, number) = ("nothing".to_owned(), place + 1);
            bail!(
                "the CSV {} has another header: column {number} is {} where {} belongs; it was not changed: give another file with --csv",
                path.display(),
                there.as_ref().unwrap_or(&nothing),
                expected.as_ref().unwrap_or(&nothing)
            );
        }
    }
    Ok(Begun::Headed)
}

/// Whether the last line has its end.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn ends_with_line_feed(path: &Path) -> Result<bool> {
    let read = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last == *b"\n")
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
