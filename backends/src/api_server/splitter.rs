//! Server-sent events out of bytes, piece by piece, after the HTML standard
//! ("Server-sent events", interpreting an event stream). Keeps only the data of
//! an event: no server that we know sends a type, an id or a retry. Pure: no
//! socket, no clock, no JSON.
//!
//! Data that lies within one piece, as it mostly does, is handed out where it
//! lies; only what is cut by the end of a piece is copied.

use std::ops::Range;

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where an event's data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Here in the piece.
    Here(Range<usize>),
    /// In [`Splitter::collected`].
    Collected,
}

/// What has been seen of a stream and is not a whole event yet.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The start of a line that the last piece did not end.
    line: Vec<u8>,
    /// The event's data so far, where it had to be copied.
    data: Vec<u8>,
    /// The event's data so far, where it lies in the current piece.
    here: Option<Range<usize>>,
    /// The event has data, be it empty.
    has_data: bool,
    /// The last event's data is still in `data`.
    is_handed_out: bool,
    /// The last line ended with a CR: an LF now belongs to it.
    after_cr: bool,
    /// A line has been read.
    is_begun: bool,
}

impl Splitter {
    /// The next event in `piece` from `at` on, which is moved behind it; `None`
    /// when there is none before the end. A piece has to be read to its end
    /// before the next is given.
    #[inline]
    pub(super) fn next(&mut self, piece: &[u8], at: &mut usize) -> Option<Found> {
        if self.is_handed_out {
            self.is_handed_out = false;
            self.data.clear();
        }
        loop {
            if self.after_cr && *at < piece.len() {
                self.after_cr = false;
                *at += usize::from(piece[*at] == b'\n');
            }
            let start = *at;
            let length = match piece.get(start) {
                // the empty line that ends an event: every other one is
                Some(b'\n' | b'\r') => Some(0),
                Some(_) => memchr2(b'\n', b'\r', &piece[start..]),
                None => None,
            };
            let Some(length) = length else {
                self.set_aside(piece, start);
                *at = piece.len();
                return None;
            };
            let end = start + length;
            *at = end + 1;
            self.after_cr = piece[end] == b'\r';
            if self.line.is_empty() {
                if let Some(found) = self.whole_line(piece, start..end) {
                    return Some(found);
                }
            } else {
                self.line.extend_from_slice(&piece[start..end]);
                self.pieced_line();
            }
        }
    }

    /// Whether the next byte begins an event, and not the first: nothing is kept
    /// of what came before. An event may then be read by others.
    #[inline]
    pub(super) fn is_between_events(&self) -> bool {
        self.is_begun
            && !(self.has_data || self.is_handed_out || self.after_cr)
            && self.line.is_empty()
    }

    /// The data of an event that is [`Found::Collected`], until the next call.
    pub(super) fn collected(&self) -> &[u8] {
        &self.data
    }

    /// Reads a line that lies within the piece. An empty one ends the event.
    #[inline]
    fn whole_line(&mut self, piece: &[u8], mut line: Range<usize>) -> Option<Found> {
        if line.is_empty() {
            return self.end();
        }
        line.start += self.mark(&piece[line.clone()]);
        if let Some(skipped) = data_in(&piece[line.clone()]) {
            line.start += skipped;
            if self.has_data {
                self.collect(piece);
                self.add(&piece[line]);
            } else {
                self.has_data = true;
                self.here = Some(line);
            }
        }
        None
    }

    /// Reads the line that came in several pieces. It is not empty.
    fn pieced_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let rest = &line[self.mark(&line)..];
        if let Some(skipped) = data_in(rest) {
            self.add(&rest[skipped..]);
        }
        self.line = line;
        self.line.clear();
    }

    /// The length of the mark that a stream may begin with.
    fn mark(&mut self, line: &[u8]) -> usize {
        if std::mem::replace(&mut self.is_begun, true) || !line.starts_with(BYTE_ORDER_MARK) {
            return 0;
        }
        BYTE_ORDER_MARK.len()
    }

    /// The end of an event; one without data is none.
    #[inline]
    fn end(&mut self) -> Option<Found> {
        self.is_begun = true;
        if !std::mem::replace(&mut self.has_data, false) {
            return None;
        }
        if let Some(here) = self.here.take() {
            return Some(Found::Here(here));
        }
        self.is_handed_out = true;
        Some(Found::Collected)
    }

    /// One more line of data.
    fn add(&mut self, line: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(line);
    }

    /// Copies data that lies in the piece.
    fn collect(&mut self, piece: &[u8]) {
        if let Some(here) = self.here.take() {
            self.data.extend_from_slice(&piece[here]);
        }
    }

    /// Keeps what the end of the piece cuts.
    fn set_aside(&mut self, piece: &[u8], start: usize) {
        self.collect(piece);
        self.line.extend_from_slice(&piece[start..]);
    }
}

/// How many bytes of a line come before its data, if it is a line of data.
#[inline]
fn data_in(line: &[u8]) -> Option<usize> {
    match line.strip_prefix(b"data")? {
        [] => Some(4),
        [b':', b' ', ..] => Some(6),
        [b':', ..] => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::EventStream;
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::{Found, Splitter};

    /// The events of `bytes` in pieces of these lengths, taken in turn.
    fn ours(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for piece in pieces(bytes, lengths) {
            let mut at = 0;
            while let Some(event) = splitter.next(piece, &mut at) {
                found.push(match event {
                    Found::Here(range) => piece[range].to_vec(),
                    Found::Collected => splitter.collected().to_vec(),
                });
            }
            assert_eq!(at, piece.len());
        }
        found
    }

    fn pieces<'a>(mut rest: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        for &length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    /// The same by the crate that we used before. It panics at a byte order mark
    /// in front.
    fn reference(text: &str) -> Vec<Vec<u8>> {
        let whole = stream::iter([Ok::<_, ()>(text)]);
        let events = EventStream::new(whole).map(|event| event.expect("UTF-8").data.into_bytes());
        let all = events.collect::<Vec<_>>().now_or_never();
        all.expect("nothing to wait for")
    }

    #[test]
    fn the_standards_cases_are_read() {
        for (stream, wanted) in [
            ("data: a\n\n", &["a"][..]),
            ("data:a\r\n\r\ndata:  b\r\rdata\n\n", &["a", " b", ""]),
            ("data: a\ndata: b\ndata\n\n", &["a\nb\n"]),
            ("data:\n\n", &[""]),
            (": ping\n\n\n\nevent: x\nid: 4\nretry: 5\n\n", &[]),
            ("event: x\ndata: a\nid\n\ndata: cut\n", &["a"]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["a"]),
            ("datas: a\ndata : b\n data: c\n\n", &[]),
            ("\u{feff}\n\ndata: \u{feff}\n\n", &["\u{feff}"]),
        ] {
            for length in 1..=stream.len() {
                let found = ours(stream.as_bytes(), &[length]);
                assert_eq!(found.len(), wanted.len(), "{stream:?} {length}");
                for (found, wanted) in found.iter().zip(wanted) {
                    assert_eq!(found, wanted.as_bytes(), "{stream:?} {length}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn events_are_those_of_the_reference(
            parts in prop::collection::vec(
                "e\u{feff}|data|data:|data: |: |:|event: |id|\n|\r|\r\n|\n\n|\r\n\r\n|[a{}\u{e9}\u{1f600} :\"]{0,9}",
                0..40,
            ),
            lengths in prop::collection::vec(1_usize..40, 1..6),
        ) {
            // The reference waits for the byte after a CR before it ends a line.
            let text = parts.concat() + "x";
            let wanted = reference(&text);
            prop_assert_eq!(&ours(text.as_bytes(), &lengths), &wanted);
            prop_assert_eq!(&ours(text.as_bytes(), &[1]), &wanted);
            prop_assert_eq!(&ours(text.as_bytes(), &[text.len()]), &wanted);
            let marked = format!("\u{feff}{text}");
            prop_assert_eq!(&ours(marked.as_bytes(), &lengths), &wanted);
        }
    }
}
