//! Reads the protobuf wire format, one field after the other.
//!
//! Knows tags, varints and lengths (protobuf.dev, "Encoding"). It refuses to
//! know any message: what a field means is its caller's business.

use anyhow::{Result, bail, ensure};

/// What one field carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// Integers, enums and booleans.
    Varint(u64),
    /// `fixed64` and `double`, as their eight bytes.
    Fixed64([u8; 8]),
    /// Strings, bytes, nested messages and packed lists.
    Bytes(&'a [u8]),
    /// `fixed32` and `float`, as their four bytes.
    Fixed32([u8; 4]),
}

/// The fields of one message, in the order in which they were written.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                bail!("the file ends inside a number");
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a number of more than ten bytes")
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            bail!("the file ends inside a number");
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        let Some((bytes, rest)) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length))
        else {
            bail!(
                "a field of {length} bytes where {} are left",
                self.rest.len()
            );
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let number = tag >> 3;
        ensure!(number != 0, "a field with the number 0");
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(self.fixed()?),
            other => bail!("a field of the unknown wire type {other}"),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    /// The next field, or what is wrong with the bytes; nothing after that.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_wire_type_is_read() {
        let message = [
            0x08, 0x96, 0x01, // field 1, varint 150
            0x12, 0x02, b'h', b'i', // field 2, "hi"
            0x1D, 0, 0, 0x80, 0x3F, // field 3, float 1.0
            0x21, 1, 0, 0, 0, 0, 0, 0, 0, // field 4, fixed64
        ];
        let fields = Fields::of(&message).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(
            fields,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"hi")),
                (3, Value::Fixed32(1.0_f32.to_le_bytes())),
                (4, Value::Fixed64(1_u64.to_le_bytes())),
            ]
        );
    }

    #[test]
    fn broken_messages_are_refused_and_end_the_walk() {
        for (message, complaint) in [
            (&[0x80][..], "inside a number"),
            (&[0xFF; 11][..], "more than ten bytes"),
            (&[0x12, 0x05, b'h'][..], "5 bytes where 1 are left"),
            (&[0x1D, 0][..], "inside a number"),
            (&[0x0B][..], "wire type 3"),
            (&[0x00, 0x00][..], "number 0"),
        ] {
            let mut fields = Fields::of(message);
            let error = fields.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
            assert!(fields.next().is_none());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}
