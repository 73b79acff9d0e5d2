use std::fs;

use super::*;
use proptest::prelude::*;

pub(super) fn bytes(json: impl AsRef<[u8]>, format: Option<DatasetFormat>) -> Result<Dataset> {
    read_dataset_bytes(json.as_ref().to_vec(), format, "test.json")
}

pub(super) fn streamed(json: impl AsRef<[u8]>) -> Result<Dataset> {
    stream::read(json.as_ref(), None)?.named("test.json")
}

/// Prompts and answers; a length as its digits, nothing as `?`.
pub(super) fn texts(dataset: &Dataset) -> Vec<(String, String)> {
    let pair = |place| {
        let pair = dataset.pair(place).unwrap();
        let answer = match pair.answer {
            Answer::Text(text) => text.into_owned(),
            Answer::Tokens(tokens) => tokens.to_string(),
            Answer::Unknown => "?".to_owned(),
        };
        (pair.prompt.into_owned(), answer)
    };
    (0..dataset.len()).map(pair).collect()
}

/// What is read from memory, and the same from a stream.
fn pairs(json: &str) -> Vec<(String, String)> {
    let pairs = texts(&bytes(json, None).unwrap());
    assert_eq!(texts(&streamed(json).unwrap()), pairs);
    pairs
}

fn error(json: impl AsRef<[u8]>) -> String {
    format!("{:#}", bytes(json, None).unwrap_err())
}

/// A record of these turns, each a JSON value.
fn record(turns: &[&str]) -> String {
    format!(
        r#"{{"id": "x", "conversations": [{}], "tail": [1, {{}}]}}"#,
        turns.join(", ")
    )
}

const HI: &str = r#"{"from": "human", "value": "hi"}"#;
const YO: &str = r#"{"value": "y\no", "from": "gpt"}"#;

#[test]
fn the_first_two_turns_are_kept_and_short_records_dropped() {
    let json = format!(
        "[{}, {}, {}, {}]",
        record(&[]),
        record(&[HI, YO]),
        record(&[HI]),
        record(&[YO, HI, YO, HI])
    );
    assert_eq!(bytes(&json, None).unwrap().records(), 4);
    let pair = |prompt: &str, answer: &str| (prompt.to_owned(), answer.to_owned());
    assert_eq!(pairs(&json), [pair("hi", "y\no"), pair("y\no", "hi")]);
    assert_eq!(pairs("[]"), []);
}

#[test]
fn what_python_never_looks_at_is_skipped() {
    let two = [("hi".to_owned(), "y\no".to_owned())];
    for turn in [
        r#"{"value": "\ud83d"}"#,
        "{}",
        "null",
        r#"{"value": null}"#,
        "7",
        "[[[]]]",
    ] {
        assert_eq!(
            pairs(&format!("[{}]", record(&[HI, YO, turn]))),
            two,
            "third: {turn}"
        );
    }
    for turn in [
        "{}",
        "null",
        r#"{"value": null}"#,
        r#"{"value": 1e3}"#,
        "\"text\"",
    ] {
        assert_eq!(pairs(&format!("[{}]", record(&[turn]))), [], "only: {turn}");
    }
    let last_wins = r#"{"value": "no", "value": 5, "value": "hi"}"#;
    assert_eq!(pairs(&format!("[{}]", record(&[last_wins, YO]))), two);
    let again = format!(r#"[{{"conversations": 3, "conversations": [{HI}, {YO}]}}]"#);
    assert_eq!(pairs(&again), two);
    assert_eq!(pairs(&format!("\n [{}]\n\n", record(&[HI, YO]))), two);
}

#[test]
fn another_shape_is_refused_with_its_record() {
    let good = record(&[HI, YO]);
    for (bad, complaint) in [
        ("{}".to_owned(), "it has no `conversations`"),
        (
            r#"{"conversation": []}"#.into(),
            "it has no `conversations`",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "x"}]}"#.into(),
            "it has no `conversations`",
        ),
        (
            r#"{"conversations": null}"#.into(),
            "its `conversations` is null",
        ),
        (
            r#"{"conversations": "x"}"#.into(),
            "its `conversations` is a string",
        ),
        (
            r#"{"conversations": {"a": 1}}"#.into(),
            "its `conversations` is an object",
        ),
        ("\"text\"".into(), "it is a string, not an object"),
        ("[1, 2]".into(), "it is a list, not an object"),
        ("-7".into(), "it is a number"),
        ("1.5".into(), "it is a number"),
        ("true".into(), "it is true or false"),
        (record(&["{}", YO]), "turn 0 has no `value`"),
        (record(&[HI, "5"]), "turn 1 is a number, not an object"),
        (
            record(&[HI, r#"{"value": null}"#]),
            "the `value` of turn 1 is null",
        ),
        (
            record(&[r#"{"value": ["x"]}"#, YO]),
            "the `value` of turn 0 is a list",
        ),
    ] {
        let error = error(format!("[\n{good},\n{good},\n{bad},\n{good}\n]"));
        assert!(
            error.starts_with("dataset `test.json`: record 2 "),
            "{error}"
        );
        assert!(error.contains(complaint), "{error}");
        // A bare value has no end of its own: its line is that of what follows.
        assert!(error.contains("line 4") || !bad.starts_with('{'), "{error}");
    }
}

#[test]
fn another_top_level_is_refused() {
    for (json, complaint) in [
        ("{}", "no `conversations`, no `messages` and no `prompt`"),
        ("{\"data\": []}", "no `conversations`"),
        ("7", "it is a number"),
        ("null", "it is null"),
        ("[[1]]", "it is a list"),
    ] {
        let error = error(json);
        assert!(error.contains(complaint), "{error}");
        assert!(
            error.contains("sharegpt") && error.contains("record 0"),
            "{error}"
        );
    }
}

#[test]
fn what_is_not_json_is_refused_with_line_and_column() {
    let good = record(&[HI, YO]);
    let lone = record(&[HI, r#"{"value": "\ud83d"}"#]);
    let trailing = record(&[HI, r#"{"value": "\udc00 x"}"#]);
    for (json, complaints) in [
        (
            format!("[{good},\n{good}"),
            &["record 2", "line 2", "cut off?"][..],
        ),
        (
            format!("[{good},\n{}", &good[..40]),
            &["record 1", "line 2", "cut off?"],
        ),
        (
            format!("[{good}]\n]"),
            &["not JSON: trailing characters", "line 2, column 1"],
        ),
        (format!("[{good},\n]"), &["trailing comma", "line 2"]),
        (
            format!("[{good},\n{lone}]"),
            &["record 1", "UTF-16 pair", "drop the record", "line 2"],
        ),
        (
            format!("[{good},\n{trailing}]"),
            &["record 1", "UTF-16 pair", "line 2"],
        ),
        ("[{\"x\": NaN}]".into(), &["record 0", "not JSON"]),
        (
            "hello".into(),
            &["not JSON: expected value", "line 1, column 1"],
        ),
        ("[".repeat(10_000), &["record 0"]),
    ] {
        let error = error(json);
        for complaint in complaints {
            assert!(error.contains(complaint), "{complaint}: {error}");
        }
    }
    let mut bytes = format!("[{}]", record(&[HI, r#"{"value": "@"}"#])).into_bytes();
    *bytes.iter_mut().find(|byte| **byte == b'@').unwrap() = 0xFF;
    assert!(error(bytes).contains("record 0"));
}

#[test]
fn what_begins_like_something_else_is_called_by_its_name() {
    for (bytes, complaint) in [
        (&b"\xEF\xBB\xBF[]"[..], "byte-order mark"),
        (b"\xFF\xFE[\0]\0", "UTF-16"),
        (b"\xFE\xFF\0[\0]", "UTF-16"),
        (b"\x1F\x8B\x08", "gzip"),
        (b"BZh9", "bzip2"),
        (b"PK\x03\x04", "zip"),
        (b"PAR1", "parquet"),
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\n<!DOCTYPE html>", "web page"),
    ] {
        let error = error(bytes);
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn files_are_mapped_and_wrong_paths_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good"), format!("[{}]", record(&[HI, YO]))).unwrap();
    assert_eq!(read_dataset(&path("good"), None).unwrap().len(), 1);
    fs::write(path("empty"), "").unwrap();
    for (name, complaint) in [
        ("absent", "no such file"),
        ("", "this is a folder"),
        ("empty", "the file is empty"),
    ] {
        let error = format!("{:#}", read_dataset(&path(name), None).unwrap_err());
        assert!(error.contains(complaint), "{error}");
        assert!(
            error.contains(&folder.path().display().to_string()),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn devices_and_pipes_are_read_as_streams() {
    for (device, complaint) in [
        ("/dev/null", "the file is empty"),
        ("/dev/zero", "not JSON"),
    ] {
        let error = format!("{:#}", read_dataset(Path::new(device), None).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn a_stream_gives_what_a_slice_gives() {
    let records: Vec<String> = (0..500).map(|_| record(&[HI, YO, HI])).collect();
    let json = format!("[{}]", records.join(",\n"));
    let dataset = streamed(&json).unwrap();
    assert_eq!(texts(&dataset), texts(&bytes(&json, None).unwrap()));
    assert_eq!(dataset.records(), 500);
    let error = format!("{:#}", streamed(&json[..9000]).unwrap_err());
    assert!(error.contains("cut off?"), "{error}");
}

fn bytes_of(json: &[u8]) -> Option<Vec<(String, String)>> {
    bytes(json, None).map(|read| texts(&read)).ok()
}

proptest! {
    #[test]
    fn any_text_survives(prompt in any::<String>(), answer in any::<String>()) {
        let json = serde_json::json!([{"conversations": [{"value": prompt}, {"value": answer}]}]);
        prop_assert_eq!(pairs(&json.to_string()), [(prompt, answer)]);
    }

    #[test]
    fn broken_files_are_refused_and_never_panic(cut in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = format!("[{}, {}]", record(&[HI, YO, HI]), record(&[YO, HI])).into_bytes();
        let place = cut % bytes.len();
        bytes[place] = byte;
        let whole = bytes_of(&bytes);
        prop_assert_eq!(whole, streamed(&bytes).map(|read| texts(&read)).ok());
        prop_assert!(bytes_of(&bytes[..place]).is_none());
        prop_assert!(streamed(&bytes[..place]).is_err());
    }
}
