//! What a disk that gets full in the middle of a row leaves behind.

use std::io::{self, Write};

use super::{Tail, write_or_cut};

/// A disk with room for so many bytes in all, written in pieces.
struct Disk {
    held: Vec<u8>,
    room: usize,
    piece: usize,
    /// Another process appends this when the disk is full.
    other: &'static [u8],
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.room.saturating_sub(self.held.len());
        let count = bytes.len().min(free).min(self.piece);
        if count == 0 {
            self.held.extend_from_slice(self.other);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.held.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tail for Disk {
    fn length(&self) -> io::Result<u64> {
        Ok(self.held.len() as u64)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.held.truncate(length.try_into().expect("short"));
        Ok(())
    }
}

#[test]
fn a_full_disk_leaves_no_half_row() {
    for (room, piece, other, outcome, held) in [
        (20, 3, "", Ok(()), "old\nnew row\n"),
        (20, 99, "", Ok(()), "old\nnew row\n"),
        (8, 99, "", Err(io::ErrorKind::StorageFull), "old\n"),
        (8, 1, "", Err(io::ErrorKind::StorageFull), "old\n"),
        (4, 1, "", Err(io::ErrorKind::StorageFull), "old\n"),
        (6, 9, "x\n", Err(io::ErrorKind::StorageFull), "old\nnex\n"),
    ] {
        let mut disk = Disk {
            held: b"old\n".to_vec(),
            room,
            piece,
            other: other.as_bytes(),
        };
        let written = write_or_cut(&mut disk, b"new row\n");
        assert_eq!(written.map_err(|error| error.kind()), outcome);
        assert_eq!(String::from_utf8_lossy(&disk.held), held);
    }
}

#[test]
fn a_file_is_cut_to_its_length() {
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(b"old\nhalf a").expect("written");
    assert_eq!(file.length().expect("a length"), 10);
    file.cut(4).expect("cut");
    assert_eq!(file.length().expect("a length"), 4);
}
