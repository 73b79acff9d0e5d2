//! The answers of an inference, read where they lie: of the published messages
//! (`proto/grpc_service.proto`) only what the clients need is looked at, and
//! nothing is copied. Knows no model and counts nothing.

use bytes::Bytes;

use super::fields::{Broken, Fields, Span, Value};

/// One `ModelInferResponse`, alone or within a `ModelStreamInferResponse`, on
/// the bytes that it came in.
///
/// As prost reads it: a field that comes twice counts as it came last, lists
/// grow. Unlike prost, strings that nobody looks at may be no UTF-8.
#[derive(Debug, Default)]
pub(super) struct Reply {
    bytes: Bytes,
    error_message: Span,
    has_response: bool,
    model: Span,
    id: Span,
    final_flag: Option<bool>,
    outputs: Row<Listed>,
    contents: Row<Span>,
    usual: Usual,
}

/// What the last message of a stream was but for the bytes of its tensors. The
/// engine's messages mostly differ in nothing else, and one that does not holds
/// everything where the last one had it.
#[derive(Debug, Default)]
struct Usual {
    /// The whole message's; 0: there is none to compare with.
    len: usize,
    /// What lies before, between and behind the contents, in a row.
    around: Vec<u8>,
}

/// Whether a message says more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Only other bytes of the same tensors.
    Contents,
    /// Anything.
    Any,
}

/// An output as the response lists it; its bytes lie elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    name: Span,
    datatype: Span,
}

/// One output tensor. Its shape is not looked at: real servers send ranks 0, 1
/// and 3 where their configuration says 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor<'a> {
    /// Its name.
    pub(super) name: &'a [u8],
    /// The word for its type, such as `UINT32`.
    pub(super) datatype: &'a [u8],
    /// Where its elements lie; `None` where the response has no bytes for it.
    pub(super) raw: Option<Span>,
}

impl Reply {
    /// Reads a `ModelInferResponse`.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub(super) fn of_call(bytes: Bytes) -> Result<Self, Broken> {
        let mut reply = Self {
            has_response: true,
            ..Self::default()
        };
        reply.response(&bytes, Span::all(&bytes)?)?;
        reply.bytes = bytes;
        Ok(reply)
    }

    /// Reads a `ModelStreamInferResponse` in place of what was read before.
    ///
    /// # Errors
    /// When the bytes are no such message.
    #[inline]
    pub(super) fn read_stream(&mut self, bytes: Bytes) -> Result<News, Broken> {
        if self.is_usual(&bytes) {
            self.bytes = bytes;
            return Ok(News::Contents);
        }
        self.read_any(bytes).map(|()| News::Any)
    }

    #[inline(never)]
    fn read_any(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.forget();
        let mut fields = Fields::of(&bytes, Span::all(&bytes)?);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.error_message = value.bytes()?,
                2 => {
                    self.has_response = true;
                    self.response(&bytes, value.bytes()?)?;
                }
                _ => {}
            }
        }
        self.remember(&bytes);
        self.bytes = bytes;
        Ok(())
    }

    /// Lets go of the bytes that were read: as long as they are held, HTTP/2 has
    /// to take new memory for what it reads.
    pub(super) fn let_go(&mut self) {
        self.bytes = Bytes::new();
    }

    /// Whether `bytes` differ from the last message in its contents alone. What is
    /// equal says where the contents lie, so they lie there again.
    fn is_usual(&self, bytes: &[u8]) -> bool {
        if bytes.len() != self.usual.len || bytes.is_empty() {
            return false;
        }
        let (mut at, mut around) = (0, self.usual.around.as_slice());
        for content in self.contents.iter() {
            let content = content.range();
            let Some((before, rest)) = around.split_at_checked(content.start - at) else {
                return false;
            };
            if bytes[at..content.start] != *before {
                return false;
            }
            (at, around) = (content.end, rest);
        }
        bytes[at..] == *around
    }

    fn remember(&mut self, bytes: &[u8]) {
        let mut at = 0;
        for content in self.contents.iter() {
            let content = content.range();
            self.usual
                .around
                .extend_from_slice(&bytes[at..content.start]);
            at = content.end;
        }
        self.usual.around.extend_from_slice(&bytes[at..]);
        self.usual.len = bytes.len();
    }

    fn forget(&mut self) {
        self.usual.len = 0;
        self.usual.around.clear();
        self.bytes = Bytes::new();
        self.error_message = Span::default();
        self.has_response = false;
        self.model = Span::default();
        self.id = Span::default();
        self.final_flag = None;
        self.outputs.clear();
        self.contents.clear();
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

    /// The bytes of a part.
    pub(super) fn part(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// A part by itself, on the same memory.
    pub(super) fn share(&self, span: Span) -> Bytes {
        let range = span.range();
        if range.end > self.bytes.len() {
            return Bytes::new();
        }
        self.bytes.slice(range)
    }

    /// What went wrong; empty where nothing did.
    pub(super) fn error_message(&self) -> &[u8] {
        self.part(self.error_message)
    }

    /// Whether there is a response, with or without an error.
    pub(super) fn has_response(&self) -> bool {
        self.has_response
    }

    /// The model that answers.
    pub(super) fn model(&self) -> &[u8] {
        self.part(self.model)
    }

    /// The request's id; empty where the answer has none.
    pub(super) fn id(&self) -> &[u8] {
        self.part(self.id)
    }

    /// `triton_final_response`, where the answer has it. A frame that refuses
    /// the request before the model got it does not.
    pub(super) fn final_flag(&self) -> Option<bool> {
        self.final_flag
    }

    /// Whether the response lists no output.
    pub(super) fn is_empty(&self) -> bool {
        self.outputs.len == 0
    }

    /// The first output with this name; they come in any order.
    pub(super) fn tensor(&self, name: &[u8]) -> Option<Tensor<'_>> {
        let at = (0..self.outputs.len).find(|&at| {
            self.outputs
                .get(at)
                .is_some_and(|output| self.part(output.name) == name)
        })?;
        let Listed { name, datatype } = self.outputs.get(at)?;
        Some(Tensor {
            name: self.part(name),
            datatype: self.part(datatype),
            raw: self.contents.get(at),
        })
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
            2 => output.datatype = value.bytes()?,
            _ => {}
        }
    }
    Ok(output)
}

/// A list that takes memory of its own only when it is longer than any answer
/// of LMDeploy's models.
#[derive(Debug, Default)]
struct Row<T> {
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

    fn clear(&mut self) {
        self.more.clear();
        self.len = 0;
    }

    fn iter(&self) -> impl Iterator<Item = T> {
        let first = self.first.iter().take(self.len);
        first.chain(&self.more).copied()
    }

    fn get(&self, at: usize) -> Option<T> {
        if at >= self.len {
            return None;
        }
        match self.first.get(at) {
            Some(item) => Some(*item),
            None => self.more.get(at - self.first.len()).copied(),
        }
    }
}

#[cfg(test)]
mod tests;
