//! An inference request as it goes out: `ModelInferRequest`
//! (`proto/grpc_service.proto`), written field by field into its bytes. What
//! `reply` is for answers. Knows Triton's layout (little endian, strings by a
//! 4-byte length) and no model.
//!
//! `tis` writes one for each message of the engine; as prost's structs, with a
//! string for each name, that was an eighth of all that the client did.

use bytes::{BufMut, Bytes, BytesMut};

use super::grpc;
use super::unframer::PREFIX_BYTES;
use crate::{Error, ErrorKind};

/// One inference request, before it is a message.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The model to ask.
    pub(super) model: &'a str,
    /// The request's id, which comes back with each of its answers.
    pub(super) id: u64,
    /// Its tensors.
    pub(super) inputs: Inputs,
    /// Adds `sequence_id`, `sequence_start` and `sequence_end`, as LMDeploy's
    /// chatbot does; Triton has no use for them here.
    pub(super) sequence: bool,
}

impl Call<'_> {
    /// The message as it goes out, to a method that answers in pieces or once.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when it is too long for one.
    pub(super) fn framed(self, streaming: bool) -> Result<Bytes, Error> {
        let Inputs { tensors, raw } = self.inputs;
        let around = self.model.len() + 256;
        let mut out = BytesMut::with_capacity(PREFIX_BYTES + around + tensors.len() + raw.len());
        out.put_bytes(0, PREFIX_BYTES);
        field(&mut out, 1, self.model.as_bytes());
        field(&mut out, 3, self.id.to_string().as_bytes());
        if streaming {
            // Without it a final response that has no tensors is dropped.
            parameter(&mut out, "triton_enable_empty_final_response", BOOL, 1);
        }
        if self.sequence {
            let id = i64::try_from(self.id).unwrap_or(i64::MAX);
            parameter(&mut out, "sequence_id", INT64, id.cast_unsigned());
            parameter(&mut out, "sequence_start", BOOL, 1);
            parameter(&mut out, "sequence_end", BOOL, 1);
        }
        out.put_slice(&tensors);
        out.put_slice(&raw);
        grpc::framed(out).map_err(|status| {
            let words = format!("the request to `{}`: {}", self.model, status.message());
            Error::new(ErrorKind::Rejected, words)
        })
    }
}

/// The input tensors of one request, in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    /// `inputs`: names, types and shapes.
    tensors: BytesMut,
    /// `raw_input_contents`: the elements.
    raw: BytesMut,
}

impl Inputs {
    /// Adds a tensor whose bytes are made already.
    pub(super) fn push(&mut self, name: &str, datatype: &str, shape: &[i64], raw: &[u8]) {
        self.list(name, datatype, shape);
        field(&mut self.raw, 7, raw);
    }

    /// Adds UINT32 values.
    pub(super) fn u32s(&mut self, name: &str, shape: &[i64], values: &[u32]) {
        self.list(name, "UINT32", shape);
        head(&mut self.raw, 7, 4 * values.len());
        self.raw.reserve(4 * values.len());
        for &value in values {
            self.raw.put_u32_le(value);
        }
    }

    /// Adds INT32 values.
    pub(super) fn i32s(&mut self, name: &str, shape: &[i64], values: &[i32]) {
        self.list(name, "INT32", shape);
        head(&mut self.raw, 7, 4 * values.len());
        for &value in values {
            self.raw.put_i32_le(value);
        }
    }

    /// Adds one UINT64.
    pub(super) fn u64(&mut self, name: &str, shape: &[i64], value: u64) {
        self.push(name, "UINT64", shape, &value.to_le_bytes());
    }

    /// Adds one FP32.
    pub(super) fn f32(&mut self, name: &str, shape: &[i64], value: f32) {
        self.push(name, "FP32", shape, &value.to_le_bytes());
    }

    /// Adds one string. One beyond 4 GiB cannot be said; none is ever made here.
    pub(super) fn text(&mut self, name: &str, shape: &[i64], text: &str) {
        self.list(name, "BYTES", shape);
        head(&mut self.raw, 7, 4 + text.len());
        self.raw
            .put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.raw.put_slice(text.as_bytes());
    }

    fn list(&mut self, name: &str, datatype: &str, shape: &[i64]) {
        let width = |&dim: &i64| varint_bytes(dim.cast_unsigned());
        let packed = shape.iter().map(width).sum();
        let out = &mut self.tensors;
        let len = field_bytes(name.len()) + field_bytes(datatype.len()) + field_bytes(packed);
        head(out, 5, len);
        field(out, 1, name.as_bytes());
        field(out, 2, datatype.as_bytes());
        head(out, 3, packed);
        for &dim in shape {
            varint(out, dim.cast_unsigned());
        }
    }
}

/// `InferParameter`'s `bool_param` and `int64_param`.
const BOOL: u8 = 1;
const INT64: u8 = 2;

/// A parameter of the request.
fn parameter(out: &mut BytesMut, name: &str, choice: u8, value: u64) {
    let width = 1 + varint_bytes(value);
    head(out, 4, field_bytes(name.len()) + field_bytes(width));
    field(out, 1, name.as_bytes());
    head(out, 2, width);
    out.put_u8(choice << 3);
    varint(out, value);
}

/// A field of bytes; its number is below 16.
fn field(out: &mut BytesMut, number: u8, bytes: &[u8]) {
    head(out, number, bytes.len());
    out.put_slice(bytes);
}

/// What stands before the bytes of a field.
fn head(out: &mut BytesMut, number: u8, len: usize) {
    out.put_u8(number << 3 | 2);
    varint(out, len as u64);
}

/// Bytes of a field of bytes, with what stands before them.
fn field_bytes(len: usize) -> usize {
    1 + varint_bytes(len as u64) + len
}

fn varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.put_u8(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.put_u8(low);
}

fn varint_bytes(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

#[cfg(test)]
pub(super) mod tests;
