use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use super::loading::LARGEST_MODEL_BYTES;
use super::*;
use proptest::prelude::*;

const MISTRAL_V1: &[u8] = include_bytes!("../../demo/tokenizer.model");

static MISTRAL: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::from_sentencepiece_bytes(MISTRAL_V1).unwrap());

fn mistral_json() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/tokenizers/mistral-v1-hf"
    );
    fs::read_to_string(Path::new(path).join("tokenizer.json")).unwrap()
}

/// A folder with these files, and the tokenizer in it.
fn load(files: &[(&str, &[u8])]) -> Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    Tokenizer::load(folder.path())
}

fn refusal(files: &[(&str, &[u8])]) -> String {
    format!("{:#}", load(files).err().expect("refused"))
}

/// The smallest `tokenizer.json` of a kind.
fn json(model: &str, rest: &str) -> String {
    format!(r#"{{"version": "1.0", "added_tokens": [], "model": {model}{rest}}}"#)
}

const BYTE_LEVEL: &str = r#"{"type": "BPE", "vocab": {"a": 0, "Ġ": 1, "Ċ": 2, "Ã": 3, "©": 4},
    "merges": []}"#;
const BYTE_LEVEL_STEPS: &str = r#", "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": true}, "decoder": {"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": true}"#;

/// One tokenizer serves all threads.
#[test]
fn tokenizers_are_shared() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Tokenizer>();
}

#[test]
fn sentencepiece_models_know_their_names() {
    let tokenizer = &*MISTRAL;
    assert_eq!(
        tokenizer.describe(),
        "SentencePiece BPE, 32000 pieces, tokenizer.model"
    );
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (Some(1), Some(2)));
    assert_eq!(tokenizer.vocabulary_len(), 32_000);
    assert!(tokenizer.adds_bos());
    let ids = tokenizer.encode("Hello world").unwrap();
    assert_eq!(ids, [22557, 1526]);
    assert_eq!(
        tokenizer.encode_as_served("Hello world").unwrap(),
        [1, 22557, 1526]
    );
    assert_eq!(tokenizer.encode_as_served("").unwrap(), [1]);
    assert_eq!(
        tokenizer.decode_bytes(&[1, 22557, 1526, 13, 2, 99_999]),
        b" Hello world\n"
    );
    // SentencePiece never matches the names of control pieces in text.
    assert!(tokenizer.count("</s>").unwrap() > 1);
}

#[test]
fn the_leading_space_of_an_answer_is_the_dummy_prefix() {
    let tokenizer = &*MISTRAL;
    let count = |text: &str| tokenizer.count_answer(text).unwrap();
    assert_eq!(count(" Hello world"), 2);
    assert_eq!(count("Hello world"), 2);
    assert_eq!(
        count("  Hello world"),
        tokenizer.count(" Hello world").unwrap()
    );
    assert_eq!(count(""), 0);
    assert_eq!(count(" "), tokenizer.count(" ").unwrap());
    let many: Vec<String> = (1..2000).map(|words| " Hello".repeat(words % 7)).collect();
    let counted = tokenizer.count_answers(&many).unwrap();
    assert_eq!(
        counted,
        many.iter().map(|text| count(text)).collect::<Vec<_>>()
    );
    let internlm = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/tokenizers/internlm-sp"
    );
    let internlm = Tokenizer::load(Path::new(internlm)).unwrap();
    for text in [" Hello", "Hello", "  Hello"] {
        assert_eq!(
            internlm.count_answer(text).unwrap(),
            internlm.count(text).unwrap()
        );
    }
}

#[test]
fn a_tokenizer_json_is_run_as_it_is_written() {
    let settings = br#"{"bos_token": {"content": "<s>"}, "eos_token": "</s>"}"#;
    let files = [
        ("tokenizer.json", mistral_json()),
        ("tokenizer_config.json", String::new()),
    ];
    let tokenizer = load(&[(files[0].0, files[0].1.as_bytes()), (files[1].0, settings)]).unwrap();
    let sentencepiece = &*MISTRAL;
    assert_eq!(
        tokenizer.describe(),
        "Hugging Face BPE, 32000 tokens, tokenizer.json"
    );
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (Some(1), Some(2)));
    assert!(tokenizer.adds_bos() && tokenizer.adds_dummy_prefix);
    for text in ["Hello world", " two  spaces", "é中\0☃\n", ""] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, sentencepiece.encode(text).unwrap(), "{text}");
        assert_eq!(tokenizer.count(text).unwrap() as usize, ids.len());
        let served = tokenizer.encode_as_served(text).unwrap();
        assert_eq!(
            served,
            sentencepiece.encode_as_served(text).unwrap(),
            "{text}"
        );
        assert_eq!(
            tokenizer.decode_bytes(&served),
            sentencepiece.decode_bytes(&served),
            "{text}"
        );
        let answer = format!(" {text}");
        let (ours, theirs) = (
            tokenizer.count_answer(&answer),
            sentencepiece.count_answer(&answer),
        );
        assert_eq!(ours.unwrap(), theirs.unwrap(), "{text}");
    }
    // Here the names of special tokens are special tokens.
    assert_eq!(tokenizer.count("</s>").unwrap(), 1);
    // Without settings, what is put in front of a text is begin of sequence.
    let bare = load(&[("tokenizer.json", files[0].1.as_bytes())]).unwrap();
    assert_eq!(
        (bare.bos_id(), bare.eos_id(), bare.adds_bos()),
        (Some(1), None, true)
    );
}

/// What transformers 4.38.2 gives for "Hello", by class and settings.
#[test]
fn some_classes_obey_the_settings_and_others_the_file() {
    let file = mistral_json();
    for (class, more, ids) in [
        ("LlamaTokenizer", "", &[1, 22557][..]),
        ("LlamaTokenizer", r#", "add_bos_token": false"#, &[22557]),
        (
            "LlamaTokenizerFast",
            r#", "add_eos_token": true"#,
            &[1, 22557, 2],
        ),
        (
            "GemmaTokenizer",
            r#", "add_bos_token": false, "add_eos_token": true"#,
            &[22557, 2],
        ),
        (
            "PreTrainedTokenizerFast",
            r#", "add_bos_token": false"#,
            &[1, 22557],
        ),
        // By LMDeploy, not by transformers.
        ("ChatGLM4Tokenizer", "", &[22557]),
        (
            "PreTrainedTokenizerFast",
            r#", "add_eos_token": true"#,
            &[1, 22557],
        ),
    ] {
        let settings = format!(
            r#"{{"tokenizer_class": "{class}", "bos_token": "<s>", "eos_token": "</s>"{more}}}"#
        );
        let tokenizer = load(&[
            ("tokenizer.json", file.as_bytes()),
            ("tokenizer_config.json", settings.as_bytes()),
        ])
        .unwrap();
        assert_eq!(
            tokenizer.encode_as_served("Hello").unwrap(),
            ids,
            "{settings}"
        );
        assert_eq!(tokenizer.encode("Hello").unwrap(), [22557]);
        assert_eq!(tokenizer.adds_bos(), ids[0] == 1, "{settings}");
    }
}

#[test]
fn byte_level_tokens_are_their_bytes() {
    let file = json(BYTE_LEVEL, BYTE_LEVEL_STEPS);
    let tokenizer = load(&[("tokenizer.json", file.as_bytes())]).unwrap();
    assert_eq!(
        tokenizer.describe(),
        "Hugging Face byte-level BPE, 5 tokens, tokenizer.json"
    );
    let ids = tokenizer.encode("a é\n").unwrap();
    assert_eq!(ids, [0, 1, 3, 4, 2]);
    assert_eq!(tokenizer.decode_bytes(&ids), "a é\n".as_bytes());
    assert_eq!(tokenizer.decode_bytes(&[3, 77]), [0xC3]);
    assert!(!tokenizer.adds_bos() && !tokenizer.adds_dummy_prefix);
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (None, None));
    assert_eq!(tokenizer.encode_as_served("a").unwrap(), [0]);
}

#[test]
fn word_pieces_are_joined_and_padding_and_truncation_are_off() {
    let model = r###"{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "ab": 1, "##c": 2}}"###;
    let steps = r###", "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0,
            "direction": "Right"},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}"###;
    let file = json(model, steps);
    let tokenizer = load(&[("tokenizer.json", file.as_bytes())]).unwrap();
    let ids = tokenizer.encode("abc ab abc").unwrap();
    assert_eq!(ids, [1, 2, 1, 1, 2]);
    assert_eq!(tokenizer.decode_bytes(&ids), b"abc ab abc");
}

/// LMDeploy 0.6.3 and later (`Tokenizer.encode`): of two begin-of-sequence tokens at
/// the start of a prompt one goes, whoever wrote them.
#[test]
fn a_prompt_that_begins_with_begin_of_sequence_gets_no_second_one() {
    let settings = br#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}"#;
    let without = br#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>",
        "add_bos_token": false}"#;
    let file = mistral_json();
    let json = ("tokenizer.json", file.as_bytes());
    let model = ("tokenizer.model", MISTRAL_V1);
    for (first, settings, adds) in [
        (json, &settings[..], 1),
        (model, settings, 1),
        (json, without, 0),
        (model, without, 0),
    ] {
        let tokenizer = load(&[first, ("tokenizer_config.json", settings)]).unwrap();
        let begins = |text: &str| {
            let ids = tokenizer.encode_as_served(text).unwrap();
            ids.iter().take_while(|&&id| id == 1).count()
        };
        assert_eq!(begins("hello"), adds, "{}", first.0);
        assert_eq!(begins("<s>hello"), 1, "{}", first.0);
        assert_eq!(begins("<s><s>hello"), 1 + adds, "{}", first.0);
        assert_eq!(tokenizer.encode("<s><s>").unwrap(), [1, 1]);
    }
    // SentencePiece itself reads no special tokens in text.
    let ids = MISTRAL.encode_as_served("<s>hello").unwrap();
    assert_eq!(ids.iter().filter(|&&id| id == 1).count(), 1);
    assert!(ids.len() > 3);
}

/// As InternLM's first folders: `tokenizer.model` and settings, no `tokenizer.json`.
#[test]
fn settings_beside_a_model_make_special_tokens_of_their_names() {
    let settings = br#"{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "added_tokens_decoder": {"32001": {"content": "<|im_end|>"}}}"#;
    let tokenizer = load(&[
        ("tokenizer.model", MISTRAL_V1),
        ("tokenizer_config.json", settings),
    ])
    .unwrap();
    let plain = &*MISTRAL;
    assert!(
        tokenizer
            .describe()
            .ends_with("tokenizer.model with tokenizer_config.json")
    );
    assert_eq!(tokenizer.encode("Hello</s>").unwrap(), [22557, 2]);
    let mut wanted = vec![32_001];
    wanted.extend(plain.encode(" x").unwrap());
    assert_eq!(tokenizer.encode("<|im_end|> x").unwrap(), wanted);
    assert_eq!(tokenizer.encode_as_served("Hello").unwrap(), [1, 22557]);
    assert_eq!(tokenizer.count("Hello</s>").unwrap(), 2);
    assert_eq!(tokenizer.vocabulary_len(), 32_002);
    assert_eq!(tokenizer.decode_bytes(&[22557, 32_001, 2]), b" Hello");
    let settings = br#"{"bos_token": "<s>", "add_bos_token": false, "add_eos_token": true}"#;
    let tokenizer = load(&[
        ("tokenizer.model", MISTRAL_V1),
        ("tokenizer_config.json", settings),
    ])
    .unwrap();
    assert_eq!((tokenizer.adds_bos(), tokenizer.bos_id()), (false, Some(1)));
    assert_eq!(tokenizer.encode_as_served("Hello").unwrap(), [22557, 2]);
}

#[test]
fn what_cannot_be_loaded_is_refused_with_path_and_file() {
    let unigram: &[u8] =
        include_bytes!("../../../tests/data/tokenizers/sp-unigram-test/tokenizer.model");
    for (files, complaint) in [
        (
            &[("tokenizer.model", unigram)][..],
            "Unigram model; only BPE",
        ),
        (&[("tokenizer.model", b"")], "the file is empty"),
        (
            &[("tokenizer.model", b"\x0A\xFF\xFF")],
            "no SentencePiece model",
        ),
        (&[("tokenizer.model", &MISTRAL_V1[..400_000])], "cut off"),
        (&[("tokenizer.json", b"")], "the file is empty"),
        (&[("tokenizer.json", b"{\"version\"")], "this is not JSON"),
        (
            &[("tokenizer.json", b"{\"version\": \"1.0\"}")],
            "no `tokenizer.json`",
        ),
        (
            &[(
                "tokenizer.json",
                br#"{"version": "1.0", "added_tokens": [], "model": {"type": "BPE",
                    "vocab": {"a": 16777216}, "merges": []}}"#,
            )],
            "\"a\" has the id 16777216",
        ),
        (
            &[(
                "tokenizer.json",
                br#"{"version": "1.0", "added_tokens": [{"id": 4294967294, "content": "<x>"}]}"#,
            )],
            "\"<x>\" has the id 4294967294",
        ),
        (
            &[("tokenizer.json", b"[1]"), ("tokenizer_config.json", b"{")],
            "is not JSON",
        ),
    ] {
        let error = refusal(files);
        assert!(error.contains(complaint), "{complaint}: {error}");
        assert!(error.starts_with("tokenizer `/"), "{error}");
        assert!(
            error.contains(files[0].0) || error.contains("tokenizer_config"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn weights_are_no_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("tokenizer.model")).unwrap();
    file.set_len(LARGEST_MODEL_BYTES + 1).unwrap();
    let error = format!("{:#}", Tokenizer::load(folder.path()).err().unwrap());
    assert!(error.contains("too many for a tokenizer"), "{error}");
}

proptest! {
    /// An answer counts as its tokens, whether the server sent the prefix or not.
    #[test]
    fn answers_count_as_the_ids_that_made_them(text in "[a-z中é\n\u{1F600}][ -~中é\n]{0,60}") {
        let tokenizer = &*MISTRAL;
        let ids = tokenizer.encode(&text).unwrap();
        let sent = String::from_utf8(tokenizer.decode_bytes(&ids)).unwrap();
        prop_assert_eq!(tokenizer.count_answer(&sent).unwrap() as usize, ids.len());
        prop_assert_eq!(tokenizer.count_answer(&text).unwrap() as usize, ids.len());
    }

    /// A damaged `tokenizer.json` is refused, or encodes in some way.
    #[test]
    fn damaged_json_does_no_harm(place: prop::sample::Index, byte: u8, cut: bool) {
        let mut file = json(BYTE_LEVEL, BYTE_LEVEL_STEPS).into_bytes();
        let place = place.index(file.len());
        file[place] = byte;
        if cut {
            file.truncate(place);
        }
        if let Ok(tokenizer) = load(&[("tokenizer.json", &file)]) {
            let ids = tokenizer.encode("a \u{e9}").unwrap_or_default();
            tokenizer.decode_bytes(&ids);
        }
    }
}
