//! The two models of LMDeploy's Triton repository that turn text into ids and
//! back. Knows nothing of the engine.

use std::borrow::Cow;

use bytes::Bytes;

use super::ask::{Call, Inputs};
use super::client::Client;
use super::line::Line;
use super::wire;
use crate::{Error, ErrorKind, TEXT_BYTES_MAX};

/// Name of the model that makes ids of text.
pub(super) const PREPROCESSING: &str = "preprocessing";
/// Name of the model that makes text of ids.
pub(super) const POSTPROCESSING: &str = "postprocessing";

/// The call that [`preprocess`] makes.
///
/// # Errors
/// When the text is too long for a message.
pub(super) fn preprocessing(id: u64, text: &str) -> Result<Bytes, Error> {
    let mut inputs = Inputs::default();
    inputs.text("QUERY", &[1, 1], text);
    let call = Call {
        model: PREPROCESSING,
        id,
        inputs,
        sequence: false,
    };
    call.framed(false)
}

/// The ids of a text, as the server tokenizes it.
///
/// # Errors
/// The server's refusal, or an answer that makes no sense.
pub(super) async fn preprocess(
    client: &Client,
    line: Line,
    call: Bytes,
) -> Result<Vec<u32>, Error> {
    let response = client.infer(line, PREPROCESSING, call).await?;
    let length = wire::required(&response, "REQUEST_INPUT_LEN")?.count()?;
    let ids = wire::required(&response, "INPUT_ID")?.ids(0, length)?;
    Ok(ids.iter().map(|&id| u32::from_le_bytes(id)).collect())
}

/// The text of `ids` from `offset` on, as raw bytes.
///
/// The model's input `sequence_length` is that offset, whatever it is called
/// (LMDeploy v0.2.5). Where the offset is not 0 a real tokenizer puts the
/// space back that begins a word.
///
/// # Errors
/// The server's refusal, or an answer that makes no sense.
pub(super) async fn postprocess(client: &Client, line: Line, call: Bytes) -> Result<Bytes, Error> {
    let response = client.infer(line, POSTPROCESSING, call).await?;
    wire::required(&response, "OUTPUT")?.string()
}

/// The call that [`postprocess`] makes.
///
/// # Errors
/// When the ids are too many for a message.
pub(super) fn postprocessing(
    id: u64,
    ids: &[u32],
    offset: u32,
    skips_special: bool,
) -> Result<Bytes, Error> {
    let width = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let mut inputs = Inputs::default();
    inputs.u32s("TOKENS_BATCH", &[1, 1, width], ids);
    inputs.u32s("sequence_length", &[1, 1], &[offset]);
    if skips_special {
        inputs.i32s("skip_special_tokens", &[1, 1], &[1]);
    }
    let call = Call {
        model: POSTPROCESSING,
        id,
        inputs,
        sequence: false,
    };
    call.framed(false)
}

/// The id that ends a sequence; `None` where there is no preprocessing, or no
/// word that it reads as that id alone.
///
/// LMDeploy's preprocessing knows the word `<EOS>` and answers with that id
/// alone (v0.2.5, `triton_models/preprocessing/1/model.py`); its client takes
/// the first of however many come. A server that answers with more ids took the word for text: then
/// `</s>` is tried, which many tokenizers read as the token itself.
///
/// # Errors
/// The server's refusal of anything but the model.
pub(super) async fn eos_id(client: &Client) -> Result<Option<u32>, Error> {
    let ask = async |word| {
        let call = preprocessing(0, word)?;
        match preprocess(client, client.shared().await?, call).await {
            Ok(ids) => Ok(Some(ids)),
            Err(error) if error.kind == ErrorKind::Model => Ok(None),
            Err(error) => Err(error),
        }
    };
    let Some(by_name) = ask("<EOS>").await? else {
        return Ok(None);
    };
    if let [eos] = by_name[..] {
        return Ok(Some(eos));
    }
    let by_text = ask("</s>").await?.unwrap_or_default();
    match by_text[..] {
        // Alone, or behind the id that begins a sequence.
        [eos] | [_, eos] => Ok(Some(eos)),
        // Part of a word cut in pieces is some other token: better none.
        _ => Ok(None),
    }
}

/// The server's own count of a prompt's tokens; `None` where it has no
/// preprocessing.
///
/// # Errors
/// The server's refusal of the prompt.
pub(super) async fn count_prompt(
    client: &Client,
    id: u64,
    text: &str,
) -> Result<Option<u32>, Error> {
    let ids = prompt_ids(client, id, text).await?;
    Ok(ids.and_then(|ids| u32::try_from(ids.len()).ok()))
}

/// The ids that the server makes of a prompt, not timed; `None` where it has no
/// preprocessing.
///
/// # Errors
/// The server's refusal of the prompt.
pub(super) async fn prompt_ids(
    client: &Client,
    id: u64,
    text: &str,
) -> Result<Option<Vec<u32>>, Error> {
    let call = async {
        let call = preprocessing(id, text)?;
        preprocess(client, client.shared().await?, call).await
    };
    match client.untimed("with its prompt's tokens", call).await {
        Ok(ids) => Ok(Some(ids)),
        Err(error) if error.kind == ErrorKind::Model => Ok(None),
        Err(error) => Err(error),
    }
}

/// The longest run of replacement characters at the end of a text that may
/// still be one character whose bytes have not all come. A longer run is what
/// the model said.
const UNFINISHED_RUN: usize = 16;

/// Whether a piece of text ends within a character: in U+FFFD, which the
/// server's tokenizer puts for bytes that make no character yet, or in a cut
/// UTF-8 sequence.
pub(super) fn is_unfinished(text: &[u8]) -> bool {
    let mut run = 0;
    let mut rest = text;
    while let Some(before) = rest.strip_suffix("\u{fffd}".as_bytes()) {
        rest = before;
        run += 1;
    }
    if run > 0 {
        return run <= UNFINISHED_RUN;
    }
    match std::str::from_utf8(text) {
        Ok(_) => false,
        Err(error) => error.error_len().is_none(),
    }
}

/// Adds a piece to the text of an answer that is not streamed.
///
/// # Errors
/// When it grows beyond all bounds.
pub(super) fn append(whole: &mut String, piece: &str) -> Result<(), Error> {
    if whole.len().saturating_add(piece.len()) > TEXT_BYTES_MAX {
        let words = format!("the answer does not end: it has more than {TEXT_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::Malformed, words));
    }
    whole.push_str(piece);
    Ok(())
}

/// The bytes as text; what is no UTF-8 becomes U+FFFD.
pub(super) fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::is_unfinished;

    #[test]
    fn a_split_character_is_seen_at_the_end_only() {
        for (text, unfinished) in [
            (&b""[..], false),
            (b" w1", false),
            ("\u{6d41}".as_bytes(), false),
            (&"\u{6d41}".as_bytes()[..2], true),
            (&"\u{6d41}".as_bytes()[..1], true),
            (" w1\u{fffd}".as_bytes(), true),
            ("\u{fffd}\u{fffd}\u{fffd}".as_bytes(), true),
            ("\u{fffd} w2".as_bytes(), false),
            (b"\xff w2", false),
            ("\u{fffd}".repeat(17).as_bytes(), false),
        ] {
            assert_eq!(is_unfinished(text), unfinished, "{text:?}");
        }
    }
}
