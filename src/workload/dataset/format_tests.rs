//! The formats, their archives and their faults, as tables.

use std::io::Write as _;

use super::tests::{bytes, streamed, texts};
use super::*;

fn read(json: &str) -> Vec<(String, String)> {
    let dataset = bytes(json, None).unwrap();
    let stream = streamed(json).unwrap();
    assert_eq!(texts(&dataset), texts(&stream), "{json}");
    assert_eq!(
        (dataset.records(), dataset.format()),
        (stream.records(), stream.format())
    );
    texts(&dataset)
}

fn pair(prompt: &str, answer: &str) -> (String, String) {
    (prompt.to_owned(), answer.to_owned())
}

#[test]
fn the_first_record_tells_the_format() {
    use DatasetFormat::{JsonlPrompts, OpenAi, ShareGpt};
    for (json, format) in [
        (r#"[{"conversations": []}]"#, ShareGpt),
        (
            r#"{"conversations": [], "messages": 3, "prompt": 4}"#,
            ShareGpt,
        ),
        (r#"[{"prompt": 5, "messages": []}]"#, OpenAi),
        (r#"{"prompt": "x"}"#, JsonlPrompts),
        ("\"x\"\n\"y\"", JsonlPrompts),
        (r#"["x", "y"]"#, JsonlPrompts),
    ] {
        assert_eq!(bytes(json, None).unwrap().format(), format, "{json}");
        assert_eq!(bytes(json, Some(format)).unwrap().format(), format);
    }
    // Once told, the other fields are no longer looked at.
    let both = r#"{"conversations": 7, "prompt": "x", "output_tokens": 5}"#;
    let dataset = bytes(both, Some(JsonlPrompts)).unwrap();
    assert_eq!(texts(&dataset), [pair("x", "5")]);
}

#[test]
fn openai_messages_give_the_users_first_and_the_assistants_next() {
    for (messages, wanted) in [
        (
            r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"}"#,
            pair("a", "b"),
        ),
        (
            r#"{"role":"system","content":"s"},{"role":"user","content":"a"},
               {"role":"assistant","content":"b"},{"role":"user","content":7}"#,
            pair("a", "b"),
        ),
        (
            r#"{"role":"assistant","content":"hello"},{"content":"a","role":"user"},
               {"role":"user","content":"more"},{"role":"assistant","content":"b"}"#,
            pair("a", "b"),
        ),
        (r#"{"role":"user","content":"a"}"#, pair("a", "?")),
        (
            r#"{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[]}"#,
            pair("a", "?"),
        ),
        (
            r#"{"role":"user","content":[{"type":"text","text":"a\n"},{"type":"text","text":"é\""}]},
               {"role":"assistant","content":[]}"#,
            pair("a\né\"", ""),
        ),
    ] {
        let json = format!(r#"{{"id":1,"messages":[{messages}],"tools":[]}}"#);
        assert_eq!(
            read(&format!("[{json},{json}]")),
            [wanted.clone(), wanted.clone()]
        );
        assert_eq!(read(&format!("{json}\n{json}\n")), [wanted.clone(), wanted]);
    }
    assert_eq!(read(r#"{"messages": []}"#), []);
    for (messages, complaint) in [
        (r#"{"content":"a"}"#, "message 0 has no `role`"),
        (r#"{"role":"user"}"#, "message 0 has no `content`"),
        ("7", "message 0 is a number"),
        (
            r#"{"role":"user","content":5}"#,
            "the `content` of message 0 is a number",
        ),
        (
            r#"{"role":"user","content":[{"type":"text"}]}"#,
            "a part without `text`",
        ),
        (r#"{"role":"user","content":[5]}"#, "not a list of parts"),
        (
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#,
            "a part of type `image_url`; only text is benchmarked",
        ),
    ] {
        let json = format!("{{\"messages\":[]}}\n{{\"messages\":[{messages}]}}");
        refused(&json, &["record 1", "line 2", complaint]);
    }
}

/// Refused by slice and stream alike, in the same words.
fn refused(json: impl AsRef<[u8]>, complaints: &[&str]) {
    let slice = format!("{:#}", bytes(json.as_ref(), None).unwrap_err());
    let stream = format!("{:#}", streamed(json.as_ref()).unwrap_err());
    for complaint in complaints {
        assert!(slice.contains(complaint), "{complaint}: {slice}");
        assert!(stream.contains(complaint), "{complaint}: {stream}");
    }
}

#[test]
fn prompts_come_with_a_length_an_answer_or_nothing() {
    let lines = r#"{"prompt": "a", "output_tokens": 7}
{"output_len": 8, "prompt": "b"}
{"prompt": "c", "max_tokens": 9, "completion": "ignored"}

{"prompt": "d", "completion": "four"}
{"prompt": "e", "answer": "five"}
{"prompt": "f", "output": "six"}
{"index": 3, "prompt": "g\tG", "prompt_tokens": 2}
"h"
"#;
    let wanted = [
        pair("a", "7"),
        pair("b", "8"),
        pair("c", "9"),
        pair("d", "four"),
        pair("e", "five"),
        pair("f", "six"),
        pair("g\tG", "?"),
        pair("h", "?"),
    ];
    assert_eq!(read(lines), wanted);
    for (line, complaint) in [
        (r#"{"text": "x"}"#, "it has no `prompt`"),
        (r#"{"prompt": 5}"#, "its `prompt` is a number, not a string"),
        (r#"{"prompt": "x", "output_tokens": 0}"#, "length is 0"),
        (
            r#"{"prompt": "x", "output_tokens": -1}"#,
            "length is -1, not a whole number",
        ),
        (r#"{"prompt": "x", "output_tokens": 1.5}"#, "length is 1.5"),
        (
            r#"{"prompt": "x", "output_tokens": 4294967296}"#,
            "length is 4294967296",
        ),
        (
            r#"{"prompt": "x", "output_tokens": "9"}"#,
            "length is \"9\"",
        ),
        (
            r#"{"prompt": "x", "completion": []}"#,
            "its answer is a list",
        ),
        (r#"{"prompt": "\ud83d"}"#, "half of a UTF-16 pair"),
        (r#""\udc00""#, "half of a UTF-16 pair"),
        ("7", "it is a number"),
        ("prompt", "not JSON"),
        (r#"{"prompt": NaN}"#, "not JSON"),
        (r#"{"prompt": "x""#, "cut off?"),
    ] {
        let json = format!("\"first\"\n\n{line}");
        refused(&json, &["record 1 (the first is 0), line 3", complaint]);
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn archives_are_unpacked_and_damaged_ones_refused() {
    let line = |number| format!("{{\"prompt\": \"prompt {number} é\", \"output_tokens\": 5}}\n");
    let lines: String = (0..30_000).map(line).collect();
    let plain = texts(&bytes(&lines, None).unwrap());
    for pack in [gzip, zstd] {
        let packed = pack(lines.as_bytes());
        assert_eq!(texts(&bytes(&packed, None).unwrap()), plain);
        // Several archives one after the other are one, as `zcat` has it.
        let (first, second) = lines.as_bytes().split_at(10_001);
        let joined = [pack(first), pack(second)].concat();
        assert_eq!(texts(&bytes(joined, None).unwrap()), plain);
        for cut in [packed.len() - 1, packed.len() / 2, 30, 5] {
            let error = format!("{:#}", bytes(&packed[..cut], None).unwrap_err());
            assert!(error.contains("cut off or damaged"), "{cut}: {error}");
        }
        let twice = format!("{:#}", bytes(pack(&packed), None).unwrap_err());
        assert!(twice.contains("an archive within"), "{twice}");
        let error = format!("{:#}", bytes(pack(b"[{\"prompt\": 1}]"), None).unwrap_err());
        assert!(
            error.contains("inside the") && error.contains("record 0"),
            "{error}"
        );
        let error = format!("{:#}", bytes(pack(b""), None).unwrap_err());
        assert!(error.contains("the file is empty"), "{error}");
    }
    let skippable = [
        b"\x50\x2A\x4D\x18\x03\0\0\0abc".to_vec(),
        zstd(lines.as_bytes()),
    ]
    .concat();
    assert_eq!(texts(&bytes(skippable, None).unwrap()), plain);
    let mut wrong = zstd(lines.as_bytes());
    let middle = wrong.len() / 2;
    wrong[middle] ^= 0x55;
    assert!(bytes(wrong, None).is_err());
}

#[test]
fn a_file_of_many_pieces_is_read_as_one_walk_reads_it() {
    let long = "x".repeat(300_000);
    // The text between records stands within a string, too: a false beginning.
    for false_start in ["", "\\n  {\\n    \\\"id\\\":", "},\\n  {"] {
        let record = |number: u32| {
            format!(
                "  {{\n    \"id\": {number},\n    \"conversations\": [{{\"value\": \
                 \"{number} {false_start}\"}}, {{\"value\": \"{long}\", \"y\": [{{}},\n  {{\n    \
                 \"id\": 0}}]}}]\n  }}"
            )
        };
        let records: Vec<String> = (0..90).map(record).collect();
        let json = format!("[\n{}\n]\n", records.join(",\n"));
        assert!(json.len() > 3 * pieces::PIECE_BYTES);
        let dataset = bytes(&json, None).unwrap();
        assert_eq!(dataset.records(), 90);
        assert_eq!(texts(&dataset), texts(&streamed(&json).unwrap()));
        assert_eq!(
            texts(&dataset)[77].0,
            format!("77 {}", unescaped(false_start))
        );
        let broken = json.replacen("\"id\": 80", "\"id\": oops", 1);
        refused(&broken, &["record 80 ", "line 483"]);
    }
}

fn unescaped(text: &str) -> String {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

#[test]
fn a_record_has_a_largest_size() {
    let mut json = b"\"first\"\n{\"prompt\": \"".to_vec();
    json.resize(walk::LARGEST_RECORD_BYTES + 100, b'x');
    refused(&json, &["record 1", "line 2", "more than 64 MiB"]);
}

#[test]
fn white_space_is_nothing() {
    refused(" \n".repeat(5000), &["nothing but white space"]);
}
