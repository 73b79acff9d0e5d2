//! Tensors as bytes: what goes into a request and what comes out of a
//! response. Knows Triton's layout (little endian, strings by a 4-byte length)
//! and no model.

use bytes::{BufMut, Bytes, BytesMut};

use super::proto::model_infer_request::InferInputTensor;
use super::proto::{DataType, ModelInferResponse};
use crate::{Error, ErrorKind, excerpt};

/// The longest message that is taken in, bytes: 64 Mi token ids.
///
/// LMDeploy sends the whole session buffer with every token, 4 bytes for each
/// place of the session: beyond tonic's 4 MiB from a session of a million on.
/// There has to be a limit, as tonic sets memory aside by the length that a
/// message states, before any of it has come.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 256 << 20;

/// The word for a type on tensors: `BYTES`, `UINT32`, ... (ModelConfig says
/// `TYPE_STRING`, `TYPE_UINT32`, which tensors must not).
pub(super) fn datatype_word(kind: DataType) -> &'static str {
    match kind {
        DataType::TypeString => "BYTES",
        other => other.as_str_name().trim_start_matches("TYPE_"),
    }
}

/// Bytes of one element; `None` for strings and unknown words.
pub(super) fn element_bytes(datatype: &str) -> Option<usize> {
    Some(match datatype {
        "BOOL" | "INT8" | "UINT8" => 1,
        "INT16" | "UINT16" | "FP16" | "BF16" => 2,
        "INT32" | "UINT32" | "FP32" => 4,
        "INT64" | "UINT64" | "FP64" => 8,
        _ => return None,
    })
}

/// The input tensors of one request, in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    pub(super) tensors: Vec<InferInputTensor>,
    pub(super) raw: Vec<Bytes>,
}

impl Inputs {
    /// Adds a tensor whose bytes are made already.
    pub(super) fn push(&mut self, name: &str, datatype: &str, shape: Vec<i64>, raw: Bytes) {
        self.tensors.push(InferInputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape,
            ..InferInputTensor::default()
        });
        self.raw.push(raw);
    }

    /// Adds UINT32 values.
    pub(super) fn u32s(&mut self, name: &str, shape: Vec<i64>, values: &[u32]) {
        self.push(name, "UINT32", shape, u32s_to_bytes(values));
    }

    /// Adds INT32 values.
    pub(super) fn i32s(&mut self, name: &str, shape: Vec<i64>, values: &[i32]) {
        let mut raw = BytesMut::with_capacity(4 * values.len());
        for &value in values {
            raw.put_i32_le(value);
        }
        self.push(name, "INT32", shape, raw.freeze());
    }

    /// Adds one UINT64.
    pub(super) fn u64(&mut self, name: &str, shape: Vec<i64>, value: u64) {
        self.push(
            name,
            "UINT64",
            shape,
            Bytes::copy_from_slice(&value.to_le_bytes()),
        );
    }

    /// Adds one FP32.
    pub(super) fn f32(&mut self, name: &str, shape: Vec<i64>, value: f32) {
        self.push(
            name,
            "FP32",
            shape,
            Bytes::copy_from_slice(&value.to_le_bytes()),
        );
    }

    /// Adds one string.
    pub(super) fn text(&mut self, name: &str, shape: Vec<i64>, text: &str) {
        self.push(name, "BYTES", shape, strings_to_bytes(&[text.as_bytes()]));
    }
}

/// UINT32 elements in a row.
pub(super) fn u32s_to_bytes(values: &[u32]) -> Bytes {
    let mut raw = BytesMut::with_capacity(4 * values.len());
    for &value in values {
        raw.put_u32_le(value);
    }
    raw.freeze()
}

/// BYTES elements in a row, each behind its length. A string beyond 4 GiB
/// cannot be said; none is ever made here.
pub(super) fn strings_to_bytes(strings: &[&[u8]]) -> Bytes {
    let mut raw = BytesMut::new();
    for string in strings {
        raw.put_u32_le(u32::try_from(string.len()).unwrap_or(u32::MAX));
        raw.put_slice(string);
    }
    raw.freeze()
}

/// BYTES elements, by their lengths; `None` where the bytes do not add up.
pub(super) fn strings_of_bytes(raw: &Bytes) -> Option<Vec<Bytes>> {
    let mut strings = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let prefix = raw.get(at..at + 4)?;
        let length = u32::from_le_bytes(prefix.try_into().ok()?);
        at += 4;
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        if end > raw.len() {
            return None;
        }
        strings.push(raw.slice(at..end));
        at = end;
    }
    Some(strings)
}

/// One output tensor of a response. Its shape is not looked at: real servers
/// send ranks 0, 1 and 3 where their configuration says 2.
#[derive(Clone, Debug)]
pub(super) struct Output<'a> {
    model: &'a str,
    name: &'a str,
    datatype: &'a str,
    raw: &'a Bytes,
}

/// The output with this name; they come in any order, and declared ones may be
/// absent.
///
/// # Errors
/// [`ErrorKind::Malformed`] when the output is listed without its bytes.
pub(super) fn output<'a>(
    response: &'a ModelInferResponse,
    name: &str,
) -> Result<Option<Output<'a>>, Error> {
    let found = response
        .outputs
        .iter()
        .position(|output| output.name == name);
    let Some(at) = found else { return Ok(None) };
    let tensor = &response.outputs[at];
    let Some(raw) = response.raw_output_contents.get(at) else {
        return Err(malformed(
            &response.model_name,
            &tensor.name,
            "has no bytes",
        ));
    };
    Ok(Some(Output {
        model: &response.model_name,
        name: &tensor.name,
        datatype: &tensor.datatype,
        raw,
    }))
}

/// The output with this name, which has to be there.
///
/// # Errors
/// [`ErrorKind::Malformed`] when it is not.
pub(super) fn required<'a>(
    response: &'a ModelInferResponse,
    name: &str,
) -> Result<Output<'a>, Error> {
    output(response, name)?.ok_or_else(|| malformed(&response.model_name, name, "is missing"))
}

impl Output<'_> {
    /// Its only (or first) element, a count.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there is none, it is no whole number, is
    /// negative or beyond 32 bits.
    pub(super) fn count(&self) -> Result<u32, Error> {
        let first = element_bytes(self.datatype).and_then(|size| self.raw.get(..size));
        let number = match (self.datatype, first) {
            ("UINT32", Some(raw)) => raw.try_into().ok().map(u32::from_le_bytes),
            ("INT32", Some(raw)) => raw
                .try_into()
                .ok()
                .and_then(|raw| u32::try_from(i32::from_le_bytes(raw)).ok()),
            ("UINT64", Some(raw)) => raw
                .try_into()
                .ok()
                .and_then(|raw| u32::try_from(u64::from_le_bytes(raw)).ok()),
            ("INT64", Some(raw)) => raw
                .try_into()
                .ok()
                .and_then(|raw| u32::try_from(i64::from_le_bytes(raw)).ok()),
            _ => None,
        };
        number.ok_or_else(|| {
            let what = format!(
                "is no count ({} bytes of {})",
                self.raw.len(),
                excerpt(self.datatype)
            );
            malformed(self.model, self.name, &what)
        })
    }

    /// Elements `from..to` of a tensor of 32-bit ids; the rest is not touched,
    /// as LMDeploy sends the whole session buffer with every token.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there are fewer than `to`.
    pub(super) fn ids(&self, from: u32, to: u32) -> Result<Vec<u32>, Error> {
        let part = || {
            let from = usize::try_from(from).ok()?.checked_mul(4)?;
            let to = usize::try_from(to).ok()?.checked_mul(4)?;
            self.raw.get(from..to)
        };
        let part = part().filter(|_| matches!(self.datatype, "UINT32" | "INT32"));
        let part = part.ok_or_else(|| {
            let what = format!(
                "has no elements {from}..{to} ({} bytes of {})",
                self.raw.len(),
                excerpt(self.datatype)
            );
            malformed(self.model, self.name, &what)
        })?;
        let (ids, _) = part.as_chunks::<4>();
        Ok(ids.iter().map(|&raw| u32::from_le_bytes(raw)).collect())
    }

    /// Its only (or first) string; a tensor without elements is an empty one.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it holds no strings or they do not add up.
    pub(super) fn string(&self) -> Result<Bytes, Error> {
        if self.datatype != "BYTES" {
            let what = format!("is {}, not BYTES", excerpt(self.datatype));
            return Err(malformed(self.model, self.name, &what));
        }
        let strings = strings_of_bytes(self.raw).ok_or_else(|| {
            let what = format!("has {} bytes that are no strings", self.raw.len());
            malformed(self.model, self.name, &what)
        })?;
        Ok(strings.into_iter().next().unwrap_or_default())
    }
}

/// An output that makes no sense.
pub(super) fn malformed(model: &str, output: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!("output `{output}` of `{}` {what}", excerpt(model)),
    )
}

#[cfg(test)]
mod tests;
