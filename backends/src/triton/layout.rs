//! What an answer's message says and where: read off the bytes, and compared with
//! other bytes. Of the published messages (`proto/grpc_service.proto`) only what
//! the clients need is looked at. Holds no message.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fields::{Broken, Fields, Span, Value};

/// Where one `ModelInferResponse`, alone or within a `ModelStreamInferResponse`,
/// has what the clients look at.
///
/// As prost reads it: a field that comes twice counts as it came last, lists
/// grow. Unlike prost, strings that nobody looks at may be no UTF-8.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The whole message's length; 0: there is none to compare with.
    len: usize,
    /// What lies before, between and behind the gaps, in a row.
    around: Vec<u8>,
    /// Where messages of this layout differ: in the request's id and in the bytes
    /// of the tensors. In the order of the bytes.
    gaps: Row<Span>,
    pub(super) contents: Row<Span>,
    pub(super) outputs: Row<Listed>,
    /// Places in `outputs`.
    often: [Option<usize>; Often::ALL.len()],
    pub(super) error_message: Span,
    pub(super) has_response: bool,
    pub(super) final_flag: Option<bool>,
    pub(super) model: Span,
    pub(super) id: Span,
    /// It was shown to all streams of the client.
    pub(super) is_known: AtomicBool,
}

/// An output as the response lists it; its bytes lie elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub(super) name: Span,
    pub(super) datatype: Span,
    pub(super) kind: Kind,
}

/// What elements are, as far as the clients read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    U32,
    I32,
    U64,
    I64,
    Strings,
    #[default]
    Other,
}

impl Kind {
    fn of(datatype: &[u8]) -> Self {
        match datatype {
            b"UINT32" => Self::U32,
            b"INT32" => Self::I32,
            b"UINT64" => Self::U64,
            b"INT64" => Self::I64,
            b"BYTES" => Self::Strings,
            _ => Self::Other,
        }
    }
}

/// Outputs that are looked for in every message of an engine: found once for all
/// that have the same layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Often {
    /// Tokens of prompt and answer together.
    Length = 0,
    /// Their ids.
    Ids = 1,
}

impl Often {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::Length, Self::Ids];

    /// The output's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Length => "sequence_length",
            Self::Ids => "output_ids",
        }
    }
}

impl Layout {
    /// Reads a `ModelInferResponse` in place of what was read before.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub(super) fn read_call(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.forget();
        self.has_response = true;
        self.response(bytes, Span::all(bytes)?)?;
        self.find_often(bytes);
        Ok(())
    }

    /// Reads a `ModelStreamInferResponse` in place of what was read before.
    ///
    /// # Errors
    /// When the bytes are no such message; none fits then.
    pub(super) fn read_stream(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.forget();
        let mut fields = Fields::of(bytes, Span::all(bytes)?);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.error_message = value.bytes()?,
                2 => {
                    self.has_response = true;
                    self.response(bytes, value.bytes()?)?;
                }
                _ => {}
            }
        }
        self.find_often(bytes);
        self.remember(bytes);
        Ok(())
    }

    /// Whether `bytes` differ from the message that was read in the gaps alone. What
    /// is equal says where the gaps are, so they are there again.
    #[inline]
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        if bytes.len() != self.len || bytes.is_empty() {
            return false;
        }
        let (mut at, mut around) = (0, self.around.as_slice());
        for gap in self.gaps.iter() {
            let gap = gap.range();
            let Some((before, rest)) = around.split_at_checked(gap.start - at) else {
                return false;
            };
            if bytes[at..gap.start] != *before {
                return false;
            }
            (at, around) = (gap.end, rest);
        }
        bytes[at..] == *around
    }

    /// Place of the first output with this name.
    #[inline]
    pub(super) fn place(&self, bytes: &[u8], name: &[u8]) -> Option<usize> {
        let outputs = &self.outputs;
        let is_it = |output: Listed| output.name.of(bytes) == name;
        (0..outputs.len()).find(|&at| outputs.get(at).is_some_and(is_it))
    }

    /// The same of one that is looked for often.
    #[inline]
    pub(super) fn often(&self, output: Often) -> Option<usize> {
        self.often[output as usize]
    }

    fn find_often(&mut self, bytes: &[u8]) {
        self.often = Often::ALL.map(|output| self.place(bytes, output.name().as_bytes()));
    }

    /// Whether it was shown to all streams of the client.
    #[inline]
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Whether the same messages fit either.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let gaps = self.gaps.iter().eq(other.gaps.iter());
        self.len == other.len && gaps && self.around == other.around
    }

    fn remember(&mut self, bytes: &[u8]) {
        let at = |span: &Span| span.range().start;
        let id = Some(self.id).filter(|id| !id.range().is_empty());
        let before = |content: &Span| id.is_none_or(|id| at(content) < at(&id));
        self.contents
            .iter()
            .filter(before)
            .for_each(|content| self.gaps.push(content));
        id.into_iter().for_each(|id| self.gaps.push(id));
        let behind = self.contents.iter().filter(|content| !before(content));
        behind.for_each(|content| self.gaps.push(content));

        let mut at = 0;
        for gap in self.gaps.iter() {
            let gap = gap.range();
            self.around.extend_from_slice(&bytes[at..gap.start]);
            at = gap.end;
        }
        self.around.extend_from_slice(&bytes[at..]);
        self.len = bytes.len();
    }

    fn forget(&mut self) {
        let mut around = std::mem::take(&mut self.around);
        around.clear();
        *self = Self {
            around,
            ..Self::default()
        };
    }

    fn response(&mut self, bytes: &[u8], span: Span) -> Result<(), Broken> {
        let mut fields = Fields::of(bytes, span);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.model = value.bytes()?,
                3 => self.id = value.bytes()?,
                4 => {
                    if let Some(flag) = final_flag(bytes, value.bytes()?)? {
                        self.final_flag = flag;
                    }
                }
                5 => self.outputs.push(listed(bytes, value.bytes()?)?),
                6 => self.contents.push(value.bytes()?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A parameter `triton_final_response` up to the value of its `bool_param`.
const USUAL_FLAG: &[u8] = b"\x0a\x15triton_final_response\x12\x02\x08";

/// An entry of the response's parameters: `None` when it is another one, else
/// the flag, where it is a truth value.
fn final_flag(bytes: &[u8], span: Span) -> Result<Option<Option<bool>>, Broken> {
    // How it is mostly written: the name, then a choice of one byte.
    if let Some(&[value @ 0..0x80]) = span.of(bytes).strip_prefix(USUAL_FLAG) {
        return Ok(Some(Some(value != 0)));
    }
    let mut is_flag = false;
    let mut flag = None;
    let mut entry = Fields::of(bytes, span);
    while let Some((number, value)) = entry.next()? {
        match number {
            1 => is_flag = value.bytes()?.of(bytes) == b"triton_final_response",
            2 => {
                let mut choice = Fields::of(bytes, value.bytes()?);
                while let Some((number, value)) = choice.next()? {
                    match (number, value) {
                        (1, Value::Varint(value)) => flag = Some(value != 0),
                        (1, _) => return Err(Broken("invalid wire type")),
                        // Another choice takes its place.
                        (2..=5, _) => flag = None,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(is_flag.then_some(flag))
}

fn listed(bytes: &[u8], span: Span) -> Result<Listed, Broken> {
    let mut output = Listed::default();
    let mut fields = Fields::of(bytes, span);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => output.name = value.bytes()?,
            2 => {
                output.datatype = value.bytes()?;
                output.kind = Kind::of(output.datatype.of(bytes));
            }
            _ => {}
        }
    }
    Ok(output)
}

/// A list that takes memory of its own only when it is longer than any answer
/// of LMDeploy's models.
#[derive(Debug, Default)]
pub(super) struct Row<T> {
    first: [T; 4],
    more: Vec<T>,
    len: usize,
}

impl<T: Copy> Row<T> {
    fn push(&mut self, item: T) {
        match self.first.get_mut(self.len) {
            Some(place) => *place = item,
            None => self.more.push(item),
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        let first = self.first.iter().take(self.len);
        first.chain(&self.more).copied()
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<T> {
        if at >= self.len {
            return None;
        }
        match self.first.get(at) {
            Some(item) => Some(*item),
            None => self.more.get(at - self.first.len()).copied(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }
}
