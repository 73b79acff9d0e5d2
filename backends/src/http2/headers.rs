//! Header blocks (RFC 7541): a request's out, an answer's in. Knows no call.
//!
//! We let the server keep no table of headers (`SETTINGS_HEADER_TABLE_SIZE` 0),
//! so equal blocks say equal things: a block that was read before is not read
//! again. A server's answers begin and end alike.

use std::borrow::Cow;

use loona_hpack::Decoder;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::error::{Reason, Violation};

/// The most that the headers or trailers of an answer may take, bytes.
pub(super) const BLOCK_BYTES_MAX: usize = 64 << 10;

/// Blocks that are remembered: how answers begin, and how they end.
const KNOWN_BLOCKS: usize = 2;

/// Longer blocks are not remembered, bytes.
const KNOWN_BYTES_MAX: usize = 4 << 10;

/// Where the names of the pseudo headers stand in the fixed table (RFC 7541, A).
const AUTHORITY: u8 = 1;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;

/// A request's headers as a block: every value is written out, as there are few
/// calls next to their answers' messages.
pub(crate) fn request_block(
    https: bool,
    authority: &str,
    path: &str,
    headers: &HeaderMap,
) -> Vec<u8> {
    let mut block = Vec::with_capacity(256);
    let indexed = |index: u8| 0x80 | index;
    block.push(indexed(METHOD_POST));
    block.push(indexed(if https { SCHEME_HTTPS } else { SCHEME_HTTP }));
    for (name, value) in [(PATH, path), (AUTHORITY, authority)] {
        block.push(name);
        string(&mut block, value.as_bytes());
    }
    for (name, value) in headers {
        // What is secret must not be kept by anybody in between either.
        block.push(if value.is_sensitive() { 0x10 } else { 0 });
        string(&mut block, name.as_str().as_bytes());
        string(&mut block, value.as_bytes());
    }
    block
}

/// A string as it is: its length (RFC 7541, 5.1, with a prefix of 7 bits) and its bytes.
fn string(block: &mut Vec<u8>, bytes: &[u8]) {
    const PREFIX_MAX: usize = 0x7f;
    if bytes.len() < PREFIX_MAX {
        block.push(low_byte(bytes.len()));
    } else {
        block.push(low_byte(PREFIX_MAX));
        let mut rest = bytes.len() - PREFIX_MAX;
        while rest >= 0x80 {
            block.push(low_byte(rest) | 0x80);
            rest >>= 7;
        }
        block.push(low_byte(rest));
    }
    block.extend_from_slice(bytes);
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

/// A block of headers, read.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    /// Not in trailers.
    pub(super) status: Option<StatusCode>,
    pub(super) map: HeaderMap,
}

/// Why a block is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing that follows can be read either.
    Connection(Violation),
    /// Only this one.
    Call(Violation),
}

/// Reads the blocks of one connection.
pub(super) struct Reader {
    decoder: Decoder<'static>,
    known: [(Vec<u8>, Headers); KNOWN_BLOCKS],
    /// The one to be forgotten next.
    oldest: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_table_size(0);
        decoder.set_max_allowed_table_size(0);
        Self {
            decoder,
            known: Default::default(),
            oldest: 0,
        }
    }

    /// The headers in a block.
    ///
    /// # Errors
    /// Those of HPACK, and of HTTP.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Headers, Unreadable> {
        if let Some((_, headers)) = self.known.iter().find(|(known, _)| known == block) {
            return Ok(headers.clone());
        }
        let headers = self.decode(block)?;
        if block.len() <= KNOWN_BYTES_MAX {
            self.known[self.oldest] = (block.to_vec(), headers.clone());
            self.oldest = (self.oldest + 1) % KNOWN_BLOCKS;
        }
        Ok(headers)
    }

    fn decode(&mut self, block: &[u8]) -> Result<Headers, Unreadable> {
        let mut headers = Headers::default();
        let (mut bytes, mut wrong) = (0, None);
        let each = |name: Cow<'_, [u8]>, value: Cow<'_, [u8]>| {
            // As SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113, 6.5.2).
            bytes += name.len() + value.len() + 32;
            if bytes > BLOCK_BYTES_MAX {
                wrong = Some("its headers are longer than 64 KiB");
            }
            if wrong.is_none() {
                wrong = headers.take(&name, &value).err();
            }
        };
        if self.decoder.decode_with_cb(block, each).is_err() {
            let words = "headers that are no HPACK, or that need a table it was not given";
            let violation = Violation::new(Reason::COMPRESSION_ERROR, words);
            return Err(Unreadable::Connection(violation));
        }
        match wrong {
            None => Ok(headers),
            Some(words) => Err(Unreadable::Call(Violation::protocol(words))),
        }
    }
}

impl Headers {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        const NO_STATUS: &str = "an answer with a :status that is none";
        if name == b":status" {
            if self.status.is_some() || !self.map.is_empty() {
                return Err(NO_STATUS);
            }
            self.status = Some(StatusCode::from_bytes(value).map_err(|_| NO_STATUS)?);
            return Ok(());
        }
        // No capitals, no other name that begins with a colon.
        let is_name = !name.iter().any(u8::is_ascii_uppercase);
        let name = HeaderName::from_bytes(name).ok().filter(|_| is_name);
        let name = name.ok_or("a header whose name is none")?;
        let value = HeaderValue::from_bytes(value).map_err(|_| "a header whose value is none")?;
        self.map.append(name, value);
        Ok(())
    }
}
