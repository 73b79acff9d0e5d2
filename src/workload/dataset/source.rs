//! Where the bytes of a dataset come from.
//!
//! Knows files, pipes and archives: how they are opened, mapped, unpacked and
//! refused. It refuses to know what stands in them.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use memmap2::Mmap;

use super::bytes::Bytes;
use super::zstd::Frames;
use super::{DatasetFormat, Read, pieces, stream};

/// How much of a stream is looked at to tell what it is.
const FIRST_BYTES: u64 = 4096;
const BUFFER_BYTES: usize = 1 << 18;

pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(super) fn read(path: &Path, format: Option<DatasetFormat>) -> Result<Read> {
    if is_standard_input(path) {
        return read_stream(io::stdin().lock(), format);
    }
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
        return read_stream(file, format);
    }
    ensure!(metadata.len() > 0, EMPTY);
    #[expect(
        unsafe_code,
        reason = "mapping the file halves the time to read it and keeps it out of the heap"
    )]
    // SAFETY: the bytes are only read, only while `map` lives. What the type system
    // cannot rule out is that another program changes the file meanwhile: what is
    // read is checked when it is read and again when a text is made of it (JSON,
    // UTF-8, bounds), so a torn read gives an error or another text, and a file that
    // shrinks ends the program. Benchmarks read a dataset once, before any
    // measurement, and nobody writes to it at that time.
    let map = unsafe { Mmap::map(&file) };
    match map {
        Ok(map) if Packing::of(&map).is_none() => read_bytes(Bytes::Mapped(map), format),
        // An archive, or a file system that cannot be mapped.
        Ok(_) | Err(_) => read_stream(file, format),
    }
}

const EMPTY: &str = "the file is empty";

pub(super) fn read_bytes(bytes: Bytes, format: Option<DatasetFormat>) -> Result<Read> {
    if Packing::of(bytes.get()).is_some() {
        return read_stream(bytes.get(), format);
    }
    refuse_by_first_bytes(bytes.get())?;
    pieces::read(bytes, format)
}

/// What a file is packed with, by its first bytes.
#[derive(Debug, Clone, Copy)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            // A skippable frame, which `pzstd` puts first.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Reads what has no length or has to be unpacked.
fn read_stream(mut file: impl io::Read, format: Option<DatasetFormat>) -> Result<Read> {
    let mut first = Vec::new();
    read_first(&mut file, &mut first).context("cannot be read")?;
    let packing = Packing::of(&first);
    let whole = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(first.clone()).chain(file));
    match packing {
        None => {
            refuse_by_first_bytes(&first)?;
            stream::read(whole, format)
        }
        Some(Packing::Gzip) => unpacked(MultiGzDecoder::new(whole), format, "gzip"),
        Some(Packing::Zstd) => unpacked(Frames::new(whole)?, format, "zstd"),
    }
}

fn unpacked(
    mut inside: impl io::Read,
    format: Option<DatasetFormat>,
    packing: &str,
) -> Result<Read> {
    let reading = |error| in_archive(&error, packing);
    let mut first = Vec::new();
    read_first(&mut inside, &mut first).map_err(reading)?;
    if Packing::of(&first).is_some() {
        bail!("it is an archive within a {packing} archive; unpack it first");
    }
    refuse_by_first_bytes(&first).with_context(|| format!("inside the {packing} archive"))?;
    stream::read(io::Cursor::new(first).chain(inside), format)
        .with_context(|| format!("inside the {packing} archive"))
}

fn in_archive(error: &io::Error, packing: &str) -> anyhow::Error {
    anyhow!("its {packing} archive cannot be unpacked: {error}; was the file cut off or damaged?")
}

fn read_first(file: &mut impl io::Read, first: &mut Vec<u8>) -> io::Result<()> {
    file.take(FIRST_BYTES).read_to_end(first).map(|_| ())
}

/// Says in words what a JSON parser would only call an unexpected character.
fn refuse_by_first_bytes(bytes: &[u8]) -> Result<()> {
    match bytes {
        [0xEF, 0xBB, 0xBF, ..] => {
            bail!("it begins with a byte-order mark, which JSON does not have; save it without")
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => bail!("it is UTF-16; save it as UTF-8"),
        [b'P', b'K', 3, 4, ..] => bail!("it is a zip archive; unpack it first"),
        [b'B', b'Z', b'h', ..] => bail!("it is compressed with bzip2; unpack it first"),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => bail!("it is compressed with xz; unpack it first"),
        [b'P', b'A', b'R', b'1', ..] => bail!(
            "it is a parquet file, which is not read; write it as JSON lines (in Python: \
             pandas.read_parquet(FILE).to_json(NEW, orient=\"records\", lines=True))"
        ),
        _ if bytes.trim_ascii().is_empty() && bytes.len() < 4096 => bail!(EMPTY),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            bail!("it is a Git LFS pointer, not the data; fetch it with `git lfs pull`")
        }
        _ if bytes.trim_ascii_start().starts_with(b"<") => {
            bail!("it is a web page or XML, not JSON; was the download refused?")
        }
        _ => Ok(()),
    }
}
