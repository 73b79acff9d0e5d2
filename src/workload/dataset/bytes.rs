//! The bytes of a dataset while it is in use: a mapped file or a buffer.

use std::borrow::Cow;

use memmap2::Mmap;

/// The bytes in which the texts stand.
#[derive(Debug)]
pub(super) enum Bytes {
    Mapped(Mmap),
    Memory(Cow<'static, [u8]>),
}

impl Bytes {
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}
