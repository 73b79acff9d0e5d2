//! Writes a run folder while the run goes, on a thread of its own: no slot and
//! nobody who directs a run ever waits for a disk. Knows files and integers; what
//! time it is it learns from the records.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::oneshot;

use super::files::{BLOCKS, END, HEADER, REQUESTS, write_json};
use super::{Block, Record, RunEnd, RunHeader};

/// Most that records may take of the memory while they wait for the disk. Above
/// it requests wait, too; each slot may be one record beyond.
pub const WAITING_BYTES_MAX: u64 = 256 << 20;

/// What is with the system is sent on to the disk after so long. Twice this is
/// the longest that a record is not on the disk, while the disk follows.
const SYNC_AFTER: Duration = Duration::from_millis(500);

/// How long a recorder that is given up waits for what is in its queue.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// Writes the folder of one run.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    door: Door,
    /// Gone once its error has been told.
    writer: Option<JoinHandle<Result<()>>>,
    finished: bool,
}

/// What the writer is handed.
#[derive(Debug)]
enum Entry {
    Record(Box<Record>),
    Block(Box<Block>, Answer),
    Header(Box<RunHeader>, Answer),
    End(Box<RunEnd>, Answer),
    LastWords(mpsc::Sender<()>),
}

type Answer = oneshot::Sender<Result<()>>;

/// What waits for the disk.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicU64,
    /// Nobody writes any more.
    closed: AtomicBool,
}

/// Where a slot hands over its records; cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    sender: mpsc::Sender<Entry>,
    waiting: Arc<Waiting>,
    bytes_max: u64,
}

/// The writer is gone: its error is told by the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Records that are kept in memory only.
#[derive(Debug)]
pub struct InMemory(mpsc::Receiver<Entry>);

impl Door {
    /// A door to nowhere but the memory, for what is looked at once; full with
    /// more than `bytes_max`.
    #[must_use]
    pub fn to_memory(bytes_max: u64) -> (Self, InMemory) {
        let (sender, entries) = mpsc::channel();
        let door = Self {
            sender,
            waiting: Arc::default(),
            bytes_max,
        };
        (door, InMemory(entries))
    }

    /// Hands a record over, at once.
    ///
    /// # Errors
    /// When nobody will write it.
    pub fn send(&self, record: Record) -> Result<(), Closed> {
        let bytes = bytes_of(&record);
        self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.sender.send(Entry::Record(Box::new(record)));
        sent.map_err(|_| Closed)
    }

    /// Whether more records wait for the disk than the memory is to hold.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.bytes.load(Ordering::Relaxed) > self.bytes_max
            && !self.waiting.closed.load(Ordering::Relaxed)
    }
}

impl InMemory {
    /// All of them, in the order in which they came. All doors have to be
    /// dropped by then.
    #[must_use]
    pub fn records(self) -> Vec<Record> {
        let record = |entry| match entry {
            Entry::Record(record) => Some(*record),
            _ => None,
        };
        self.0.into_iter().filter_map(record).collect()
    }
}

/// What a record takes of the memory, near enough.
fn bytes_of(record: &Record) -> u64 {
    let marks = record.marks.len() + record.engine_marks.len();
    let words = record.text.len() + record.error.as_ref().map_or(0, String::len);
    let all = size_of::<Record>() + marks * size_of::<super::Mark>() + words;
    u64::try_from(all).unwrap_or(u64::MAX)
}

impl Recorder {
    /// Writes the header into `folder` and opens the list of requests.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(folder: &Path, header: &RunHeader) -> Result<Self> {
        let log = Log::create(folder)?;
        write_json(&folder.join(HEADER), header)?;
        let (sender, entries) = mpsc::channel();
        let waiting: Arc<Waiting> = Arc::default();
        let written = OpenWhile(Arc::clone(&waiting));
        let writer = std::thread::Builder::new()
            .name("pb-recorder".to_owned())
            .spawn(move || log.write(&entries, &written.0))
            .context("cannot start the thread that writes records")?;
        Ok(Self {
            folder: folder.to_owned(),
            door: Door {
                sender,
                waiting,
                bytes_max: WAITING_BYTES_MAX,
            },
            writer: Some(writer),
            finished: false,
        })
    }

    /// A door for one slot.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Keeps a block that has ended. Its records, and it, are on the disk when
    /// this returns.
    ///
    /// # Errors
    /// When a record or the block cannot be written.
    pub async fn block(&mut self, block: &Block) -> Result<()> {
        let block = Box::new(block.clone());
        self.ask(|answer| Entry::Block(block, answer)).await
    }

    /// Writes the header again: what was settled while the run went.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn settle(&mut self, header: &RunHeader) -> Result<()> {
        let header = Box::new(header.clone());
        self.ask(|answer| Entry::Header(header, answer)).await
    }

    /// Waits until all records are on disk, then writes the end.
    ///
    /// # Errors
    /// When a record or the end could not be written.
    pub async fn finish(mut self, end: &RunEnd) -> Result<()> {
        let end = Box::new(end.clone());
        let written = self.ask(|answer| Entry::End(end, answer)).await;
        self.finished = true;
        written
    }

    /// Has the writer do something, after all that it was handed before.
    async fn ask(&mut self, entry: impl FnOnce(Answer) -> Entry) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        if self.door.sender.send(entry(answer)).is_ok()
            && let Ok(done) = answered.await
        {
            return done;
        }
        // It dropped what it was asked, so it is at its end: nobody waits long.
        let folder = self.folder.display();
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(_)) => bail!("the thread that writes records to {folder} panicked"),
            Some(Ok(Ok(()))) | None => bail!("records can no longer be written to {folder}"),
        }
    }
}

/// A run that is given up, by a panic or by a user who quits, still gets what had
/// finished onto the disk.
impl Drop for Recorder {
    fn drop(&mut self) {
        let (said, heard) = mpsc::channel();
        if !self.finished && self.door.sender.send(Entry::LastWords(said)).is_ok() {
            // In vain where the disk is stuck: then it was asked in vain before.
            let _ = heard.recv_timeout(LAST_WORDS_WITHIN);
        }
    }
}

/// Says that nobody writes any more, however the writer came to its end.
struct OpenWhile(Arc<Waiting>);

impl Drop for OpenWhile {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

/// The list of requests.
struct Log {
    folder: PathBuf,
    path: PathBuf,
    out: BufWriter<File>,
    /// Something was written that may not be on the disk.
    dirty: bool,
    /// The newest record's end when the disk was last waited for.
    synced_ns: u64,
}

impl Log {
    fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(REQUESTS);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| cannot_write(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            out: BufWriter::with_capacity(1 << 16, file),
            path,
            dirty: false,
            synced_ns: 0,
        })
    }

    /// Writes until nobody hands over any more. What has finished is with the
    /// system as soon as the queue is empty, so that a death of this process
    /// costs nothing; and on the disk within twice [`SYNC_AFTER`].
    fn write(mut self, entries: &mpsc::Receiver<Entry>, waiting: &Waiting) -> Result<()> {
        loop {
            let entry = match entries.try_recv() {
                Ok(entry) => entry,
                Err(mpsc::TryRecvError::Disconnected) => break,
                Err(mpsc::TryRecvError::Empty) => match self.idle(entries)? {
                    Some(entry) => entry,
                    None => break,
                },
            };
            match entry {
                Entry::Record(record) => {
                    self.record(&record)?;
                    waiting
                        .bytes
                        .fetch_sub(bytes_of(&record), Ordering::Relaxed);
                }
                // Whoever asked and is gone does not want to know.
                Entry::Block(block, answer) => drop(answer.send(self.block(&block))),
                Entry::Header(header, answer) => {
                    drop(answer.send(write_json(&self.folder.join(HEADER), &header)));
                }
                Entry::End(end, answer) => drop(answer.send(self.end(&end))),
                Entry::LastWords(said) => {
                    self.sync()?;
                    let _ = said.send(());
                }
            }
        }
        self.sync()
    }

    /// Waits for the next entry, and uses the time. `None`: there will be none.
    fn idle(&mut self, entries: &mpsc::Receiver<Entry>) -> Result<Option<Entry>> {
        self.flush()?;
        if self.dirty {
            match entries.recv_timeout(SYNC_AFTER) {
                Ok(entry) => return Ok(Some(entry)),
                Err(mpsc::RecvTimeoutError::Timeout) => self.sync()?,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
        Ok(entries.recv().ok())
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.dirty = true;
        let written = serde_json::to_writer(&mut self.out, record);
        let written = written.map_err(std::io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.with_context(|| cannot_write(&self.path))?;
        let after_ns = record.end_ns.saturating_sub(self.synced_ns);
        if u128::from(after_ns) >= SYNC_AFTER.as_nanos() {
            self.synced_ns = record.end_ns;
            self.sync()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().with_context(|| cannot_write(&self.path))
    }

    fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if std::mem::take(&mut self.dirty) {
            let synced = self.out.get_ref().sync_data();
            synced.with_context(|| cannot_write(&self.path))?;
        }
        Ok(())
    }

    /// Appends a block in one write, after its records: a block that is read back
    /// is whole.
    fn block(&mut self, block: &Block) -> Result<()> {
        self.sync()?;
        let path = self.folder.join(BLOCKS);
        let mut line = serde_json::to_vec(block).map_err(|error| anyhow!(error))?;
        line.push(b'\n');
        let file = File::options().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(&line)?;
            file.sync_data()
        });
        written.with_context(|| cannot_write(&path))
    }

    fn end(&mut self, end: &RunEnd) -> Result<()> {
        self.sync()?;
        write_json(&self.folder.join(END), end)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
