//! The lean lane: frames of an answer as bytes that are made before its first
//! token, in which only what changes is patched. For a server that has to cost
//! less than the client that it measures. Knows no time and no transport; what
//! it does not recognise is the simulation's.

use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::sync::mpsc;

use super::super::TURBOMIND;
use super::super::proto::infer_parameter::ParameterChoice;
use super::super::proto::{ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use super::super::wire::{strings_of_bytes, u32s_to_bytes};
use super::catalog::ENSEMBLE;
use super::reply::{Reply, Tensors};
use crate::engine::Codec;

/// The flag that is false but in the last frame.
const FINAL: &str = "triton_final_response";
/// The output whose value is patched.
const LENGTH: &str = "sequence_length";
/// A message's prefix: not compressed, and four bytes of length (gRPC over
/// HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// Prompt and answer of the longest request that the lane takes on: it keeps
/// every id from the start.
const SESSION_TOKENS_MAX: usize = 1 << 20;

/// A streamed request that the lane can answer.
#[derive(Debug)]
pub(crate) struct Asked {
    request: ModelInferRequest,
    prompt: Vec<u32>,
    tokens: u32,
    token: u32,
    text: String,
}

impl Asked {
    /// Reads a message, prefix and all. `None`: it is not a plain request for
    /// tokens of `turbomind` or `ensemble`.
    pub(crate) fn read(message: &Bytes, codec: &dyn Codec) -> Option<Self> {
        let (&[0, ..], Some(body)) = (message.as_ref(), message.get(PREFIX_BYTES..)) else {
            return None;
        };
        let request = ModelInferRequest::decode(body).ok()?;
        let raw = |name: &str| {
            let at = request.inputs.iter().position(|input| input.name == name)?;
            request.raw_input_contents.get(at)
        };
        let number = |name: &str| u32s(raw(name)?).first().copied();
        let (prompt, tokens) = match request.model_name.as_str() {
            TURBOMIND => {
                let stops = number("STOP").is_some_and(|stop| stop != 0);
                let length = usize::try_from(number("input_lengths")?).ok()?;
                let mut prompt = u32s(raw("input_ids")?);
                if stops || length > prompt.len() {
                    return None;
                }
                prompt.truncate(length);
                (prompt, number("request_output_len")?)
            }
            ENSEMBLE => {
                let text = strings_of_bytes(raw("text_input")?)?.into_iter().next()?;
                let text = String::from_utf8_lossy(&text).into_owned();
                (codec.encode(&text), number("max_tokens")?)
            }
            _ => return None,
        };
        let all = usize::try_from(tokens).map(|tokens| tokens.saturating_add(prompt.len()));
        if prompt.is_empty() || tokens == 0 || all.ok()? > SESSION_TOKENS_MAX {
            return None;
        }
        let token = codec.answer(&prompt, 0);
        let text = String::from_utf8_lossy(&codec.decode(&[token])).into_owned();
        Some(Self {
            request,
            prompt,
            tokens,
            token,
            text,
        })
    }

    /// The request's id, as the client named it.
    pub(crate) fn id(&self) -> &str {
        &self.request.id
    }

    /// Tokens that are asked for; at least 1.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// The frames of the answer. `output_ids_len`: how many ids the engine
    /// sends with each, at least as many as the answer needs; 0: those that
    /// there are by then.
    ///
    /// Ids beyond the stated length, which nobody may read, are those to come
    /// where turbomind's buffer has zeros: so only the length changes.
    pub(crate) fn frames(&self, output_ids_len: u32) -> Frames {
        let (out, _) = mpsc::unbounded_channel();
        let reply = Reply::new(&self.request, &out);
        let prompt = u32::try_from(self.prompt.len()).unwrap_or(u32::MAX);
        let mut tensors = Tensors::default();
        if self.request.model_name == ENSEMBLE {
            tensors.u32s(LENGTH, vec![1, 1], &[0]);
            tensors.text("text_output", vec![1], &self.text);
            return Frames::fixed(reply.message(tensors), prompt, self.tokens);
        }
        let answer = usize::try_from(self.tokens).unwrap_or(usize::MAX);
        let needed = self.prompt.len().saturating_add(answer);
        let asked = usize::try_from(output_ids_len).unwrap_or(usize::MAX);
        let mut buffer = self.prompt.clone();
        buffer.resize(needed, self.token);
        buffer.resize(needed.max(asked), 0);
        let width = i64::try_from(buffer.len()).unwrap_or(i64::MAX);
        tensors.u32s("output_ids", vec![1, 1, width], &buffer);
        tensors.u32s(LENGTH, vec![1, 1], &[0]);
        let message = reply.message(tensors);
        if output_ids_len > 0 {
            return Frames::fixed(message, prompt, self.tokens);
        }
        Frames {
            prompt,
            tokens: self.tokens,
            made: Made::Growing(Growing::new(message, u32s_to_bytes(&buffer))),
        }
    }
}

fn u32s(raw: &Bytes) -> Vec<u32> {
    let (elements, _) = raw.as_chunks::<4>();
    elements
        .iter()
        .map(|&element| u32::from_le_bytes(element))
        .collect()
}

/// The frames of one answer.
#[derive(Debug)]
pub(crate) struct Frames {
    prompt: u32,
    tokens: u32,
    made: Made,
}

#[derive(Debug)]
enum Made {
    /// Every frame is these bytes with four others in between.
    Fixed {
        before: Bytes,
        last_before: Bytes,
        after: Bytes,
    },
    /// The ids grow, so each frame is put together anew.
    Growing(Growing),
}

impl Frames {
    /// The place of the length and the flag is found by writing the message
    /// with other values: whatever differs is it.
    fn fixed(mut message: ModelStreamInferResponse, prompt: u32, tokens: u32) -> Self {
        set_length(&mut message, 0);
        let zeros = written(&message);
        set_length(&mut message, u32::MAX);
        let ones = written(&message);
        set_final(&mut message);
        let last = written(&message);
        let differs = zeros.iter().zip(&ones).position(|(zero, one)| zero != one);
        let at = differs.unwrap_or(zeros.len().saturating_sub(4));
        Self {
            prompt,
            tokens,
            made: Made::Fixed {
                before: zeros.slice(..at),
                last_before: last.slice(..at),
                after: zeros.slice(at + 4..),
            },
        }
    }

    /// The frame that says that there are `total` tokens of answer.
    pub(crate) fn frame(&mut self, total: u32) -> Frame {
        let length = self.prompt.saturating_add(total);
        let last = total >= self.tokens;
        match &mut self.made {
            Made::Fixed {
                before,
                last_before,
                after,
            } => Frame {
                before: if last { last_before } else { before }.clone(),
                patch: length.to_le_bytes(),
                patch_read: 0,
                after: after.clone(),
            },
            Made::Growing(growing) => Frame::from(growing.frame(length, last)),
        }
    }
}

/// The parts of an engine's message around its ids, in protobuf's wire format.
#[derive(Debug)]
struct Growing {
    /// The response's fields before its outputs.
    head: Vec<u8>,
    last_head: Vec<u8>,
    /// The output of ids, but for its shape, which comes last in it.
    output: Vec<u8>,
    /// The output of the length, as a field of the response.
    other_output: Vec<u8>,
    ids: Bytes,
}

/// Field 2 of `ModelStreamInferResponse`, of length-delimited bytes.
const RESPONSE: u8 = 2 << 3 | 2;
/// Field 5 of `ModelInferResponse`.
const OUTPUT: u8 = 5 << 3 | 2;
/// Field 6 of it.
const RAW: u8 = 6 << 3 | 2;
/// Field 3 of an output.
const SHAPE: u8 = 3 << 3 | 2;

impl Growing {
    fn new(message: ModelStreamInferResponse, ids: Bytes) -> Self {
        let mut message = message;
        let response = message.infer_response.get_or_insert_default();
        response.raw_output_contents.clear();
        let mut outputs = std::mem::take(&mut response.outputs);
        let head = response.encode_to_vec();
        let other = ModelInferResponse {
            outputs: outputs.split_off(1.min(outputs.len())),
            ..ModelInferResponse::default()
        };
        let mut output = outputs.pop().unwrap_or_default();
        output.shape.clear();
        set_final(&mut message);
        let last = message.infer_response.unwrap_or_default();
        Self {
            head,
            last_head: last.encode_to_vec(),
            output: output.encode_to_vec(),
            other_output: other.encode_to_vec(),
            ids,
        }
    }

    /// The message with the first `length` ids.
    fn frame(&self, length: u32, last: bool) -> Bytes {
        let head = if last { &self.last_head } else { &self.head };
        let count = usize::try_from(length).unwrap_or(usize::MAX);
        let ids = self.ids.get(..count.saturating_mul(4)).unwrap_or(&self.ids);
        let shape_bytes = 2 + encoded_len_varint(length.into());
        let output_bytes = self.output.len() + 2 + shape_bytes;
        // A tag and its length, each; the raw length of 4 bytes has 6.
        let response_bytes = head.len()
            + (1 + varint_bytes(output_bytes) + output_bytes)
            + self.other_output.len()
            + (1 + varint_bytes(ids.len()) + ids.len())
            + 6;
        let message_bytes = 1 + varint_bytes(response_bytes) + response_bytes;
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + message_bytes);
        bytes.push(0);
        let stated = u32::try_from(message_bytes).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&stated.to_be_bytes());
        put_length(&mut bytes, RESPONSE, response_bytes);
        bytes.extend_from_slice(head);
        put_length(&mut bytes, OUTPUT, output_bytes);
        bytes.extend_from_slice(&self.output);
        put_length(&mut bytes, SHAPE, shape_bytes);
        bytes.extend_from_slice(&[1, 1]);
        encode_varint(length.into(), &mut bytes);
        bytes.extend_from_slice(&self.other_output);
        put_length(&mut bytes, RAW, ids.len());
        bytes.extend_from_slice(ids);
        put_length(&mut bytes, RAW, 4);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.into()
    }
}

fn varint_bytes(length: usize) -> usize {
    encoded_len_varint(u64::try_from(length).unwrap_or(u64::MAX))
}

fn put_length(bytes: &mut Vec<u8>, tag: u8, length: usize) {
    bytes.push(tag);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), bytes);
}

fn set_length(message: &mut ModelStreamInferResponse, length: u32) {
    let Some(response) = &mut message.infer_response else {
        return;
    };
    let mut outputs = response.outputs.iter();
    let at = outputs.position(|output| output.name == LENGTH);
    if let Some(raw) = at.and_then(|at| response.raw_output_contents.get_mut(at)) {
        *raw = Bytes::copy_from_slice(&length.to_le_bytes());
    }
}

fn set_final(message: &mut ModelStreamInferResponse) {
    let response = message.infer_response.as_mut();
    if let Some(flag) = response.and_then(|response| response.parameters.get_mut(FINAL)) {
        flag.parameter_choice = Some(ParameterChoice::BoolParam(true));
    }
}

/// The message with its prefix.
fn written(message: &ModelStreamInferResponse) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

/// A message on its way to the transport: shared bytes around four of its own.
#[derive(Debug)]
pub(crate) struct Frame {
    before: Bytes,
    patch: [u8; 4],
    /// Bytes of the patch that have been read.
    patch_read: usize,
    after: Bytes,
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self {
            before: bytes,
            patch: [0; 4],
            patch_read: 4,
            after: Bytes::new(),
        }
    }
}

impl Frame {
    fn parts(&self) -> [&[u8]; 3] {
        [&self.before, &self.patch[self.patch_read..], &self.after]
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    fn chunk(&self) -> &[u8] {
        let parts = self.parts();
        parts
            .into_iter()
            .find(|part| !part.is_empty())
            .unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        let from_before = count.min(self.before.len());
        self.before.advance(from_before);
        let from_patch = (count - from_before).min(4 - self.patch_read);
        self.patch_read += from_patch;
        self.after.advance(count - from_before - from_patch);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts().into_iter().filter(|part| !part.is_empty());
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests;
