//! The run folder on disk: made, and read back as far as it goes; and files that
//! are written whole or not at all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Block, FORMAT, Record, Recount, Run, RunHeader};

pub(super) const HEADER: &str = "run.json";
pub(super) const REQUESTS: &str = "requests.jsonl";
const RECOUNT: &str = "recount.json";
pub(super) const BLOCKS: &str = "blocks.jsonl";
pub(super) const END: &str = "end.json";

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
            "{} is no run folder: it has no {HEADER}; give a folder that `profile` or `compare` \
             named in its output (a run that died before its first request may have left an empty \
             one)",
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
    let mut damaged = Vec::new();
    let (mut records, broken_requests) = read_lines::<Record>(&folder.join(REQUESTS))?;
    // A workload that is played again repeats its indices in a later block.
    records.sort_by_key(|record| (record.block, record.index));
    let (lead_in, records) = records.into_iter().partition(|record| record.lead_in);
    let (blocks, broken_blocks) = read_lines::<Block>(&folder.join(BLOCKS))?;
    Ok(Run {
        header,
        records,
        lead_in,
        blocks,
        recount: read_if_whole(folder, RECOUNT, &mut damaged)?.unwrap_or_default(),
        end: read_if_whole(folder, END, &mut damaged)?,
        broken_lines: broken_requests + broken_blocks,
        damaged,
    })
}

/// Every line that is whole, and how many are not. A run that died early has not
/// made every file.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, u32)> {
    let cannot_read = || format!("cannot read {}", path.display());
    let (mut found, mut broken_lines) = (Vec::new(), 0);
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((found, 0)),
        opened => opened.with_context(cannot_read)?,
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(cannot_read)?;
        match serde_json::from_slice(&line) {
            Ok(one) => found.push(one),
            Err(_) => broken_lines += 1,
        }
    }
    Ok((found, broken_lines))
}

/// A file that a run may have died before. One that is damaged is as good as
/// none, and named: what the others hold counts all the same.
fn read_if_whole<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    damaged: &mut Vec<String>,
) -> Result<Option<T>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = serde_json::from_slice(&bytes).ok();
    if found.is_none() {
        damaged.push(name.to_owned());
    }
    Ok(found)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
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

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut text = serde_json::to_vec_pretty(value).with_context(failed)?;
    text.push(b'\n');
    write_whole(path, &text).with_context(failed)
}

/// Writes a file whole or not at all, over an older one: into a temporary file
/// beside it that is on the disk before it takes the name. What is no ordinary
/// file (a pipe, a terminal) is written to as it is.
///
/// # Errors
/// When it cannot be written; an older file is then as it was.
pub fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    // The file behind a link is meant, not the link.
    let behind = fs::canonicalize(path);
    let path = behind.as_deref().unwrap_or(path);
    let parent = path.parent().filter(|of| !of.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut file = readable_by_all(parent)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // So that the name is there after a loss of power, too. Not every system can
    // open a folder, and what is written is written.
    if let Ok(folder) = File::open(parent) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
