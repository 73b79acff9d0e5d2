//! zstd archives, one frame after the other.
//!
//! Knows frames: the crate `ruzstd` decodes one, an archive may have many, and
//! some to be skipped (RFC 8878, 3.1). It refuses to know what is in them.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The contents of all frames of `file`.
pub(super) struct Frames<R: BufRead> {
    file: R,
    decoder: FrameDecoder,
}

/// A frame without contents.
const EMPTY_FRAME: [u8; 9] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0];

impl<R: BufRead> Frames<R> {
    /// # Errors
    /// Never, but for an error within the decoder.
    pub(super) fn new(file: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        // Only from the second frame on does the decoder refuse windows above
        // 100 MB, which would take that much memory.
        let mut empty = EMPTY_FRAME.as_slice();
        decoder.init(&mut empty).map_err(io::Error::other)?;
        decoder
            .decode_blocks(&mut empty, BlockDecodingStrategy::All)
            .map_err(io::Error::other)?;
        Ok(Self { file, decoder })
    }

    /// Begins the next frame, after those to be skipped; `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let mut magic = [0; 4];
            let mut got = 0;
            while got < magic.len() {
                match self.file.read(&mut magic[got..])? {
                    0 if got == 0 => return Ok(false),
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => got += more,
                }
            }
            let [first, rest @ ..] = magic;
            if first & 0xF0 != 0x50 || rest != [0x2A, 0x4D, 0x18] {
                self.decoder
                    .init(magic.chain(&mut self.file))
                    .map_err(io::Error::other)?;
                return Ok(true);
            }
            let mut len = [0; 4];
            self.file.read_exact(&mut len)?;
            let len = u64::from(u32::from_le_bytes(len));
            if io::copy(&mut self.file.by_ref().take(len), &mut io::sink())? < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn check_sum(&self) -> io::Result<()> {
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(io::Error::other("its checksum is not that of its contents"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            if self.decoder.is_finished() {
                self.check_sum()?;
                if !self.begin()? {
                    return Ok(0);
                }
            } else {
                let some = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.file, some)
                    .map_err(io::Error::other)?;
            }
        }
        Ok(0)
    }
}
