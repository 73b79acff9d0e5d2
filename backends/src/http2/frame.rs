//! Frames (RFC 9113, 4 and 6): what stands before each, and those that a client
//! sends. Knows no call.

use bytes::BufMut;

use super::error::Reason;

/// What a client says first (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before what a frame carries.
pub(super) const HEAD_BYTES: usize = 9;

/// The most that a frame may carry, as long as nobody says otherwise, and we never do.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 10;

/// The largest window, and the largest number of a stream.
pub(super) const LARGEST: u32 = 0x7fff_ffff;

/// Kinds of frames.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(super) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings (RFC 9113, 6.5.2).
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// What stands before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes that the frame carries.
    pub(super) len: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The call it belongs to; 0: all of them.
    pub(super) stream: u32,
}

impl Head {
    #[inline]
    pub(super) fn read(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            len: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            // The highest bit means nothing.
            stream: u32::from_be_bytes(stream) & LARGEST,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let Self {
            len,
            kind,
            flags,
            stream,
        } = self;
        out.put_uint(len as u64, 3);
        out.extend([kind, flags]);
        out.put_u32(stream);
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A frame without flags.
fn plain(out: &mut Vec<u8>, kind: u8, stream: u32, payload: &[u8]) {
    let (len, flags) = (payload.len(), 0);
    let head = Head {
        len,
        kind,
        flags,
        stream,
    };
    head.write(out);
    out.extend_from_slice(payload);
}

/// Ends one call.
pub(super) fn reset(out: &mut Vec<u8>, stream: u32, reason: Reason) {
    plain(out, kind::RST_STREAM, stream, &reason.0.to_be_bytes());
}

/// Lets the server send that many bytes more.
pub(super) fn window_update(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    plain(out, kind::WINDOW_UPDATE, stream, &bytes.to_be_bytes());
}

/// Says that nothing follows.
pub(super) fn goaway(out: &mut Vec<u8>, reason: Reason) {
    let mut payload = [0; 8];
    payload[4..].copy_from_slice(&reason.0.to_be_bytes());
    plain(out, kind::GOAWAY, 0, &payload);
}

/// What the client is like.
pub(super) fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let mut payload = Vec::with_capacity(6 * settings.len());
    for &(name, value) in settings {
        payload.put_u16(name);
        payload.put_u32(value);
    }
    plain(out, kind::SETTINGS, 0, &payload);
}

/// The answer to SETTINGS or PING.
pub(super) fn ack(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let head = Head {
        len: payload.len(),
        kind,
        flags: flag::ACK,
        stream: 0,
    };
    head.write(out);
    out.extend_from_slice(payload);
}
