//! HTTP/1.1 as bytes: what an answer's head says and where its body lies,
//! after RFC 9112. Pure: no socket, no clock, no waiting. Knows no endpoint and
//! no meaning of a body.
//!
//! Heads and chunk sizes are read by `httparse`, as in hyper.

use std::ops::Range;

use memchr::memchr;

/// The most header fields of an answer.
const FIELDS_MAX: usize = 100;

/// The most bytes of a line between chunks: a size and its extensions, or a
/// trailer field.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The most bytes of all trailer fields.
const TRAILER_BYTES_MAX: usize = 64 << 10;

const BAD_SIZE: &str = "invalid chunk size line";

/// What an answer says before its body, as far as anybody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api_server) struct Head {
    pub(in crate::api_server) status: u16,
    /// In lower case; empty without one.
    pub(in crate::api_server) content_type: String,
    /// How the body is encoded, where it is not as it stands.
    pub(in crate::api_server) encoding: Option<String>,
    /// Where a redirect points to.
    pub(in crate::api_server) location: Option<String>,
    /// The connection can be used again once the body has been read.
    pub(super) keeps: bool,
    pub(super) framing: Framing,
}

/// How a body is laid out, and how much of it is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
    /// All until the connection is closed.
    ToClose,
    Ended,
}

/// Where in a chunked body the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In a line with a size.
    Size,
    /// So many bytes before the end of a chunk.
    Data(u64),
    /// In the line end behind a chunk.
    DataEnd,
    /// Behind the last chunk, after so many bytes of trailer fields.
    Trailer(usize),
}

/// What lies next in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A piece of the body, here in the bytes that were given.
    Piece(Range<usize>),
    /// Nothing before more bytes come.
    More,
    /// The body's end.
    End,
}

/// Reads a head at the start of `bytes`: it and its length, or `None` while it
/// is not whole. Interim answers (status 1xx) are passed over.
///
/// # Errors
/// Why this is no answer in HTTP/1.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut start = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let length = match answer.parse(&bytes[start..]) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        start += length;
        // 101 would be another protocol from here on, and nobody asked for one
        if !matches!(answer.code, Some(100 | 102..=199)) {
            return Ok(Some((read(&answer)?, start)));
        }
    }
}

fn read(answer: &httparse::Response<'_, '_>) -> Result<Head, String> {
    let status = answer.code.unwrap_or_default();
    let mut head = Head {
        status,
        content_type: String::new(),
        encoding: None,
        location: None,
        keeps: answer.version == Some(1),
        framing: Framing::ToClose,
    };
    let mut length = None;
    let mut encoded = None;
    for field in &*answer.headers {
        let value = String::from_utf8_lossy(field.value);
        let name = |wanted: &str| field.name.eq_ignore_ascii_case(wanted);
        if name("content-length") {
            length = Some(one_length(length, &value)?);
        } else if name("transfer-encoding") {
            let last = value.rsplit(',').next().unwrap_or_default();
            encoded = Some(last.trim().eq_ignore_ascii_case("chunked"));
        } else if name("connection") {
            let has = |word: &str| {
                let mut words = value.split(',');
                words.any(|one| one.trim().eq_ignore_ascii_case(word))
            };
            head.keeps = !has("close") && (head.keeps || has("keep-alive"));
        } else if name("content-type") {
            head.content_type = value.to_ascii_lowercase();
        } else if name("content-encoding") && !value.eq_ignore_ascii_case("identity") {
            head.encoding = Some(value.into_owned());
        } else if name("location") {
            head.location = Some(value.into_owned());
        }
    }
    head.framing = match (encoded, length) {
        _ if matches!(status, 101 | 204 | 304) => Framing::Ended,
        (Some(true), _) => Framing::Chunked(Chunk::Size),
        (None, Some(0)) => Framing::Ended,
        (None, Some(length)) => Framing::Length(length),
        _ => Framing::ToClose,
    };
    // A length beside an encoding is a sign of two parties at odds over where
    // the answer ends: nothing behind it can be trusted.
    let at_odds = encoded.is_some() && length.is_some();
    head.keeps &= !at_odds && status != 101 && head.framing != Framing::ToClose;
    Ok(head)
}

/// The length that one more `content-length` says; several must agree.
fn one_length(before: Option<u64>, value: &str) -> Result<u64, String> {
    let mut length = before;
    for one in value.split(',') {
        let one = one.trim();
        let read = one.bytes().all(|byte| byte.is_ascii_digit());
        let read = read.then(|| one.parse().ok()).flatten();
        let agreed = length.is_none() || length == read;
        length = read.filter(|_| agreed);
        if length.is_none() {
            break;
        }
    }
    length.ok_or_else(|| "its content-length is no one number".to_owned())
}

impl Framing {
    /// Looks at `bytes` from `at` on, which is moved behind what was read.
    ///
    /// # Errors
    /// Why this is no body.
    pub(super) fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<Step, &'static str> {
        let here = bytes.len() - *at;
        loop {
            match self {
                Self::Ended => return Ok(Step::End),
                _ if *at == bytes.len() => return Ok(Step::More),
                Self::ToClose => return Ok(Step::Piece(advance(at, here))),
                Self::Length(left) => {
                    let piece = advance(at, bounded(*left, here));
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *self = Self::Ended;
                    }
                    return Ok(Step::Piece(piece));
                }
                Self::Chunked(chunk) => match chunk.step(bytes, at)? {
                    Step::End if matches!(chunk, Chunk::Trailer(_)) => *self = Self::Ended,
                    // the line of a size or a line end: go on behind it
                    Step::End => {}
                    step => return Ok(step),
                },
            }
        }
    }

    /// A whole chunk at `at`, from its size to the line end behind it, in one go:
    /// what a token comes in. `None` where there is no such, or [`Self::step`]
    /// has to look at it: nothing was read then.
    #[inline]
    pub(super) fn whole_chunk(self, bytes: &[u8], at: &mut usize) -> Option<Range<usize>> {
        if self != Self::Chunked(Chunk::Size) {
            return None;
        }
        let mut start = *at;
        let mut size = 0;
        loop {
            let byte = *bytes.get(start)?;
            start += 1;
            size = 16 * size
                + match byte {
                    b'0'..=b'9' => usize::from(byte - b'0'),
                    b'a'..=b'f' => usize::from(byte - b'a') + 10,
                    b'A'..=b'F' => usize::from(byte - b'A') + 10,
                    b'\r' if size > 0 && bytes.get(start) == Some(&b'\n') => break,
                    _ => return None,
                };
            if size > bytes.len() {
                return None;
            }
        }
        start += 1;
        let end = start + size;
        (bytes.get(end..end + 2)? == b"\r\n").then(|| {
            *at = end + 2;
            start..end
        })
    }

    /// Whether the connection may be closed here.
    pub(super) fn may_close(self) -> bool {
        matches!(self, Self::ToClose | Self::Ended)
    }
}

impl Chunk {
    /// The same within a chunked body; [`Step::End`] is the end of one of its
    /// parts.
    fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<Step, &'static str> {
        let rest = &bytes[*at..];
        match self {
            // httparse takes a line without a digit for a size of 0
            Self::Size if rest.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) => {
                return Err(BAD_SIZE);
            }
            Self::Size => match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((length, size))) => {
                    *at += length;
                    *self = match size {
                        0 => Self::Trailer(0),
                        size => Self::Data(size),
                    };
                    // not the end: that comes behind the trailer
                    return if size == 0 {
                        self.step(bytes, at)
                    } else {
                        Ok(Step::End)
                    };
                }
                Ok(httparse::Status::Partial) if rest.len() <= LINE_BYTES_MAX => {
                    return Ok(Step::More);
                }
                _ => return Err(BAD_SIZE),
            },
            Self::Data(left) => {
                let piece = advance(at, bounded(*left, rest.len()));
                *left -= piece.len() as u64;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                return Ok(Step::Piece(piece));
            }
            Self::DataEnd => match rest {
                [b'\r', b'\n', ..] => {
                    *at += 2;
                    *self = Self::Size;
                }
                [b'\r'] => return Ok(Step::More),
                _ => return Err("a chunk is longer than its size"),
            },
            Self::Trailer(seen) => return trailer(seen, bytes, at),
        }
        Ok(Step::End)
    }
}

/// Passes over trailer fields up to the empty line behind them.
fn trailer(seen: &mut usize, bytes: &[u8], at: &mut usize) -> Result<Step, &'static str> {
    loop {
        let rest = &bytes[*at..];
        let Some(end) = memchr(b'\n', rest) else {
            return if rest.len() <= LINE_BYTES_MAX {
                Ok(Step::More)
            } else {
                Err("a trailer field without an end")
            };
        };
        *at += end + 1;
        *seen += end + 1;
        if matches!(&rest[..end], b"" | b"\r") {
            return Ok(Step::End);
        }
        if *seen > TRAILER_BYTES_MAX {
            return Err("a trailer without an end");
        }
    }
}

fn advance(at: &mut usize, by: usize) -> Range<usize> {
    let start = *at;
    *at += by;
    start..*at
}

fn bounded(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
