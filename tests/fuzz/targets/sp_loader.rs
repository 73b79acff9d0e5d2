//! Any bytes as a SentencePiece model: refused, or followed exactly as the plain
//! reference follows it.
//!
//! The input is a text, a zero byte and a model: 16 bits of length come first.

use pairbench::workload::Tokenizer;

#[allow(dead_code, reason = "each target needs a part of it")]
#[path = "../../sentencepiece/reference.rs"]
mod reference;

use reference::Reference;

pub(crate) fn run(data: &[u8]) {
    let Some((&[low, high], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (text, model) = rest.split_at(length);
    let Ok(tokenizer) = Tokenizer::from_sentencepiece_bytes(model) else {
        return;
    };
    let reference = Reference::of(model);
    // All pieces in a row, forwards and backwards, meet merges that the text of
    // the input seldom does.
    let pieces = || {
        reference
            .pieces
            .iter()
            .map(|(text, _)| text.as_str())
            .take(200)
    };
    let texts = [
        String::from_utf8_lossy(text).into_owned(),
        pieces().collect(),
        pieces().rev().collect::<String>().replace('\u{2581}', " "),
    ];
    for text in texts {
        let text: String = text.chars().take(2000).collect();
        let ids = tokenizer
            .encode(&text)
            .expect("SentencePiece refuses no text");
        assert_eq!(ids, reference.encode(&text), "{text:?}");
        tokenizer.decode_bytes(&ids);
    }
}
