//! The file that rows are appended to: a file whose begin or end does not fit is
//! refused and stays as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::HEADER;
use super::there::{Begun, ends_with_line_feed, rows_fit};

/// How often, and how many times, the lock of the file is asked for. Whoever has
/// it needs it for a write.
#[cfg(unix)]
const LOCK_EVERY: Duration = Duration::from_millis(20);
#[cfg(unix)]
const LOCK_TRIES: u32 = 500;

/// Whether rows can be appended to `path`. To be called before a run; makes and
/// changes nothing.
///
/// # Errors
/// When `path` is a folder, lies in none, cannot be written, or is a file with
/// another header.
pub fn check(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => bail!(
            "{} is a folder: give the name of a file with --csv",
            path.display()
        ),
        // A pipe or a device has no header, and opening it may wait for ever.
        Ok(found) if !found.is_file() => Ok(()),
        Ok(_) => {
            // Opened for appending and not written: nothing changes.
            let opened = OpenOptions::new().append(true).open(path);
            opened.with_context(|| unwritable(path))?;
            rows_fit(path).map(drop)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder(path);
            if !folder.is_dir() {
                bail!(
                    "the folder {} of the CSV {} does not exist: make it, or give another file with --csv",
                    folder.display(),
                    path.display()
                );
            }
            // Has no name and is gone at once: the folder takes files.
            tempfile::tempfile_in(&folder).with_context(|| unwritable(path))?;
            Ok(())
        }
        Err(error) => Err(error).with_context(|| unwritable(path)),
    }
}

fn unwritable(path: &Path) -> String {
    format!(
        "cannot write the CSV {}; give another file with --csv",
        path.display()
    )
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}

/// Appends `rows`, after the header where the file is new. All of it goes out in
/// one write at the file's end, while this process alone holds the file's lock:
/// two that append to one file neither mix their lines nor write two headers.
///
/// # Errors
/// As [`check`], and when another process holds the lock for long, or writing
/// fails: the file is then as it was.
pub fn append(path: &Path, rows: &[Vec<String>]) -> Result<()> {
    check(path)?;
    let file = OpenOptions::new().append(true).create(true).open(path);
    let mut file = file.with_context(|| unwritable(path))?;
    // Of what was opened: the name may have been nobody's a moment ago.
    let regular = file.metadata().is_ok_and(|found| found.is_file());
    if !regular {
        let text = lines(true, rows)?;
        return file.write_all(&text).with_context(|| unwritable(path));
    }
    lock(&file).with_context(|| unwritable(path))?;
    // Only now nobody else writes a header.
    let begun = rows_fit(path)?;
    let mut text = lines(begun == Begun::Empty, rows)?;
    if begun == Begun::Headed && !ends_with_line_feed(path)? {
        text.insert(0, b'\n');
    }
    write_or_cut(&mut file, &text).with_context(|| unwritable(path))?;
    file.sync_data().with_context(|| unwritable(path))
}

/// Takes the lock that all of pairbench's processes respect; it goes with the
/// file. A file system without locks gets on without: a row is written at once,
/// and only two that begin a file at the same moment could write two headers.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    for _ in 0..LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_EVERY),
            _ => return Ok(()),
        }
    }
    let seconds = (LOCK_EVERY * LOCK_TRIES).as_secs();
    Err(io::Error::other(format!(
        "another process has had it locked for {seconds} s; once it has ended, `pairbench report` \
         with the folder of the records appends the row"
    )))
}

#[cfg(not(unix))]
fn lock(_: &File) -> io::Result<()> {
    Ok(())
}

/// A file as far as [`write_or_cut`] needs it.
trait Tail: Write {
    fn length(&self) -> io::Result<u64>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Tail for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|found| found.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Writes all of `text` at the end, or nothing: half a row, as a full disk
/// leaves it, is cut off again. Not where another process has appended since:
/// its rows are worth more than a clean end.
fn write_or_cut(file: &mut impl Tail, text: &[u8]) -> io::Result<()> {
    let mut length = file.length()?;
    let before = length;
    let mut rest = text;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(written) => {
                rest = &rest[written..];
                length += written as u64;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        if file.length().is_ok_and(|found| found == length) {
            // What went wrong first is what the reader has to know.
            let _ = file.cut(before);
        }
        return Err(error);
    }
    Ok(())
}

/// Header, if wanted, and rows as bytes.
fn lines(with_header: bool, rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(HEADER)?;
    }
    for row in rows {
        writer.write_record(row)?;
    }
    writer
        .into_inner()
        .context("cannot put the rows of the CSV together")
}

#[cfg(test)]
#[path = "../csv_full_disk_tests.rs"]
mod full_disk;
