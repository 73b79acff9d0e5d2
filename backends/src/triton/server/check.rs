//! Is this request one that Triton would hand to the model? Order and words of
//! the objections are those of Triton 2.51, seen on the wire.

use bytes::Bytes;
use tonic::Status;

use super::super::proto::model_infer_request::InferInputTensor;
use super::super::proto::{ModelConfig, ModelInferRequest, ModelInput};
use super::super::wire::{datatype_word, element_bytes, strings_of_bytes};

/// The tensors of a request that passed.
#[derive(Debug)]
pub(super) struct Given {
    tensors: Vec<(String, Bytes)>,
}

impl Given {
    /// An input's bytes.
    pub(super) fn raw(&self, name: &str) -> Option<&Bytes> {
        self.tensors
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, raw)| raw)
    }

    /// An input's 32-bit elements; none where it was not sent.
    pub(super) fn ids(&self, name: &str) -> Vec<u32> {
        let raw = self.raw(name).map(Bytes::as_ref).unwrap_or_default();
        let (elements, _) = raw.as_chunks::<4>();
        elements
            .iter()
            .map(|&element| u32::from_le_bytes(element))
            .collect()
    }

    /// An input's first 32-bit element.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.ids(name).first().copied()
    }

    /// An input's first element of 64 bits.
    pub(super) fn long(&self, name: &str) -> Option<u64> {
        let (elements, _) = self.raw(name)?.as_chunks::<8>();
        elements.first().map(|&element| u64::from_le_bytes(element))
    }

    /// Whether an input's first byte says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.raw(name)
            .and_then(|raw| raw.first())
            .is_some_and(|&byte| byte != 0)
    }

    /// An input's first string.
    pub(super) fn string(&self, name: &str) -> Bytes {
        let strings = self.raw(name).and_then(strings_of_bytes);
        strings
            .and_then(|strings| strings.into_iter().next())
            .unwrap_or_default()
    }
}

/// Checks a request against its model.
///
/// # Errors
/// Triton's status: what is wrong, in its words.
pub(super) fn check(config: &ModelConfig, request: &ModelInferRequest) -> Result<Given, Status> {
    let model = &config.name;
    let id = match request.id.as_str() {
        "" => "<id_unknown>",
        id => id,
    };
    let refuse = |words: String| Status::invalid_argument(format!("[request id: {id}] {words}"));
    let mut tensors = Vec::new();
    for (at, tensor) in request.inputs.iter().enumerate() {
        let Some(raw) = request.raw_input_contents.get(at) else {
            let name = &tensor.name;
            return Err(Status::invalid_argument(format!(
                "unable to find data for input tensor '{name}' for model '{model}' in request."
            )));
        };
        tensors.push((tensor.name.clone(), raw.clone()));
    }
    complete(config, request).map_err(refuse)?;
    for (tensor, (name, raw)) in request.inputs.iter().zip(&tensors) {
        let Some(input) = config.input.iter().find(|input| input.name == *name) else {
            return Err(Status::invalid_argument(format!(
                "unexpected inference input '{name}' for model '{model}'"
            )));
        };
        fits(config, input, tensor).map_err(refuse)?;
        filled(model, tensor, raw).map_err(|words| match words {
            Broken::String(words) => Status::invalid_argument(words),
            Broken::Size(words) => refuse(words),
        })?;
    }
    Ok(Given { tensors })
}

/// Whether the needed inputs are there and no more than there are. Triton
/// itself lets a missing one pass while the count is right; here it does not.
fn complete(config: &ModelConfig, request: &ModelInferRequest) -> Result<(), String> {
    let needed = || config.input.iter().filter(|input| !input.optional);
    let given = |name: &str| request.inputs.iter().any(|tensor| tensor.name == name);
    let missing: Vec<String> = needed()
        .filter(|input| !given(&input.name))
        .map(|input| format!("'{}'", input.name))
        .collect();
    let known = request
        .inputs
        .iter()
        .all(|tensor| config.input.iter().any(|input| input.name == tensor.name));
    let (least, most, got) = (needed().count(), config.input.len(), request.inputs.len());
    // A name that is not known is the first thing that Triton minds.
    if !known || (missing.is_empty() && (least..=most).contains(&got)) {
        return Ok(());
    }
    let expected = if least == most {
        format!("{most}")
    } else {
        format!("number of inputs between {least} and {most}")
    };
    let plural = if least == most { " inputs" } else { "" };
    let mut names: Vec<String> = request
        .inputs
        .iter()
        .map(|tensor| format!("'{}'", tensor.name))
        .collect();
    names.sort_unstable();
    Err(format!(
        "expected {expected}{plural} but got {got} inputs for model '{}'. Got input(s) [{}], but \
         missing required input(s) [{}]. Please provide all required input(s).",
        config.name,
        names.join(","),
        missing.join(",")
    ))
}

fn fits(config: &ModelConfig, input: &ModelInput, tensor: &InferInputTensor) -> Result<(), String> {
    let (model, name) = (&config.name, &input.name);
    let expected = datatype_word(input.data_type());
    if tensor.datatype != expected {
        let known = tensor.datatype == "BYTES" || element_bytes(&tensor.datatype).is_some();
        let got = if known {
            tensor.datatype.as_str()
        } else {
            "<invalid>"
        };
        return Err(format!(
            "inference input '{name}' data-type is '{got}', but model '{model}' expects \
             '{expected}'"
        ));
    }
    let batched = config.max_batch_size > 0;
    let batch = batched.then_some(-1_i64);
    let dims: Vec<i64> = batch
        .into_iter()
        .chain(input.dims.iter().copied())
        .collect();
    let same = dims.len() == tensor.shape.len()
        && dims
            .iter()
            .zip(&tensor.shape)
            .all(|(&dim, &got)| got >= 0 && (dim < 0 || dim == got));
    if !same {
        let list = |dims: &[i64]| {
            let dims: Vec<String> = dims.iter().map(i64::to_string).collect();
            dims.join(",")
        };
        let note = if batched {
            " NOTE: Setting a non-zero max_batch_size in the model config requires a batch \
             dimension to be prepended to each input shape."
        } else {
            ""
        };
        return Err(format!(
            "unexpected shape for input '{name}' for model '{model}'. Expected [{}], got [{}].{note}",
            list(&dims),
            list(&tensor.shape)
        ));
    }
    if batched
        && tensor
            .shape
            .first()
            .is_some_and(|&batch| batch > config.max_batch_size.into())
    {
        return Err(format!(
            "inference request batch-size must be <= {} for '{model}'",
            config.max_batch_size
        ));
    }
    Ok(())
}

/// What is wrong with a tensor's bytes; the first kind names no request.
enum Broken {
    String(String),
    Size(String),
}

fn filled(model: &str, tensor: &InferInputTensor, raw: &Bytes) -> Result<(), Broken> {
    let name = &tensor.name;
    let elements = tensor
        .shape
        .iter()
        .try_fold(1_usize, |product, &dim| {
            product.checked_mul(usize::try_from(dim).ok()?)
        })
        .unwrap_or(usize::MAX);
    if let Some(size) = element_bytes(&tensor.datatype) {
        let expected = elements.saturating_mul(size);
        if raw.len() == expected {
            return Ok(());
        }
        return Err(Broken::Size(format!(
            "input byte size mismatch for input '{name}' for model '{model}'. Expected \
             {expected}, got {}",
            raw.len()
        )));
    }
    match strings_of_bytes(raw) {
        None => {
            let (wanted, have) = incomplete(raw);
            Err(Broken::String(format!(
                "incomplete string data for inference input '{name}', expecting string of length \
                 {wanted} but only {have} bytes available"
            )))
        }
        Some(strings) if strings.len() != elements => Err(Broken::Size(format!(
            "unexpected number of string elements {} for inference input '{name}' for model \
             '{model}', expecting {elements}",
            strings.len()
        ))),
        Some(_) => Ok(()),
    }
}

/// The length that the last string claims, and the bytes that are there.
fn incomplete(raw: &Bytes) -> (u32, usize) {
    let mut rest = raw.as_ref();
    while let Some((prefix, behind)) = rest.split_first_chunk::<4>() {
        let wanted = u32::from_le_bytes(*prefix);
        let whole = usize::try_from(wanted)
            .ok()
            .and_then(|length| behind.get(length..));
        match whole {
            Some(next) => rest = next,
            None => return (wanted, behind.len()),
        }
    }
    (4, rest.len())
}

#[cfg(test)]
mod tests;
