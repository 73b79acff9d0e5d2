//! Any bytes as a dataset: refused in words, or read as a plain walk over the
//! whole parsed value reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pairbench::workload::{Dataset, Pair, read_sharegpt_slice};
use serde_json::Value;

/// What the file says, if all of it is JSON that `serde_json` can hold.
fn plainly(value: &Value) -> Option<Dataset> {
    let mut dataset = Dataset::default();
    for record in value.as_array()? {
        dataset.records += 1;
        let text = |turn: &Value| Some(turn.get("value")?.as_str()?.to_owned());
        if let [prompt, answer, ..] = record.get("conversations")?.as_array()?.as_slice() {
            let (prompt, answer) = (text(prompt)?, text(answer)?);
            dataset.pairs.push(Pair { prompt, answer });
        }
    }
    Some(dataset)
}

fuzz_target!(|data: &[u8]| {
    let read = read_sharegpt_slice(data, "fuzz");
    if let Err(error) = &read {
        assert!(format!("{error:#}").len() < 5000, "an error for people");
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        assert_eq!(read.ok(), plainly(&value));
    }
});
