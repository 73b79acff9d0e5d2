//! The answers of an inference, looked at where they lie: nothing is copied.
//! Knows no model and counts nothing.

use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Broken, Span};
use super::layout::{Kind, Layout, Often};

/// One `ModelInferResponse`, alone or within a `ModelStreamInferResponse`, on
/// the bytes that it came in. As long as it is held, HTTP/2 has to take other
/// memory for what it reads.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Bytes,
    layout: Arc<Layout>,
}

/// One output tensor. Its shape is not looked at: real servers send ranks 0, 1
/// and 3 where their configuration says 2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor<'a> {
    /// Its name.
    pub(super) name: &'a [u8],
    /// The word for its type, such as `UINT32`.
    pub(super) datatype: &'a [u8],
    /// The same, as far as it is known.
    pub(super) kind: Kind,
    /// Where its elements lie; `None` where the response has no bytes for it.
    pub(super) raw: Option<Span>,
}

impl Reply {
    /// A message that `layout` was read off, or fits.
    #[inline]
    pub(super) fn of(bytes: Bytes, layout: Arc<Layout>) -> Self {
        Self { bytes, layout }
    }

    /// Reads a `ModelInferResponse`.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub(super) fn of_call(bytes: Bytes) -> Result<Self, Broken> {
        let mut layout = Layout::default();
        layout.read_call(&bytes)?;
        Ok(Self::of(bytes, Arc::new(layout)))
    }

    /// The bytes of a part.
    #[inline]
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
        self.part(self.layout.error_message)
    }

    /// Whether there is a response, with or without an error.
    pub(super) fn has_response(&self) -> bool {
        self.layout.has_response
    }

    /// The model that answers.
    pub(super) fn model(&self) -> &[u8] {
        self.part(self.layout.model)
    }

    /// The request's id; empty where the answer has none.
    pub(super) fn id(&self) -> &[u8] {
        self.part(self.layout.id)
    }

    /// `triton_final_response`, where the answer has it. A frame that refuses
    /// the request before the model got it does not.
    pub(super) fn final_flag(&self) -> Option<bool> {
        self.layout.final_flag
    }

    /// Whether the response lists no output.
    pub(super) fn is_empty(&self) -> bool {
        self.layout.outputs.is_empty()
    }

    /// The first output with this name; they come in any order.
    pub(super) fn tensor(&self, name: &[u8]) -> Option<Tensor<'_>> {
        self.tensor_at(self.layout.place(&self.bytes, name)?)
    }

    /// The same, by a name that is looked for in every message.
    #[inline]
    pub(super) fn often(&self, output: Often) -> Option<Tensor<'_>> {
        self.tensor_at(self.layout.often(output)?)
    }

    #[inline]
    fn tensor_at(&self, at: usize) -> Option<Tensor<'_>> {
        let listed = self.layout.outputs.get(at)?;
        Some(Tensor {
            name: self.part(listed.name),
            datatype: self.part(listed.datatype),
            kind: listed.kind,
            raw: self.layout.contents.get(at),
        })
    }
}
