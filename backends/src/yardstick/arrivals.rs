//! When each request's message had been read from an HTTP/2 connection, by the
//! number of its stream. A library that is busy with a burst hands the first
//! request over when it has read the last; the book is to say when a request was
//! read, so the frames are followed here as they come.

use std::collections::HashMap;

use super::frames::{DATA, Frames};

/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// What has been read of a connection.
#[derive(Debug)]
pub(super) struct Arrivals {
    frames: Frames,
    read_ns: HashMap<u32, u64>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            frames: Frames::after(PREFACE_BYTES),
            read_ns: HashMap::new(),
        }
    }
}

impl Arrivals {
    /// Takes what was read next, at `at_ns`.
    pub(super) fn read(&mut self, bytes: &[u8], at_ns: u64) {
        let read_ns = &mut self.read_ns;
        self.frames.follow(bytes, |passed| {
            if passed.kind == DATA && passed.ends {
                read_ns.insert(passed.stream, at_ns);
            }
        });
    }

    /// When the last frame of the stream's message had been read, if one was.
    /// Tells it once.
    pub(super) fn take(&mut self, stream: u32) -> Option<u64> {
        self.read_ns.remove(&stream)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::frame;
    use super::{Arrivals, PREFACE_BYTES};

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
