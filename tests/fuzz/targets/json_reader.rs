//! Any bytes as a dataset, in any format, at once and as a stream: refused in
//! words, or read as a plain walk over the whole parsed value reads it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pairbench::workload::{Answer, Dataset, DatasetFormat, read_dataset_bytes};
use serde_json::Value;

/// Records, and prompt and answer of each pair.
type Content = (u64, Vec<(String, String)>);

/// What the file says in ShareGPT's format, if all of it is JSON that
/// `serde_json` can hold: a list, or the first of its lines.
fn plainly(value: &Value) -> Option<Content> {
    let one = [value.clone()];
    let records = value.as_array().map_or(&one[..], Vec::as_slice);
    let mut pairs = Vec::new();
    for record in records {
        let text = |turn: &Value| Some(turn.get("value")?.as_str()?.to_owned());
        if let [prompt, answer, ..] = record.get("conversations")?.as_array()?.as_slice() {
            pairs.push((text(prompt)?, text(answer)?));
        }
    }
    Some((records.len() as u64, pairs))
}

fn content(dataset: &Dataset) -> Content {
    let pairs = (0..dataset.len()).map(|place| {
        let pair = dataset.pair(place).expect("what was read can be given");
        let answer = match pair.answer {
            Answer::Text(text) => text.into_owned(),
            other => format!("{other:?}"),
        };
        (pair.prompt.into_owned(), answer)
    });
    (dataset.records(), pairs.collect())
}

fn read(data: &[u8], format: Option<DatasetFormat>) -> Option<Content> {
    match read_dataset_bytes(data.to_vec(), format, "fuzz") {
        Ok(dataset) => Some(content(&dataset)),
        Err(error) => {
            assert!(format!("{error:#}").len() < 5000, "an error for people");
            None
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut archive = GzEncoder::new(Vec::new(), Compression::none());
    archive.write_all(data).expect("memory");
    let archive = archive.finish().expect("memory");
    for format in [
        None,
        Some(DatasetFormat::ShareGpt),
        Some(DatasetFormat::OpenAi),
        Some(DatasetFormat::JsonlPrompts),
    ] {
        let at_once = read(data, format);
        if !data.starts_with(&[0x1F, 0x8B]) {
            assert_eq!(read(&archive, format), at_once, "{format:?} as a stream");
        }
        if format == Some(DatasetFormat::ShareGpt)
            && let Ok(value) = serde_json::from_slice::<Value>(data)
        {
            assert_eq!(at_once, plainly(&value));
        }
    }
}
