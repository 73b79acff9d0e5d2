//! When each request's message had been read from an HTTP/2 connection, by the
//! number of its stream. A library that is busy with a burst hands the first
//! request over when it has read the last; the book is to say when a request was
//! read, so the frames are followed here as they come. Knows frame headers
//! (RFC 9113, section 4.1) and nothing of what is in a frame.

use std::collections::HashMap;

/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// Type of a frame that carries a message.
const DATA: u8 = 0;

/// What has been read of a connection.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Bytes before the next frame's header.
    before_header: usize,
    header: [u8; 9],
    header_bytes: usize,
    /// The stream to whose message the bytes before the next header belong.
    message_of: Option<u32>,
    read_ns: HashMap<u32, u64>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            before_header: PREFACE_BYTES,
            header: [0; 9],
            header_bytes: 0,
            message_of: None,
            read_ns: HashMap::new(),
        }
    }
}

impl Arrivals {
    /// Takes what was read next, at `at_ns`.
    pub(super) fn read(&mut self, mut bytes: &[u8], at_ns: u64) {
        while !bytes.is_empty() {
            let passed = self.before_header.min(bytes.len());
            self.before_header -= passed;
            bytes = &bytes[passed..];
            if self.before_header > 0 {
                return;
            }
            if let Some(stream) = self.message_of.take() {
                self.read_ns.insert(stream, at_ns);
            }
            let room = &mut self.header[self.header_bytes..];
            let taken = room.len().min(bytes.len());
            room[..taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            bytes = &bytes[taken..];
            if self.header_bytes == self.header.len() {
                self.frame();
            }
        }
    }

    /// When the last frame of the stream's message had been read, if one was.
    /// Tells it once.
    pub(super) fn take(&mut self, stream: u32) -> Option<u64> {
        self.read_ns.remove(&stream)
    }

    /// Begins the frame whose header is whole.
    fn frame(&mut self) {
        let [l0, l1, l2, kind, _, s0, s1, s2, s3] = self.header;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        // The first bit is reserved.
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
        self.header_bytes = 0;
        self.before_header = usize::try_from(length).unwrap_or(usize::MAX);
        // One that is empty only ends the stream.
        self.message_of = (kind == DATA && length > 0).then_some(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, PREFACE_BYTES};

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, 0];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn a_message_is_read_when_its_last_byte_is() {
        let wire = [
            vec![b'x'; PREFACE_BYTES],
            frame(4, 0, b"settings"),
            frame(1, 1, b"headers of one"),
            frame(0, 1, b"a message"),
            frame(1, 3 | 1 << 31, b"headers of three"),
            frame(0, 3 | 1 << 31, b"another"),
            frame(0, 3, b"and its rest"),
            frame(4, 0, b""),
        ]
        .concat();
        let end_of = |words: &[u8]| {
            let at = wire.windows(words.len()).position(|here| here == words);
            u64::try_from(at.expect("there") + words.len()).expect("small")
        };
        let (one, three) = (end_of(b"a message"), end_of(b"and its rest"));
        for lot in 1..wire.len() {
            let mut arrivals = Arrivals::default();
            let mut read = 0;
            for bytes in wire.chunks(lot) {
                read += u64::try_from(bytes.len()).expect("small");
                arrivals.read(bytes, read);
            }
            let lot = u64::try_from(lot).expect("small");
            let whole = u64::try_from(wire.len()).expect("small");
            let with = |end: u64| Some(end.div_ceil(lot).saturating_mul(lot).min(whole));
            assert_eq!(arrivals.take(1), with(one), "{lot}");
            assert_eq!(arrivals.take(1), None, "once");
            assert_eq!(arrivals.take(3), with(three), "{lot}");
            assert_eq!(arrivals.take(5), None);
        }
    }
}
