//! The usual event of a stream, read without the general reader of JSON: one
//! choice with one piece of text in it, no reason to end, no usage. Knows when
//! it does not know: anything else is `None`, and read by
//! [`super::wire::Chunk`], with which this agrees on what it takes.
//!
//! The events of one stream mostly differ in nothing but their text, so an event
//! is first compared with the one before it; only one that differs elsewhere is
//! read field by field.

use std::ops::Range;
use std::str;

/// Bits of the fields that serde takes once only.
mod seen {
    pub(super) const CHOICES: u32 = 1;
    pub(super) const USAGE: u32 = 1 << 1;
    pub(super) const ERROR: u32 = 1 << 2;
    pub(super) const OBJECT: u32 = 1 << 3;
    pub(super) const INDEX: u32 = 1 << 4;
    pub(super) const DELTA: u32 = 1 << 5;
    pub(super) const TEXT: u32 = 1 << 6;
    pub(super) const REASON: u32 = 1 << 7;
    pub(super) const CONTENT: u32 = 1 << 8;
    pub(super) const REASONING_CONTENT: u32 = 1 << 9;
    pub(super) const REASONING: u32 = 1 << 10;
    pub(super) const TOOL_CALLS: u32 = 1 << 11;
}

/// What comes before an event's data in its line, as every server writes it.
const BEFORE: &[u8] = b"data: ";

/// What ends the line and the event.
const BEHIND: &[u8] = b"\n\n";

/// What the events of one stream have in common.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// The last event that was read field by field, without its text and as it
    /// would come over the wire: with [`BEFORE`] and [`BEHIND`]. One buffer, as
    /// it is read for every token and mostly out of a cold cache.
    around: Vec<u8>,
    /// Where the text was.
    text_at: usize,
}

impl Usual {
    /// The text of a usual event, which may be empty.
    pub(super) fn text<'a>(&mut self, data: &'a [u8]) -> Option<&'a str> {
        if let Some(text) = self.alike(data) {
            return Some(text);
        }
        let (at, text) = text(str::from_utf8(data).ok()?)?;
        if !text.is_empty() {
            self.around.clear();
            self.around.extend_from_slice(BEFORE);
            self.around.extend_from_slice(&data[..at]);
            self.text_at = self.around.len();
            self.around.extend_from_slice(&data[at + text.len()..]);
            self.around.extend_from_slice(BEHIND);
        }
        Some(text)
    }

    /// Where the text lies in `bytes` if they are one event, from the start of its
    /// line to the empty line behind it, that differs from the last one in its
    /// text alone. Whether that is UTF-8 is left to the caller.
    #[inline]
    pub(super) fn whole_event(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let (start, end) = self.around.split_at_checked(self.text_at)?;
        let text = between(start, bytes, end)?;
        Some(start.len()..start.len() + text.len())
    }

    /// The data of what [`Self::whole_event`] took for an event at `event`.
    pub(super) fn data_of(event: Range<usize>) -> Range<usize> {
        event.start + BEFORE.len()..event.end - BEHIND.len()
    }

    /// The same as [`Self::text`] for data that differs in its text alone.
    fn alike<'a>(&self, data: &'a [u8]) -> Option<&'a str> {
        let behind = self.around.len().checked_sub(BEHIND.len())?;
        let start = self.around.get(BEFORE.len()..self.text_at)?;
        str::from_utf8(between(start, data, &self.around[self.text_at..behind])?).ok()
    }
}

/// The text between `start` and `end`. What stands there now is a string as well
/// if nothing in it ends or breaks one.
#[inline]
fn between<'a>(start: &[u8], bytes: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let text = bytes.strip_prefix(start)?.strip_suffix(end)?;
    (!start.is_empty() && plain(text) == text.len()).then_some(text)
}

/// The text of a usual event, which may be empty, and where it is.
fn text(data: &str) -> Option<(usize, &str)> {
    let mut cursor = Cursor {
        rest: data.as_bytes(),
        seen: 0,
        text: b"",
        behind_text: 0,
    };
    cursor.object(Cursor::top)?;
    cursor.space();
    let whole = cursor.rest.is_empty() && cursor.seen & seen::CHOICES != 0;
    let text = str::from_utf8(cursor.text).ok().filter(|_| whole)?;
    // a quote is between the text and what is behind it
    let end = data.len().checked_sub(cursor.behind_text + 1)?;
    Some((end.checked_sub(text.len())?, text))
}

/// A place in an event, and what came before it.
struct Cursor<'a> {
    rest: &'a [u8],
    seen: u32,
    text: &'a [u8],
    /// How many bytes follow the text and its quote.
    behind_text: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes `byte`, whatever white space is before it.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Notes a field, which may come once.
    fn once(&mut self, field: u32) -> Option<()> {
        let first = self.seen & field == 0;
        self.seen |= field;
        first.then_some(())
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let length = plain(self.rest);
        let (string, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(string)
    }

    /// An object of which `field` reads every value.
    #[inline]
    fn object(&mut self, field: impl Fn(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            self.space();
            field(self, name)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn top(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"choices" => {
                self.once(seen::CHOICES)?;
                self.take(b'[')?;
                self.object(Self::choice)?;
                self.take(b']')
            }
            b"usage" => self.null_once(seen::USAGE),
            b"error" => self.null_once(seen::ERROR),
            b"object" => {
                self.once(seen::OBJECT)?;
                self.string().filter(|object| *object != b"error").map(drop)
            }
            _ => self.scalar(),
        }
    }

    fn choice(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"index" => {
                self.once(seen::INDEX)?;
                self.zero()
            }
            b"delta" => {
                self.once(seen::DELTA)?;
                self.object(Self::delta)
            }
            b"text" => self.piece(seen::TEXT),
            b"finish_reason" => self.null_once(seen::REASON),
            b"message" => None,
            _ => self.scalar(),
        }
    }

    fn delta(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"content" => self.piece(seen::CONTENT),
            b"reasoning_content" => self.piece(seen::REASONING_CONTENT),
            b"reasoning" => self.piece(seen::REASONING),
            b"tool_calls" => {
                self.once(seen::TOOL_CALLS)?;
                self.word(b"null").or_else(|| self.word(b"[]"))
            }
            _ => self.scalar(),
        }
    }

    /// A piece of text; a second one that is not empty is unusual.
    fn piece(&mut self, field: u32) -> Option<()> {
        self.once(field)?;
        if self.rest.first()? == &b'n' {
            return self.word(b"null");
        }
        let piece = self.string()?;
        if !piece.is_empty() {
            if !self.text.is_empty() {
                return None;
            }
            self.text = piece;
            self.behind_text = self.rest.len();
        }
        Some(())
    }

    fn null_once(&mut self, field: u32) -> Option<()> {
        self.once(field)?;
        self.word(b"null")
    }

    fn zero(&mut self) -> Option<()> {
        self.word(b"0")?;
        self.ends_number()
    }

    /// Whether a whole number ends here; what goes on is unusual.
    fn ends_number(&self) -> Option<()> {
        matches!(self.rest, [b',' | b'}' | b' ', ..]).then_some(())
    }

    /// A value that does not matter: a string, a natural number or a constant.
    fn scalar(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'0' => self.zero(),
            b'1'..=b'9' => {
                while let [b'0'..=b'9', rest @ ..] = self.rest {
                    self.rest = rest;
                }
                self.ends_number()
            }
            _ => None,
        }
    }
}

/// How many bytes come before one that a string cannot hold as it is: a quote,
/// a backslash or a control character.
///
/// Eight bytes at once, by the test for a byte below a number in a word (S. E.
/// Anderson, "Bit Twiddling Hacks", "Determine if a word has a byte less than
/// n"): it may err above the first such byte, never below it.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & TOPS;
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let slashes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quotes | slashes | below(word, u64::from(b' '));
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = &bytes[length..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
    length + end.unwrap_or(rest.len())
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
