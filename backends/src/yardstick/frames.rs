//! Follows the frames of one direction of an HTTP/2 connection as their bytes
//! pass, in pieces of any size. Knows frame headers (RFC 9113, section 4.1) and
//! nothing of what is in a frame.

/// Type of a frame that carries messages.
pub(super) const DATA: u8 = 0;

const HEADER_BYTES: usize = 9;

/// How far a connection's frames have come.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes before the next frame's header: what is left of a payload.
    before_header: usize,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    kind: u8,
    stream: u32,
}

/// What passed of one frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) kind: u8,
    pub(super) stream: u32,
    /// At least one.
    pub(super) bytes: usize,
    /// The frame ends with them.
    pub(super) ends: bool,
}

impl Frames {
    /// Before the first frame come so many bytes, which belong to no stream.
    pub(super) fn after(bytes: usize) -> Self {
        Self {
            before_header: bytes,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            kind: u8::MAX,
            stream: 0,
        }
    }

    /// Takes the next bytes; tells of each frame to whose payload some belong.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Passed)) {
        while !bytes.is_empty() {
            if self.before_header > 0 {
                let passed = self.before_header.min(bytes.len());
                self.before_header -= passed;
                bytes = &bytes[passed..];
                tell(Passed {
                    kind: self.kind,
                    stream: self.stream,
                    bytes: passed,
                    ends: self.before_header == 0,
                });
                continue;
            }
            let room = &mut self.header[self.header_bytes..];
            let taken = room.len().min(bytes.len());
            room[..taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            bytes = &bytes[taken..];
            if self.header_bytes == HEADER_BYTES {
                self.begin();
            }
        }
    }

    /// Begins the frame whose header is whole.
    fn begin(&mut self) {
        let [l0, l1, l2, kind, _, s0, s1, s2, s3] = self.header;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        self.header_bytes = 0;
        self.before_header = usize::try_from(length).unwrap_or(usize::MAX);
        self.kind = kind;
        // The first bit is reserved.
        self.stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Frames, Passed};

    pub(in super::super) fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, 0];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn payloads_are_told_of_by_their_frame_wherever_bytes_are_cut() {
        let wire = [
            b"hello".to_vec(),
            frame(4, 0, b"settings"),
            frame(0, 1, b""),
            frame(0, 3 | 1 << 31, b"a message"),
            frame(1, 1, b"headers"),
        ]
        .concat();
        for lot in 1..=wire.len() {
            let mut frames = Frames::after(5);
            let mut told: Vec<Passed> = Vec::new();
            for bytes in wire.chunks(lot) {
                frames.follow(bytes, |passed| match told.last_mut() {
                    Some(last) if !last.ends => {
                        assert_eq!((last.kind, last.stream), (passed.kind, passed.stream));
                        last.bytes += passed.bytes;
                        last.ends = passed.ends;
                    }
                    _ => told.push(passed),
                });
            }
            let told: Vec<_> = told
                .iter()
                .map(|it| (it.kind, it.stream, it.bytes))
                .collect();
            assert_eq!(
                told,
                [(u8::MAX, 0, 5), (4, 0, 8), (0, 3, 9), (1, 1, 7)],
                "{lot}"
            );
        }
    }
}
