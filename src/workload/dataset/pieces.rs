//! A file that lies in memory as a whole, read on all cores.
//!
//! Knows how to cut it: a piece begins where a record seems to begin, and counts
//! only if the piece before it ends exactly there, so that what is read is what one
//! walk from the beginning would read. It refuses to know what records say.

use anyhow::Result;

use super::super::blocks;
use super::bytes::Bytes;
use super::found::FoundPair;
use super::walk::{Fault, Step, Walk, entry};
use super::{AnswerSpan, DatasetFormat, Entry, Read, Span};

/// Pairs as they are collected.
#[derive(Default)]
struct Kept {
    entries: Vec<Entry>,
    made: Vec<u8>,
}

impl Kept {
    /// Keeps where the texts of a pair stand in `bytes`; what stands nowhere is
    /// kept as `made`, with places from `bytes.len()` on.
    fn keep(&mut self, pair: &FoundPair<'_>, record: u64, bytes: &[u8]) {
        let mut place = |text: &str| match text.as_ptr().addr().checked_sub(bytes.as_ptr().addr()) {
            Some(start) if start < bytes.len() => Span {
                start,
                len: text.len(),
            },
            _ => {
                let start = bytes.len() + self.made.len();
                self.made.extend_from_slice(text.as_bytes());
                Span {
                    start,
                    len: text.len(),
                }
            }
        };
        let entry = entry(pair, record, &mut place);
        self.entries.push(entry);
    }
}

/// A piece of the file, walked through.
struct Piece {
    walk: Walk,
    kept: Kept,
    /// Where the walk stopped: the end of its last record.
    at: usize,
    over: Result<bool, Fault>,
}

impl Piece {
    /// Walks on from `at`, the end of a record, until a record ends at or after
    /// `stop`.
    fn walk(mut walk: Walk, bytes: &[u8], mut at: usize, stop: usize) -> Self {
        let mut kept = Kept::default();
        walk.records = 0;
        let over = loop {
            if at >= stop {
                break Ok(false);
            }
            let record = walk.records;
            match walk.step(bytes, at) {
                Ok(Step::Record { pair, end }) => {
                    if let Some(pair) = pair {
                        kept.keep(&pair, record, bytes);
                    }
                    at = end;
                }
                Ok(Step::End) => break Ok(true),
                Err(fault) => break Err(fault),
            }
        };
        Self {
            walk,
            kept,
            at,
            over,
        }
    }
}

pub(super) fn read(bytes: Bytes, format: Option<DatasetFormat>) -> Result<Read> {
    let mut all = All::default();
    let whole = bytes.get();
    // The first record tells format, layout and what stands between records.
    let first = Piece::walk(Walk::new(format), whole, 0, 1);
    let (walk, from, over) = (first.walk.clone(), first.at, matches!(first.over, Ok(true)));
    all.add(first, whole)?;
    if !over {
        let starts = starts(whole, from);
        let pieces = walk_all(&walk, whole, &starts)?;
        let mut at = from;
        for (begin, piece) in pieces {
            if begin == at {
                at = piece.at;
                all.add(piece, whole)?;
            }
        }
        if !all.over {
            // A piece began where no record does: the rest is walked in turn.
            all.add(Piece::walk(walk.clone(), whole, at, usize::MAX), whole)?;
        }
    }
    Ok(Read {
        format: all.format.or(format).unwrap_or(DatasetFormat::ShareGpt),
        records: all.records,
        bytes,
        made: all.kept.made,
        entries: all.kept.entries,
    })
}

/// What the pieces gave together.
#[derive(Default)]
struct All {
    kept: Kept,
    records: u64,
    format: Option<DatasetFormat>,
    over: bool,
}

impl All {
    fn add(&mut self, piece: Piece, whole: &[u8]) -> Result<()> {
        self.over = match piece.over {
            Ok(over) => over,
            Err(mut fault) => {
                fault.record = fault.record.map(|record| record + self.records);
                return Err(fault.explain(whole, 0));
            }
        };
        let made = self.kept.made.len();
        let shift = |span: Span| Span {
            start: span.start + if span.start < whole.len() { 0 } else { made },
            ..span
        };
        let shifted = piece.kept.entries.into_iter().map(|entry| Entry {
            record: entry.record + self.records,
            prompt: shift(entry.prompt),
            answer: match entry.answer {
                AnswerSpan::Text(span) => AnswerSpan::Text(shift(span)),
                other => other,
            },
            ..entry
        });
        self.kept.entries.extend(shifted);
        self.kept.made.extend(piece.kept.made);
        self.records += piece.walk.records;
        self.format = piece.walk.format;
        Ok(())
    }
}

/// Bytes of a piece: many enough to make taking one cheap.
pub(super) const PIECE_BYTES: usize = 8 << 20;

/// Where pieces may begin: after the end of a record, by what stands between the
/// first and the second.
fn starts(bytes: &[u8], from: usize) -> Vec<usize> {
    let mut starts = vec![from];
    let between = between(bytes, from);
    let finder = memchr::memmem::Finder::new(between);
    let mut target = from + PIECE_BYTES;
    while between.len() > 3 && target < bytes.len() {
        let Some(hit) = finder.find(&bytes[target..]) else {
            break;
        };
        // The text found begins with the last byte of a record.
        starts.push(target + hit + 1);
        target += hit + PIECE_BYTES;
    }
    starts
}

/// From the last byte of the first record to the first field's name of the next.
fn between(bytes: &[u8], from: usize) -> &[u8] {
    let text = &bytes[from.saturating_sub(1)..bytes.len().min(from + 200)];
    let end = memchr::memchr(b':', text).map_or(0, |colon| colon + 1);
    &text[..end]
}

fn walk_all(walk: &Walk, bytes: &[u8], starts: &[usize]) -> Result<Vec<(usize, Piece)>> {
    let stops = starts.iter().skip(1).copied().chain([usize::MAX]);
    let pieces: Vec<(usize, usize)> = starts.iter().copied().zip(stops).collect();
    blocks::in_blocks(&pieces, 1, &(), |_, &(begin, stop)| {
        Ok((begin, Piece::walk(walk.clone(), bytes, begin, stop)))
    })
}
