//! Tensors as bytes: elements in a row, and what comes out of a response. Knows how
//! Triton writes them (little endian, strings by a 4-byte length) and no model.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::Span;
use super::layout::{Kind, Often};
use super::proto::DataType;
use super::reply::{Reply, Tensor};
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
    let mut rest = raw.clone();
    while !rest.is_empty() {
        strings.push(split_string(&mut rest)?);
    }
    Some(strings)
}

/// The first of the BYTES elements, empty where there is none; `None` where the
/// bytes do not add up.
fn first_string_of(raw: &Bytes) -> Option<Bytes> {
    let mut rest = raw.clone();
    if rest.is_empty() {
        return Some(Bytes::new());
    }
    let first = split_string(&mut rest)?;
    while !rest.is_empty() {
        split_string(&mut rest)?;
    }
    Some(first)
}

fn split_string(rest: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let end = length.checked_add(4).filter(|&end| end <= rest.len())?;
    Some(rest.split_to(end).slice(4..))
}

/// One output tensor of a response, with its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output<'a> {
    response: &'a Reply,
    tensor: Tensor<'a>,
    raw: Span,
}

/// The output with this name; they come in any order, and declared ones may be
/// absent.
///
/// # Errors
/// [`ErrorKind::Malformed`] when the output is listed without its bytes.
pub(super) fn output<'a>(response: &'a Reply, name: &str) -> Result<Option<Output<'a>>, Error> {
    of_tensor(response, response.tensor(name.as_bytes()), name)
}

/// The output with this name, which has to be there.
///
/// # Errors
/// [`ErrorKind::Malformed`] when it is not.
pub(super) fn required<'a>(response: &'a Reply, name: &str) -> Result<Output<'a>, Error> {
    output(response, name)?.ok_or_else(|| malformed(response, name, "is missing"))
}

/// As [`output()`], for one that is looked for in every message.
///
/// # Errors
/// The same.
#[inline]
pub(super) fn often(response: &Reply, output: Often) -> Result<Option<Output<'_>>, Error> {
    of_tensor(response, response.often(output), output.name())
}

/// As [`required`], for one that is looked for in every message.
///
/// # Errors
/// The same.
#[inline]
pub(super) fn required_often(response: &Reply, output: Often) -> Result<Output<'_>, Error> {
    often(response, output)?.ok_or_else(|| malformed(response, output.name(), "is missing"))
}

#[inline]
fn of_tensor<'a>(
    response: &'a Reply,
    tensor: Option<Tensor<'a>>,
    name: &str,
) -> Result<Option<Output<'a>>, Error> {
    let Some(tensor) = tensor else {
        return Ok(None);
    };
    match tensor.raw {
        Some(raw) => Ok(Some(Output {
            response,
            tensor,
            raw,
        })),
        None => Err(malformed(response, name, "has no bytes")),
    }
}

impl<'a> Output<'a> {
    fn raw(&self) -> &'a [u8] {
        self.response.part(self.raw)
    }

    /// Its only (or first) element, a count.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there is none, it is no whole number, is
    /// negative or beyond 32 bits.
    pub(super) fn count(&self) -> Result<u32, Error> {
        let raw = self.raw();
        let four = || raw.first_chunk::<4>().copied();
        let eight = || raw.first_chunk::<8>().copied();
        let number = match self.tensor.kind {
            Kind::U32 => four().map(u32::from_le_bytes),
            Kind::I32 => four().and_then(|raw| i32::from_le_bytes(raw).try_into().ok()),
            Kind::U64 => eight().and_then(|raw| u64::from_le_bytes(raw).try_into().ok()),
            Kind::I64 => eight().and_then(|raw| i64::from_le_bytes(raw).try_into().ok()),
            Kind::Strings | Kind::Other => None,
        };
        number.ok_or_else(|| self.malformed(&format!("is no count ({})", self.size())))
    }

    /// Elements `from..to` of a tensor of 32-bit ids, little endian; the rest is
    /// not touched, as LMDeploy sends the whole session buffer with every token.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there are fewer than `to`.
    pub(super) fn ids(&self, from: u32, to: u32) -> Result<&'a [[u8; 4]], Error> {
        let part = || {
            let from = usize::try_from(from).ok()?.checked_mul(4)?;
            let to = usize::try_from(to).ok()?.checked_mul(4)?;
            self.raw().get(from..to)
        };
        match part().filter(|_| matches!(self.tensor.kind, Kind::U32 | Kind::I32)) {
            Some(part) => Ok(part.as_chunks::<4>().0),
            None => {
                let what = format!("has no elements {from}..{to} ({})", self.size());
                Err(self.malformed(&what))
            }
        }
    }

    /// Its only (or first) string; a tensor without elements is an empty one.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it holds no strings or they do not add up.
    pub(super) fn string(&self) -> Result<Bytes, Error> {
        if self.tensor.kind != Kind::Strings {
            let kind = String::from_utf8_lossy(self.tensor.datatype);
            return Err(self.malformed(&format!("is {}, not BYTES", excerpt(&kind))));
        }
        let raw = self.response.share(self.raw);
        first_string_of(&raw).ok_or_else(|| {
            let what = format!("has {} bytes that are no strings", raw.len());
            self.malformed(&what)
        })
    }

    fn size(&self) -> String {
        let kind = String::from_utf8_lossy(self.tensor.datatype);
        format!("{} bytes of {}", self.raw().len(), excerpt(&kind))
    }

    #[cold]
    fn malformed(&self, what: &str) -> Error {
        malformed(
            self.response,
            &String::from_utf8_lossy(self.tensor.name),
            what,
        )
    }
}

/// An output that makes no sense.
#[cold]
pub(super) fn malformed(response: &Reply, output: &str, what: &str) -> Error {
    let model = String::from_utf8_lossy(response.model());
    Error::new(
        ErrorKind::Malformed,
        format!("output `{output}` of `{}` {what}", excerpt(&model)),
    )
}

#[cfg(test)]
mod tests;
