//! Files that leave open how text is cut: which family, and what is refused.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// All single bytes, then `more` tokens that nobody looks at.
fn ranks(more: u32) -> String {
    let bytes = (0..=255_u8).map(|byte| vec![byte]);
    let others = (0..more).map(|number| format!("{number:08}").into_bytes());
    let lines = bytes.chain(others).enumerate();
    lines
        .map(|(rank, token)| format!("{} {rank}\n", STANDARD.encode(token)))
        .collect()
}

fn load(files: &[(&str, &[u8])], family: Option<Family>) -> Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    Tokenizer::load_as(folder.path(), family)
}

fn refusal(files: &[(&str, &[u8])], family: Option<Family>) -> String {
    format!("{:#}", load(files, family).err().expect("refused"))
}

/// `vocab.json` of all bytes and "ab".
fn vocabulary(without: char) -> String {
    let bytes = huggingface::byte_characters().map(|(_, character)| character.to_string());
    let tokens = bytes.chain(["ab".to_owned()]).zip(0_u32..);
    let tokens: std::collections::BTreeMap<_, _> = tokens
        .filter(|(token, _)| *token != without.to_string())
        .collect();
    serde_json::to_string(&tokens).unwrap()
}

#[test]
fn the_family_is_told_by_what_lies_beside_or_by_the_user() {
    let file = ranks(0);
    let file = file.as_bytes();
    let glm: &[u8] = br#"{"tokenizer_class": "ChatGLM4Tokenizer", "eos_token": "<|user|>",
        "added_tokens_decoder": {"300": {"content": "[gMASK]"}, "301": {"content": "<sop>"},
        "302": {"content": "<|user|>"}}}"#;
    for (files, family, description, served) in [
        (
            &[("qwen.tiktoken", file)][..],
            None,
            "qwen tiktoken, 464",
            &[97][..],
        ),
        (
            &[
                ("tokenizer.model", file),
                ("config.json", br#"{"model_type": "llama"}"#),
            ],
            None,
            "llama-3 tiktoken, 512",
            &[256, 97],
        ),
        (
            &[("tokenizer.model", file)],
            Some(Family::Glm4),
            "glm-4 tiktoken, 270",
            &[97],
        ),
        (
            &[("tokenizer.model", file), ("tokenizer_config.json", glm)],
            None,
            "glm-4 tiktoken, 303",
            &[97],
        ),
        (
            &[("x.tiktoken", file)],
            Some(Family::Qwen),
            "qwen tiktoken, 464",
            &[97],
        ),
    ] {
        let tokenizer = load(files, family).unwrap();
        assert!(
            tokenizer.describe().starts_with(description),
            "{}",
            tokenizer.describe()
        );
        assert_eq!(
            tokenizer.encode_as_served("a").unwrap(),
            served,
            "{description}"
        );
    }
    let tokenizer = load(
        &[("tokenizer.model", file), ("tokenizer_config.json", glm)],
        None,
    )
    .unwrap();
    assert_eq!(tokenizer.eos_id(), Some(302));
    assert_eq!(tokenizer.encode("a<|user|>").unwrap(), [97, 302]);
}

/// Llama 3.1 gave ids of 3.0's reserved tokens other names; its settings say which.
#[test]
fn settings_rename_llama_3s_special_tokens() {
    let file = ranks(0);
    let told: &[u8] = br#"{"added_tokens_decoder": {"264": {"content": "<|eom_id|>"},
        "266": {"content": "<|python_tag|>"}, "600": {"content": "<|image|>"}}}"#;
    let files: [(&str, &[u8]); 2] = [
        ("tokenizer.model", file.as_bytes()),
        ("tokenizer_config.json", told),
    ];
    let renamed = load(&files, Some(Family::Llama3)).unwrap();
    let usual = load(&files[..1], Some(Family::Llama3)).unwrap();
    for (text, id) in [
        ("<|eom_id|>", 264),
        ("<|python_tag|>", 266),
        ("<|image|>", 600),
        ("<|eot_id|>", 265),
        ("<|reserved_special_token_250|>", 511),
    ] {
        assert_eq!(renamed.encode(text).unwrap(), [id], "{text}");
        let is_known = usual.count(text).unwrap() == 1;
        assert_eq!(is_known, text.contains("eot") || text.contains("reserved"));
    }
    let reserved = "<|reserved_special_token_4|>";
    assert_eq!(usual.encode(reserved).unwrap(), [264]);
    assert!(renamed.count(reserved).unwrap() > 1);
    assert_eq!(renamed.encode_as_served("a").unwrap(), [256, 97]);
    assert_eq!(
        (usual.vocabulary_len(), renamed.vocabulary_len()),
        (512, 601)
    );
}

#[test]
fn qwen_writes_text_in_normal_form_c_first() {
    let tokenizer = load(&[("qwen.tiktoken", ranks(0).as_bytes())], None).unwrap();
    let ids = tokenizer
        .encode("e\u{301}<|im_end|>\u{338}<|im_end|>")
        .unwrap();
    // The sign that ends the first name becomes another character.
    assert_eq!(
        tokenizer.decode_bytes(&ids),
        "\u{e9}<|im_end|\u{226f}".as_bytes()
    );
    assert_eq!(ids.last(), Some(&258));
}

#[test]
fn unknown_and_wrong_families_are_refused_with_the_flag() {
    let (file, qwens) = (ranks(0), ranks(151_643 - 256));
    let (file, qwens) = (file.as_bytes(), qwens.as_bytes());
    let json = vocabulary(' ');
    let merges: [(&str, &[u8]); 2] = [("vocab.json", json.as_bytes()), ("merges.txt", b"#\na b\n")];
    let glm: &[u8] = br#"{"added_tokens_decoder": {"7": {"content": "[gMASK]"}}}"#;
    for (files, family, complaint) in [
        (
            &[("tokenizer.model", file)][..],
            None,
            "--tokenizer-family qwen`, `llama-3` or `glm-4`",
        ),
        (
            &[("x.tiktoken", file)],
            None,
            "does not say how its model cuts text",
        ),
        (
            &[("tokenizer.model", qwens)],
            Some(Family::Llama3),
            "151643 ranks, which is qwen's vocabulary, not llama-3's",
        ),
        (
            &[("x.tiktoken", file)],
            Some(Family::Gpt2),
            "this is a file of tiktoken ranks",
        ),
        (
            &[("tokenizer.model", file), ("tokenizer_config.json", glm)],
            Some(Family::Glm4),
            "[gMASK] has the id 7 of a rank",
        ),
        (&merges, None, "--tokenizer-family gpt-2` or `qwen-2`"),
        (
            &merges,
            Some(Family::Qwen),
            "the family qwen has tiktoken ranks",
        ),
        (
            &[("tokenizer.json", b"{}")],
            Some(Family::Qwen2),
            "leave out `--tokenizer-family qwen-2`",
        ),
    ] {
        let error = refusal(files, family);
        assert!(error.contains(complaint), "{complaint}: {error}");
        assert!(error.starts_with("tokenizer `/"), "{error}");
    }
    assert!(load(&merges, Some(Family::Gpt2)).is_ok());
}

#[test]
fn broken_files_are_refused_with_their_line() {
    let whole = ranks(0);
    let cut = &whole.as_bytes()[..whole.len() - 15];
    for (files, complaint) in [
        (
            &[("qwen.tiktoken", &b""[..])][..],
            "`qwen.tiktoken`: the file is empty",
        ),
        (
            &[("qwen.tiktoken", b"IQ== 0\nIg== 1\n")],
            "no token for the single byte 0x00",
        ),
        (
            &[("qwen.tiktoken", cut)],
            "line 255: this is not a token in base64",
        ),
        (
            &[("qwen.tiktoken", b"IQ== 0\nIg=! 1\n")],
            "line 2: the token is no base64",
        ),
        (
            &[("qwen.tiktoken", b"IQ== 0\nIg== 0\n")],
            "line 2: rank 0 is there twice",
        ),
        (&[("tekken.json", b"")], "`tekken.json`: the file is empty"),
        (
            &[("tekken.json", br#"{"config": "#)],
            "no tekken vocabulary, or one that was cut off",
        ),
        (
            &[(
                "tekken.json",
                br#"{"config": {"pattern": "\\w+", "default_vocab_size": 9,
                    "default_num_special_tokens": 1}, "vocab": []}"#,
            )],
            "its split pattern is not one that is followed exactly: \\w+",
        ),
    ] {
        let error = refusal(files, None);
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}

#[test]
fn ids_that_no_vocabulary_has_are_refused() {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers");
    let tekken = fs::read(small.join("tekken-small/tekken.json")).unwrap();
    let tekken: serde_json::Value = serde_json::from_slice(&tekken).unwrap();
    let config = |vocabulary: u64, specials: u64| {
        let mut file = tekken.clone();
        file["config"]["default_vocab_size"] = vocabulary.into();
        file["config"]["default_num_special_tokens"] = specials.into();
        file.to_string()
    };
    let both = config(4_294_967_295, 4_294_966_295);
    let alone = config(1 << 25, 1000);
    let file = ranks(0);
    let json = vocabulary(' ').replace("\"ab\":256", "\"ab\":4294967294");
    let decoder: &[u8] = br#"{"added_tokens_decoder": {"4294967294": {"content": "<x>"}}}"#;
    let added: &[u8] = br#"{"<x>": 99999999999}"#;
    for (files, complaint) in [
        (
            &[("tekken.json", both.as_bytes())][..],
            "a vocabulary of 4294967295 ids",
        ),
        (
            &[("tekken.json", alone.as_bytes())],
            "a vocabulary of 33554432 ids",
        ),
        (
            &[
                ("qwen.tiktoken", file.as_bytes()),
                ("tokenizer_config.json", decoder),
            ],
            "tokenizer_config.json`: \"<x>\" has the id 4294967294",
        ),
        (
            &[
                ("qwen.tiktoken", file.as_bytes()),
                ("added_tokens.json", added),
            ],
            "added_tokens.json`: \"<x>\" has the id 99999999999",
        ),
    ] {
        let error = refusal(files, None);
        assert!(error.contains(complaint), "{complaint}: {error}");
        assert!(error.contains("16777216"), "{error}");
    }
    let merges: [(&str, &[u8]); 2] = [("vocab.json", json.as_bytes()), ("merges.txt", b"#\na b\n")];
    let error = refusal(&merges, Some(Family::Gpt2));
    assert!(error.contains("\"ab\" has the id 4294967294"), "{error}");
}

#[test]
fn broken_merges_are_refused_with_their_line() {
    let (json, lacking) = (vocabulary(' '), vocabulary('é'));
    let (json, lacking) = (json.as_bytes(), lacking.as_bytes());
    for (files, complaint) in [
        (
            &[("vocab.json", &b"{"[..]), ("merges.txt", b"#")][..],
            "`vocab.json`: this is not a JSON object",
        ),
        (
            &[("vocab.json", lacking), ("merges.txt", b"#\na b\n")],
            "the single byte 0xE9",
        ),
        (
            &[("vocab.json", json), ("merges.txt", b"")],
            "`merges.txt`: the file is empty",
        ),
        (
            &[("vocab.json", json), ("merges.txt", b"#\n\xFF b\n")],
            "line 2 is no UTF-8",
        ),
        (
            &[("vocab.json", json), ("merges.txt", b"#\nab\n")],
            "line 2 is not two tokens",
        ),
        (
            &[("vocab.json", json), ("merges.txt", b"#\na c\n")],
            "line 2: \"ac\" is not in",
        ),
        (
            &[("vocab.json", json), ("merges.txt", b"#\n")],
            "there are no merges",
        ),
    ] {
        let error = refusal(files, Some(Family::Gpt2));
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
    let twice = String::from_utf8(json.to_vec())
        .unwrap()
        .replace("\"ab\":256", "\"ab\":0");
    let files: [(&str, &[u8]); 2] = [
        ("vocab.json", twice.as_bytes()),
        ("merges.txt", b"#\na b\n"),
    ];
    assert!(refusal(&files, Some(Family::Gpt2)).contains("have the same id 0"));
}

proptest! {
    // Each case compiles split patterns.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A damaged vocabulary is refused, or encodes in some way.
    #[test]
    fn damaged_files_do_no_harm(place: prop::sample::Index, byte: u8, cut: bool, which in 0_usize..3) {
        let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers");
        let tekken = fs::read(small.join("tekken-small/tekken.json")).unwrap();
        let whole = [ranks(20).into_bytes(), tekken, vocabulary(' ').into_bytes()];
        let name = ["qwen.tiktoken", "tekken.json", "vocab.json"][which];
        let mut file = whole[which].clone();
        let place = place.index(file.len());
        file[place] = byte;
        if cut {
            file.truncate(place);
        }
        let files: [(&str, &[u8]); 2] = [(name, &file), ("merges.txt", b"#\na b\n")];
        let family = (which == 2).then_some(Family::Qwen2);
        if let Ok(tokenizer) = load(&files, family) {
            let ids = tokenizer.encode("a \u{e9}<|im_end|>").unwrap_or_default();
            tokenizer.decode_bytes(&ids);
        }
    }
}
