//! What a connection is read into. What was read is handed on where it lies, and
//! the memory is read into again when nobody looks at it any more.

use bytes::{Bytes, BytesMut};

use super::frame::{FRAME_BYTES_MAX, HEAD_BYTES};

/// Bytes that are read at once from a connection that never had as many.
const SIP_BYTES: usize = 8 << 10;

/// The same afterwards: with turbomind's messages of 8 kB one system call for eight
/// of them.
pub(super) const GULP_BYTES: usize = 64 << 10;

const _: () = assert!(GULP_BYTES > FRAME_BYTES_MAX + HEAD_BYTES);

/// Pieces of memory that may be looked at by others while one more is read into.
/// Beyond them what comes is copied: a server could otherwise have all of a piece
/// kept for each of its bytes.
const PLACES: usize = 3;

/// What was read and not taken, and room for more.
#[derive(Debug)]
pub(super) struct Gulp {
    /// What was read last, and the part of it that was not taken.
    read: Bytes,
    from: usize,
    to: usize,
    /// Memory to read into, if that is prepared: behind what was not taken.
    room: BytesMut,
    kept: usize,
    /// Memory that was read into before, to be used again.
    places: Vec<Bytes>,
    /// All of them are looked at by somebody.
    copies: bool,
    /// How much memory is taken at once.
    bytes: usize,
}

impl Gulp {
    pub(super) fn new() -> Self {
        Self {
            read: Bytes::new(),
            from: 0,
            to: 0,
            room: BytesMut::new(),
            kept: 0,
            places: Vec::with_capacity(PLACES),
            copies: false,
            bytes: SIP_BYTES,
        }
    }

    /// Memory to read into, of which [`Self::filled`] is to be told.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.room.is_empty() {
            self.prepare();
        }
        &mut self.room[self.kept..]
    }

    fn prepare(&mut self) {
        let left = self.from..self.to;
        (self.from, self.to) = (0, 0);
        self.kept = left.len();
        let read = std::mem::take(&mut self.read);
        if read.len() == self.bytes && read.is_unique() {
            self.room = BytesMut::from(read);
            self.room.copy_within(left, 0);
        } else {
            self.room = self.another();
            self.room[..left.len()].copy_from_slice(&read[left]);
            if read.len() == self.bytes {
                self.places.push(read);
            }
        }
        self.copies = self.places.len() == PLACES && !self.places.iter().any(Bytes::is_unique);
    }

    fn another(&mut self) -> BytesMut {
        if let Some(at) = self.places.iter().position(Bytes::is_unique) {
            return BytesMut::from(self.places.swap_remove(at));
        }
        if self.places.len() == PLACES {
            // It is whose who looks at it.
            self.places.swap_remove(0);
        }
        BytesMut::zeroed(self.bytes)
    }

    /// So many bytes were read.
    #[inline]
    pub(super) fn filled(&mut self, bytes: usize) {
        self.read = std::mem::take(&mut self.room).freeze();
        (self.from, self.to) = (0, self.kept + bytes);
        if self.is_full() && self.bytes == SIP_BYTES {
            self.bytes = GULP_BYTES;
            self.places.clear();
        }
    }

    /// What was not taken.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.read[self.from..self.to]
    }

    /// Takes so many bytes.
    #[inline]
    pub(super) fn skip(&mut self, bytes: usize) {
        self.from += bytes;
    }

    /// A part of what was not taken, to be kept.
    #[inline]
    pub(super) fn share(&self, from: usize, to: usize) -> Bytes {
        let range = self.from + from..self.from + to;
        if self.copies {
            Bytes::copy_from_slice(&self.read[range])
        } else {
            self.read.slice(range)
        }
    }

    /// There was room for no more.
    pub(super) fn is_full(&self) -> bool {
        self.to == self.read.len()
    }
}
