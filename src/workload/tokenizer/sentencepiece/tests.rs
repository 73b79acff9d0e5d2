use std::sync::LazyLock;

use super::*;
use proptest::prelude::*;

/// One field: tag, then the value as it stands.
fn field(number: u8, wire: u8, value: &[u8]) -> Vec<u8> {
    let tag = u16::from(number) << 3 | u16::from(wire);
    let mut bytes = varint(u64::from(tag));
    bytes.extend_from_slice(value);
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7F {
        bytes.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7F) as u8);
    bytes
}

fn nested(number: u8, message: &[u8]) -> Vec<u8> {
    field(
        number,
        2,
        &[varint(message.len() as u64), message.to_vec()].concat(),
    )
}

fn piece(text: &[u8], score: f32, kind: u64) -> Vec<u8> {
    let parts = [
        nested(1, text),
        field(2, 5, &score.to_le_bytes()),
        field(3, 0, &varint(kind)),
    ];
    nested(1, &parts.concat())
}

const UNK: u64 = 2;
const CONTROL: u64 = 3;
const USER: u64 = 4;
const UNUSED: u64 = 5;
const BYTE: u64 = 6;

/// A BPE model: unk, the pieces, settings; a dummy prefix only where asked for.
fn model(pieces: &[(&str, f32, u64)], extra: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = piece(b"<unk>", 0.0, UNK);
    for (text, score, kind) in pieces {
        bytes.extend(piece(text.as_bytes(), *score, *kind));
    }
    bytes.extend(nested(2, &field(3, 0, &[2])));
    bytes.extend(nested(3, &[field(3, 0, &[0]), field(4, 0, &[0])].concat()));
    bytes.extend(extra.concat());
    bytes
}

fn encode(bytes: &[u8], text: &str) -> Vec<u32> {
    SentencePiece::parse(bytes).unwrap().encode(text)
}

fn refusal(bytes: &[u8]) -> String {
    format!("{:#}", SentencePiece::parse(bytes).err().expect("refused"))
}

const NORMAL: u64 = 1;

#[test]
fn the_highest_score_merges_first_and_the_leftmost_of_equals() {
    let bytes = model(
        &[
            ("a", -9.0, NORMAL), // 1
            ("b", -9.0, NORMAL),
            ("c", -9.0, NORMAL),
            ("ab", -2.0, NORMAL), // 4
            ("bc", -1.0, NORMAL),
            ("aa", -3.0, NORMAL), // 6
            ("abc", -4.0, NORMAL),
        ],
        &[],
    );
    for (text, ids) in [
        ("abc", &[7][..]), // bc, then a + bc
        ("ab", &[4]),
        ("aaa", &[6, 1]),
        ("abab", &[4, 4]),
        ("", &[]),
        ("c", &[3]),
        ("xx", &[0]), // one unknown piece for the run of them
        ("xax", &[0, 1, 0]),
    ] {
        assert_eq!(encode(&bytes, text), ids, "{text}");
    }
}

#[test]
fn user_defined_pieces_are_matched_first_and_never_merge() {
    let bytes = model(
        &[
            ("a", 0.0, NORMAL),    // 1
            ("<e>", 0.0, USER),    // 2
            ("<e>>", 0.0, USER),   // 3
            ("<", 0.0, NORMAL),    // 4
            ("<e>a", 9.0, NORMAL), // 5: never, its half is frozen
            ("e", 0.0, USER),      // 6
            ("ea", 9.0, NORMAL),   // 7: never
        ],
        &[],
    );
    for (text, ids) in [
        ("<e>a", &[2, 1][..]),
        ("<e>>a", &[3, 1]),
        ("<ea", &[4, 6, 1]),
        ("a<e><e>", &[1, 2, 2]),
    ] {
        assert_eq!(encode(&bytes, text), ids, "{text}");
    }
}

#[test]
fn unused_pieces_are_taken_apart_by_the_merges_that_made_them() {
    let bytes = model(
        &[
            ("a", -9.0, NORMAL),  // 1
            ("b", -9.0, NORMAL),  // 2
            ("ab", -2.0, UNUSED), // 3
            ("abab", -3.0, UNUSED),
            ("aba", -2.5, NORMAL), // 5
            ("z", 0.0, UNUSED),    // 6: one character, nothing to take apart
        ],
        &[],
    );
    assert_eq!(encode(&bytes, "ab"), [1, 2]);
    // ab ab -> the turn of "aba" needs ab + a, which the second ab has taken.
    assert_eq!(encode(&bytes, "abab"), [1, 2, 1, 2]);
    assert_eq!(encode(&bytes, "aba"), [5]);
    assert_eq!(encode(&bytes, "z"), [6]);
}

fn all_bytes() -> Vec<Vec<u8>> {
    (0..=255_u8)
        .map(|byte| piece(format!("<0x{byte:02X}>").as_bytes(), 0.0, BYTE))
        .collect()
}

#[test]
fn bytes_stand_for_what_no_piece_covers() {
    let fallback = nested(2, &field(35, 0, &[1]));
    let bytes = model(
        &[("ab", 0.0, NORMAL), ("~", 0.0, CONTROL)],
        &[all_bytes(), vec![fallback]].concat(),
    );
    let sentencepiece = SentencePiece::parse(&bytes).unwrap();
    let byte = |byte: u8| 3 + u32::from(byte);
    // "a" and "b" merge although neither is a piece; alone they are bytes.
    assert_eq!(sentencepiece.encode("aba"), [1, byte(b'a')]);
    assert_eq!(
        sentencepiece.encode("é\0"),
        [byte(0xC3), byte(0xA9), byte(0)]
    );
    // The text of a control piece, or of a byte piece, is only text.
    assert_eq!(sentencepiece.encode("~"), [byte(b'~')]);
    assert_eq!(sentencepiece.count("<0x41>"), 6);
    let mut decoded = Vec::new();
    for id in [byte(0xC3), byte(0xA9), 1, 2, 0, 9999] {
        sentencepiece.decode_into(id, &mut decoded);
    }
    assert_eq!(String::from_utf8(decoded).unwrap(), "éab \u{2047} ");
}

#[test]
fn spaces_are_written_as_the_model_says() {
    let pieces = [
        ("\u{2581}", 0.0, NORMAL),
        ("a", 0.0, NORMAL),
        (" ", 0.0, NORMAL),
    ];
    let prefix = nested(3, &field(3, 0, &[1]));
    assert_eq!(encode(&model(&pieces, &[]), "a a"), [2, 1, 2]);
    assert_eq!(
        encode(&model(&pieces, std::slice::from_ref(&prefix)), "a "),
        [1, 2, 1]
    );
    let unescaped = nested(3, &field(5, 0, &[0]));
    assert_eq!(
        encode(&model(&pieces, &[prefix, unescaped]), "a \u{2581}"),
        [3, 2, 3, 1]
    );
}

#[test]
fn begin_and_end_are_the_control_pieces_of_those_names() {
    let names = [
        ("<s>", 0.0, CONTROL),
        ("</s>", 0.0, CONTROL),
        ("<b>", 0.0, CONTROL),
    ];
    let plain = SentencePiece::parse(&model(&names, &[])).unwrap();
    assert_eq!((plain.bos_id(), plain.eos_id()), (Some(1), Some(2)));
    let renamed = nested(2, &nested(46, b"<b>"));
    let renamed = SentencePiece::parse(&model(&names, &[renamed])).unwrap();
    assert_eq!(renamed.bos_id(), Some(3));
    let none = SentencePiece::parse(&model(&[("<s>", 0.0, NORMAL)], &[])).unwrap();
    assert_eq!((none.bos_id(), none.eos_id()), (None, None));
}

#[test]
fn models_that_are_not_followed_exactly_are_refused_with_a_cure() {
    for (extra, complaint) in [
        (nested(2, &field(3, 0, &[1])), "Unigram"),
        (nested(2, &field(3, 0, &[3])), "word model"),
        (nested(2, &field(3, 0, &[4])), "character model"),
        (nested(2, &field(3, 0, &[9])), "unknown type 9"),
        (nested(3, &nested(2, b"map")), "rewrites text"),
        (nested(3, &field(4, 0, &[1])), "drops extra white space"),
        (nested(2, &field(24, 0, &[1])), "behind the word"),
    ] {
        let error = refusal(&model(&[("a", 0.0, NORMAL)], &[extra]));
        assert!(error.contains(complaint), "{error}");
        assert!(
            error.contains("use the model's `tokenizer.json` instead"),
            "{error}"
        );
    }
    let unigram =
        include_bytes!("../../../../tests/data/tokenizers/sp-unigram-test/tokenizer.model");
    assert!(refusal(unigram).contains("a SentencePiece Unigram model"));
}

#[test]
fn broken_models_are_refused_with_the_piece() {
    let unk = || piece(b"<unk>", 0.0, UNK);
    let long = "a".repeat(2000);
    for (bytes, complaint) in [
        (Vec::new(), "the file is empty"),
        (b"hello, world".to_vec(), "no SentencePiece model"),
        (b"{\"version\": \"1.0\"}".to_vec(), "no SentencePiece model"),
        (nested(2, &field(3, 0, &[2])), "holds no pieces"),
        (model(&[("a", 0.0, NORMAL)], &[])[..20].to_vec(), "cut off"),
        (
            model(&[("a", 0.0, NORMAL), ("a", 0.0, CONTROL)], &[]),
            "piece 2 (\"a\") is there twice",
        ),
        (
            model(&[("", 0.0, NORMAL)], &[]),
            "piece 1: its text is empty",
        ),
        (
            model(&[("a", f32::NAN, NORMAL)], &[]),
            "piece 1: its score is not a number",
        ),
        (
            model(&[("a", 0.0, 7)], &[]),
            "piece 1: its type 7 is unknown",
        ),
        (
            model(&[(&long, 0.0, NORMAL)], &[]),
            "piece 1: its text has 2000 bytes",
        ),
        (
            model(&[("<0xZZ>", 0.0, BYTE)], &[]),
            "\"<0xZZ>\" is no byte",
        ),
        (model(&[("<0x0a>", 0.0, BYTE)], &[]), "is no byte"),
        (
            model(&[("<0x0A>", 0.0, BYTE)], &[]),
            "the model does not use bytes",
        ),
        (model(&[], &[unk()]), "is there twice"),
        (
            model(&[], &[piece(b"<unk2>", 0.0, UNK)]),
            "piece 1 is a second unknown piece",
        ),
        (
            model(&[], &[nested(2, &field(35, 0, &[1]))]),
            "has no piece <0x00>",
        ),
        (
            [piece(b"\xFF", 0.0, NORMAL), model(&[], &[])].concat(),
            "piece 0: its text is not UTF-8",
        ),
    ] {
        let error = refusal(&bytes);
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
    let no_unknown = model(&[("a", 0.0, NORMAL)], &[])[unk().len()..].to_vec();
    assert!(refusal(&no_unknown).contains("no unknown piece"));
}

const SMALL: &[u8] =
    include_bytes!("../../../../tests/data/tokenizers/sp-small-unk/tokenizer.model");
static REAL: LazyLock<SentencePiece> = LazyLock::new(|| {
    SentencePiece::parse(include_bytes!("../../../demo/tokenizer.model")).unwrap()
});

/// 300 kB without a place to cut: a quadratic merge would take minutes here.
#[test]
fn models_of_long_pieces_only_are_refused_at_once() {
    let texts: Vec<String> = (0..3000).map(|number| format!("{number:01024}")).collect();
    let pieces: Vec<_> = texts.iter().map(|text| (&**text, 0.0, NORMAL)).collect();
    let error = refusal(&model(&pieces, &[]));
    assert!(error.contains("too many long tokens"), "{error}");
}

#[test]
fn long_words_take_linear_time() {
    let sentencepiece = &*REAL;
    let random: String = "abacbcabbacc".chars().cycle().take(300_000).collect();
    for text in ["a".repeat(300_000), " ".repeat(300_000), random] {
        let ids = sentencepiece.encode(&text);
        let mut bytes = Vec::new();
        for id in ids {
            sentencepiece.decode_into(id, &mut bytes);
        }
        assert_eq!(bytes.len(), text.len() + 1);
        assert!(bytes[1..] == *text.as_bytes());
    }
}

#[test]
fn threads_share_a_model() {
    let sentencepiece = SentencePiece::parse(SMALL).unwrap();
    let texts: Vec<String> = (0..400)
        .map(|number| format!("the {number} cats he can"))
        .collect();
    let alone: Vec<_> = texts
        .iter()
        .map(|text| sentencepiece.encode(text))
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (text, ids) in texts.iter().zip(&alone) {
                    assert_eq!(sentencepiece.encode(text), *ids);
                }
            });
        }
    });
    assert!(sentencepiece.idle.lock().unwrap().len() <= 5);
}

proptest! {
    /// All of the text comes back; U+2581 is how a space is written.
    #[test]
    fn any_text_comes_back(text in any::<String>(), words in "[ a-zé中]{0,80}") {
        for text in [text, words] {
            let mut bytes = Vec::new();
            for id in REAL.encode(&text) {
                REAL.decode_into(id, &mut bytes);
            }
            let prefix = if text.is_empty() { "" } else { " " };
            let wanted = format!("{prefix}{text}").replace('\u{2581}', " ");
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SentencePiece::parse(&bytes).is_err());
    }

    /// A damaged model is refused, or encodes in some way; it never panics.
    #[test]
    fn damaged_models_do_no_harm(
        damage in proptest::collection::vec((0..SMALL.len(), any::<u8>()), 1..20),
        length in SMALL.len() / 2..=SMALL.len(),
    ) {
        let mut bytes = SMALL.to_vec();
        for (place, byte) in damage {
            bytes[place] = byte;
        }
        if let Ok(sentencepiece) = SentencePiece::parse(&bytes[..length]) {
            let ids = sentencepiece.encode("he can <eoh>> the \u{2581}an ☃☃ ab\0");
            prop_assert!(ids.iter().all(|&id| (id as usize) < sentencepiece.len()));
        }
    }
}
