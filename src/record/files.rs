//! The run folder on disk: written by a thread of its own while the run goes,
//! read back whole.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Block, FORMAT, Record, Recount, Run, RunEnd, RunHeader};

const HEADER: &str = "run.json";
const REQUESTS: &str = "requests.jsonl";
const RECOUNT: &str = "recount.json";
const BLOCKS: &str = "blocks.jsonl";
const END: &str = "end.json";

/// Whether folders can be made below `parent`, found out before anything is
/// measured. Makes nothing: the first existing folder on the way up is tried.
///
/// # Errors
/// When something on the way is no folder, or may not be written to.
pub fn check_parent(parent: &Path) -> Result<()> {
    let cure = || {
        format!(
            "cannot make a folder for raw records below {}; choose another with --records",
            parent.display()
        )
    };
    let existing = parent
        .ancestors()
        .map(|folder| {
            if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            }
        })
        .find(|folder| folder.exists())
        .with_context(cure)?;
    tempfile::tempfile_in(existing).with_context(cure)?;
    Ok(())
}

/// Makes a new folder below `parent`, named `name`, or `name-2` and so on if
/// that is taken: nothing older is touched.
///
/// # Errors
/// When the folder cannot be made.
pub fn create_folder(parent: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| {
        format!(
            "cannot make the folder {} for raw records; choose another with --records",
            parent.display()
        )
    })?;
    for attempt in 1_u32.. {
        let folder = match attempt {
            1 => parent.join(name),
            _ => parent.join(format!("{name}-{attempt}")),
        };
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot make the folder {}; choose another with --records",
                        folder.display()
                    )
                });
            }
        }
    }
    bail!("no free folder name below {}", parent.display())
}

/// Writes records while the run goes, on a thread of its own, so that no slot
/// waits for a disk.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    sender: mpsc::Sender<Record>,
    writer: JoinHandle<Result<()>>,
}

impl Recorder {
    /// Writes the header into `folder` and opens the list of requests.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(folder: &Path, header: &RunHeader) -> Result<Self> {
        write_json(&folder.join(HEADER), header)?;
        let (sender, writer) = start_writer(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            sender,
            writer,
        })
    }

    /// A door for one slot; cheap to clone.
    #[must_use]
    pub fn door(&self) -> mpsc::Sender<Record> {
        self.sender.clone()
    }

    /// Keeps a block that has ended, after its records: what is read back then
    /// is whole. All doors have to be dropped by then.
    ///
    /// # Errors
    /// When a record or the block cannot be written.
    pub fn block(&mut self, block: &Block) -> Result<()> {
        let (sender, writer) = start_writer(&self.folder)?;
        drop(std::mem::replace(&mut self.sender, sender));
        let writer = std::mem::replace(&mut self.writer, writer);
        written(writer, &self.folder)?;
        let path = self.folder.join(BLOCKS);
        let failed = || format!("cannot write {}", path.display());
        let mut line = serde_json::to_vec(block).with_context(failed)?;
        line.push(b'\n');
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(&line))
            .with_context(failed)
    }

    /// Writes the header again: what was settled while the run went.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn settle(&self, header: &RunHeader) -> Result<()> {
        write_json(&self.folder.join(HEADER), header)
    }

    /// Waits until all records are on disk, then writes the end. All doors
    /// have to be dropped by then.
    ///
    /// # Errors
    /// When a record or the end could not be written.
    pub fn finish(self, end: &RunEnd) -> Result<()> {
        drop(self.sender);
        written(self.writer, &self.folder)?;
        write_json(&self.folder.join(END), end)
    }
}

/// A thread that appends records to those that are there.
fn start_writer(folder: &Path) -> Result<(mpsc::Sender<Record>, JoinHandle<Result<()>>)> {
    let path = folder.join(REQUESTS);
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let (sender, receiver) = mpsc::channel();
    let writer = std::thread::Builder::new()
        .name("pb-recorder".to_owned())
        .spawn(move || write_records(file, &path, &receiver))
        .context("cannot start the thread that writes records")?;
    Ok((sender, writer))
}

fn written(writer: JoinHandle<Result<()>>, folder: &Path) -> Result<()> {
    match writer.join() {
        Ok(written) => written,
        Err(_) => bail!(
            "the thread that writes records to {} panicked",
            folder.display()
        ),
    }
}

/// Flushes whenever the queue is empty, so that what has finished is on disk at
/// once unless the disk is slower than the run.
fn write_records(file: File, path: &Path, records: &mpsc::Receiver<Record>) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    let failed = || format!("cannot write {}", path.display());
    loop {
        let record = match records.try_recv() {
            Ok(record) => record,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                out.flush().with_context(failed)?;
                match records.recv() {
                    Ok(record) => record,
                    Err(_) => break,
                }
            }
        };
        serde_json::to_writer(&mut out, &record).with_context(failed)?;
        out.write_all(b"\n").with_context(failed)?;
    }
    out.flush().with_context(failed)
}

/// Keeps the counts of the answers' texts beside the records.
///
/// # Errors
/// When the file cannot be written.
pub fn save_recount(folder: &Path, recount: &Recount) -> Result<()> {
    write_json(&folder.join(RECOUNT), recount)
}

/// Reads a run back. What a killed run left is read as far as it goes.
///
/// # Errors
/// When the folder is no run folder, or of another format.
pub fn load(folder: &Path) -> Result<Run> {
    let header_path = folder.join(HEADER);
    if !header_path.is_file() {
        bail!(
            "{} is no run folder: it has no {HEADER}; give a folder that `profile` or `compare` named in its output",
            folder.display()
        );
    }
    let header: RunHeader = read_json(&header_path)?;
    if header.format != FORMAT {
        bail!(
            "{} was written in format {}, this pairbench reads format {FORMAT}; use pairbench {}",
            folder.display(),
            header.format,
            header.tool_version
        );
    }
    let (mut records, broken_lines) = read_lines::<Record>(&folder.join(REQUESTS))?;
    // A workload that is played again repeats its indices in a later block.
    records.sort_by_key(|record| (record.block, record.index));
    let (lead_in, records) = records.into_iter().partition(|record| record.lead_in);
    let blocks = folder.join(BLOCKS);
    let blocks = match blocks.is_file() {
        true => read_lines::<Block>(&blocks)?.0,
        false => Vec::new(),
    };
    Ok(Run {
        header,
        records,
        lead_in,
        blocks,
        recount: read_optional(&folder.join(RECOUNT))?.unwrap_or_default(),
        end: read_optional(&folder.join(END))?,
        broken_lines,
    })
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, u32)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records = Vec::new();
    let mut broken_lines = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        match serde_json::from_slice(&line) {
            Ok(record) => records.push(record),
            Err(_) => broken_lines += 1,
        }
    }
    Ok((records, broken_lines))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.is_file() {
        read_json(path).map(Some)
    } else {
        Ok(None)
    }
}

/// A temporary file with the permissions that any new file would get; by itself
/// it would be its owner's only.
fn readable_by_all(parent: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(parent)
}

/// Writes whole or not at all: into a temporary file beside the target, then
/// renamed over it.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = readable_by_all(parent).with_context(failed)?;
    serde_json::to_writer_pretty(&mut file, value).with_context(failed)?;
    file.write_all(b"\n").with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
