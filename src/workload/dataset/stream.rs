//! A dataset that comes as a stream: a pipe, or an archive being unpacked.
//!
//! Knows one record at a time, and keeps the texts of the pairs. It refuses to hold
//! more of the stream than the record that it reads.

use std::borrow::Cow;
use std::io;

use anyhow::{Result, anyhow, ensure};

use super::bytes::Bytes;
use super::walk::{LARGEST_RECORD_BYTES, Step, Walk, entry};
use super::{DatasetFormat, Read, Span};

const BUFFER_BYTES: usize = 1 << 20;

/// The part of the stream that is being read.
struct Window<R> {
    stream: R,
    bytes: Vec<u8>,
    filled: usize,
    /// Lines that ended before the window.
    lines: u64,
    ended: bool,
}

impl<R: io::Read> Window<R> {
    fn held(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Drops the first `done` bytes and reads on; makes room if there is none.
    fn refill(&mut self, done: usize) -> Result<()> {
        self.lines += memchr::memchr_iter(b'\n', &self.bytes[..done]).count() as u64;
        self.bytes.copy_within(done..self.filled, 0);
        self.filled -= done;
        if self.filled == self.bytes.len() {
            ensure!(
                self.filled <= LARGEST_RECORD_BYTES,
                "after line {}: no record in {} bytes",
                self.lines,
                self.filled
            );
            self.bytes.resize(self.filled * 2, 0);
        }
        while self.filled < self.bytes.len() && !self.ended {
            match self.stream.read(&mut self.bytes[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(more) => self.filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(anyhow!(
                        "cannot be read on after line {}: {error}; was it cut off or damaged?",
                        self.lines
                    ));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn read(stream: impl io::Read, format: Option<DatasetFormat>) -> Result<Read> {
    let mut window = Window {
        stream,
        bytes: vec![0; BUFFER_BYTES],
        filled: 0,
        lines: 0,
        ended: false,
    };
    window.refill(0)?;
    let mut walk = Walk::new(format);
    let mut texts: Vec<u8> = Vec::new();
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        let record = walk.records;
        // A value that ends with the window may go on behind it.
        let held = window.held();
        let before = walk.clone();
        match walk.step(held, at) {
            Ok(Step::Record { pair, end }) if end < held.len() || window.ended => {
                if let Some(pair) = pair {
                    let mut place = |text: &str| {
                        let start = texts.len();
                        texts.extend_from_slice(text.as_bytes());
                        Span {
                            start,
                            len: text.len(),
                        }
                    };
                    entries.push(entry(&pair, record, &mut place));
                }
                at = end;
            }
            Ok(Step::End) if window.ended => break,
            Err(fault) if !fault.cut_off || window.ended => {
                return Err(fault.explain(window.held(), window.lines));
            }
            _ => {
                walk = before;
                window.refill(at)?;
                at = 0;
            }
        }
    }
    Ok(Read {
        format: walk.format.or(format).unwrap_or(DatasetFormat::ShareGpt),
        records: walk.records,
        bytes: Bytes::Memory(Cow::Owned(texts)),
        made: Vec::new(),
        entries,
    })
}
