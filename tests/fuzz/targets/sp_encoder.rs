//! Any text, by five real models: no panic, the ids of the plain reference, and
//! the text comes back out of them.

use std::sync::LazyLock;

use pairbench::workload::Tokenizer;

#[allow(dead_code, reason = "each target needs a part of it")]
#[path = "../../sentencepiece/reference.rs"]
mod reference;

use reference::Reference;

static MODELS: LazyLock<Vec<(Tokenizer, Reference)>> = LazyLock::new(|| {
    let files: [&[u8]; 5] = [
        include_bytes!("../../../src/demo/tokenizer.model"),
        include_bytes!("../../data/tokenizers/sp-small-unk/tokenizer.model"),
        include_bytes!("../../data/tokenizers/sp-small-bytes/tokenizer.model"),
        include_bytes!("../../data/tokenizers/internlm-sp/tokenizer.model"),
        include_bytes!("../../data/tokenizers/mistral-v3-sp/tokenizer.model"),
    ];
    let load = |file| {
        let tokenizer = Tokenizer::from_sentencepiece_bytes(file).expect("a good model");
        (tokenizer, Reference::of(file))
    };
    files.into_iter().map(load).collect()
});

/// The rest as text, or as numbers of pieces that are glued together.
fn text_of(shape: u8, rest: &[u8], reference: &Reference) -> String {
    if shape & 0x80 == 0 {
        return String::from_utf8_lossy(rest).into_owned();
    }
    let numbers = rest.as_chunks::<2>().0.iter();
    let pieces = numbers.map(|&number| {
        let number =
            usize::from(u16::from_le_bytes(number)) * if shape & 0x40 == 0 { 1 } else { 3 };
        let (text, _) = &reference.pieces[number % reference.pieces.len()];
        if shape & 0x20 == 0 {
            text.replace('\u{2581}', " ")
        } else {
            text.replace('\u{2581}', "")
        }
    });
    pieces.collect()
}

pub(crate) fn run(data: &[u8]) {
    // Loaded by the first input, even by an empty one: no later one may pay for it.
    LazyLock::force(&MODELS);
    let Some((&shape, rest)) = data.split_first() else {
        return;
    };
    let (tokenizer, reference) = &MODELS[usize::from(shape & 0x1F) % MODELS.len()];
    let text = text_of(shape, rest, reference);
    let ids = tokenizer
        .encode(&text)
        .expect("SentencePiece refuses no text");
    assert_eq!(ids, reference.encode(&text), "{text:?}");
    assert_eq!(
        tokenizer.encode(&text).expect("again"),
        ids,
        "a second time: {text:?}"
    );
    if reference.byte_fallback {
        let prefix = if reference.add_dummy_prefix && !text.is_empty() {
            " "
        } else {
            ""
        };
        // U+2581 is how a space is written, or three bytes of its own.
        let spaced = |text: &str| text.replace('\u{2581}', " ");
        let decoded = String::from_utf8(tokenizer.decode_bytes(&ids)).expect("whole characters");
        assert_eq!(spaced(&decoded), spaced(&format!("{prefix}{text}")));
    }
}
