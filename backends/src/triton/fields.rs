//! Protobuf as bytes: the fields of a message where they lie, without making
//! anything of them. Knows the encoding
//! (<https://protobuf.dev/programming-guides/encoding/>) and no message.

/// A part of a message: where it lies in the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// All of `bytes`.
    ///
    /// # Errors
    /// When they are more than 32 bits can count.
    pub(super) fn all(bytes: &[u8]) -> Result<Self, Broken> {
        let len = u32::try_from(bytes.len()).map_err(|_| Broken("message beyond 4 GiB"))?;
        Ok(Self { at: 0, len })
    }

    /// The bytes of this part; none where `bytes` is not the whole that it
    /// was found in.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let (at, len) = (self.at as usize, self.len as usize);
        bytes
            .get(at..)
            .and_then(|rest| rest.get(..len))
            .unwrap_or_default()
    }

    /// The same as places in the whole.
    pub(super) fn range(self) -> std::ops::Range<usize> {
        let at = self.at as usize;
        at..at + self.len as usize
    }
}

/// Bytes that are no message. The words are prost's for the same fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// What a field holds, as far as its wire type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number, a truth value.
    Varint(u64),
    /// A string, bytes, a message or packed numbers.
    Bytes(Span),
    /// A number of fixed width, or a group; nothing here has one.
    Skipped,
}

impl Value {
    /// The bytes of a field that has to have some.
    ///
    /// # Errors
    /// When the field is of another wire type.
    pub(super) fn bytes(self) -> Result<Span, Broken> {
        match self {
            Self::Bytes(span) => Ok(span),
            _ => Err(Broken("invalid wire type")),
        }
    }
}

/// Groups within groups that are followed, as prost does.
const DEEPEST: u32 = 100;

/// The fields of one message, in the order of the bytes.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message at `span` of `bytes`.
    pub(super) fn of(bytes: &'a [u8], span: Span) -> Self {
        let range = span.range();
        let end = range.end.min(bytes.len());
        Self {
            bytes,
            at: range.start.min(end),
            end,
        }
    }

    /// Number and value of the next field; `None` behind the last.
    ///
    /// # Errors
    /// When the bytes are no fields.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value)>, Broken> {
        if let Some((number, span)) = self.short() {
            return Ok(Some((number, Value::Bytes(span))));
        }
        if self.at == self.end {
            return Ok(None);
        }
        self.any().map(Some)
    }

    /// The next field, if it is of the most usual kind: up to 127 bytes, and a
    /// number up to 15. Inlined, as all of a message is mostly such fields.
    #[inline(always)]
    fn short(&mut self) -> Option<(u32, Span)> {
        let [key, len, rest @ ..] = self.bytes.get(self.at..self.end)? else {
            return None;
        };
        let (number, len) = (key >> 3, *len);
        if key & 0x87 != 2 || number == 0 || len >= 0x80 || usize::from(len) > rest.len() {
            return None;
        }
        let at = self.at + 2;
        self.at = at + usize::from(len);
        let span = Span {
            at: u32::try_from(at).ok()?,
            len: len.into(),
        };
        Some((number.into(), span))
    }

    #[inline(never)]
    fn any(&mut self) -> Result<(u32, Value), Broken> {
        let (number, kind) = self.key()?;
        let value = self.value(number, kind, DEEPEST)?;
        Ok((number, value))
    }

    fn key(&mut self) -> Result<(u32, u8), Broken> {
        let key = u32::try_from(self.varint()?).map_err(|_| Broken("invalid key value"))?;
        let (number, [kind, ..]) = (key >> 3, (key & 7).to_le_bytes());
        if number == 0 {
            return Err(Broken("invalid tag value: 0"));
        }
        Ok((number, kind))
    }

    fn value(&mut self, number: u32, kind: u8, depth: u32) -> Result<Value, Broken> {
        match kind {
            0 => self.varint().map(Value::Varint),
            1 => self.skip(8).map(|_| Value::Skipped),
            2 => {
                let len = self.varint()?;
                self.skip(len).map(Value::Bytes)
            }
            3 => self.group(number, depth).map(|()| Value::Skipped),
            4 => Err(Broken("unexpected end group tag")),
            5 => self.skip(4).map(|_| Value::Skipped),
            _ => Err(Broken("invalid wire type value")),
        }
    }

    /// Passes over `len` bytes.
    fn skip(&mut self, len: u64) -> Result<Span, Broken> {
        let short = || Broken("buffer underflow");
        let len = u32::try_from(len).map_err(|_| short())?;
        let end = self.at.checked_add(len as usize).ok_or_else(short)?;
        if end > self.end {
            return Err(short());
        }
        let at = u32::try_from(self.at).map_err(|_| short())?;
        self.at = end;
        Ok(Span { at, len })
    }

    #[cold]
    fn group(&mut self, number: u32, depth: u32) -> Result<(), Broken> {
        let depth = depth
            .checked_sub(1)
            .ok_or(Broken("recursion limit reached"))?;
        loop {
            match self.key()? {
                (inner, 4) if inner == number => return Ok(()),
                (inner, kind) => self.value(inner, kind, depth)?,
            };
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        match self.bytes[self.at..self.end].first() {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for (at, &byte) in self.bytes[self.at..self.end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if at == 9 && byte > 1 {
                    break;
                }
                self.at += at + 1;
                return Ok(value);
            }
        }
        Err(Broken("invalid varint"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Fields, Span, Value};

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Value)>, Broken> {
        let mut fields = Fields::of(bytes, Span::all(bytes)?);
        let mut all = Vec::new();
        while let Some(field) = fields.next()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn every_wire_type_is_passed_over() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x12, 3, b'a', b'b', b'c'],
            &[0x19, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x25, 0, 0, 0, 0],
            // A group of number 5 with a field and a group within.
            &[0x2b, 0x08, 1, 0x33, 0x34, 0x2c],
            &[
                0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        ]
        .concat();
        let fields = read(&bytes).expect("good");
        let numbers: Vec<u32> = fields.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 7]);
        assert_eq!(fields[0].1, Value::Varint(150));
        assert_eq!(fields[1].1.bytes().expect("bytes").of(&bytes), b"abc");
        assert_eq!(fields[2].1.bytes(), Err(Broken("invalid wire type")));
        assert_eq!(fields[5].1, Value::Varint(u64::MAX));
    }

    #[test]
    fn what_is_no_field_is_broken() {
        let deep = [vec![0x0b; 200], vec![0x0c; 200]].concat();
        for (bytes, words) in [
            (&[0x08][..], "varint"),
            (&[0x08, 0x80], "varint"),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
                "varint",
            ),
            (
                &[0x08, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
                "varint",
            ),
            (&[0x12, 4, 1, 2, 3], "underflow"),
            (
                &[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "underflow",
            ),
            (&[0x12, 255, 255, 255, 255, 15], "underflow"),
            (&[0x19, 0, 0, 0, 0, 0, 0, 0], "underflow"),
            (&[0x25, 0, 0, 0], "underflow"),
            (&[0x00, 0], "tag value: 0"),
            (&[0x0e, 0], "wire type"),
            (&[0x0f, 0], "wire type"),
            (&[0x0c], "end group"),
            (&[0x0b, 0x14], "end group"),
            (&[0x0b, 0x08, 1], "varint"),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0], "key"),
            (&deep, "recursion"),
        ] {
            let Broken(said) = read(bytes).expect_err(words);
            assert!(said.contains(words), "{bytes:?}: {said}");
        }
    }

    #[test]
    fn a_span_of_other_bytes_is_empty_not_a_panic() {
        let bytes = [0x12, 3, b'a', b'b', b'c'];
        let fields = read(&bytes).expect("good");
        let span = fields[0].1.bytes().expect("bytes");
        assert_eq!(span.of(&bytes[..4]), b"");
        assert_eq!(Fields::of(&bytes[..1], span).next(), Ok(None));
    }
}
