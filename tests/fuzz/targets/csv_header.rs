//! Rows appended to a file that holds anything: it grows by these rows or stays as
//! it was, byte for byte. What was there is there afterwards, and what was appended
//! is read back as it was.

use std::fs;

use pairbench::report::csv::{HEADER, append, check};

pub(crate) fn run(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else {
        return;
    };
    let there = file(kind, content);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rows.csv");
    fs::write(&path, &there).expect("writable");
    let checked = check(&path);
    let unchanged = fs::read(&path).expect("there");
    assert_eq!(unchanged, there, "a check changes nothing");
    let rows = rows(content);
    let appended = append(&path, &rows);
    let found = fs::read(&path).expect("there");
    assert_eq!(
        checked.is_ok(),
        appended.is_ok(),
        "what is checked is what is done"
    );
    let left = fs::read_dir(folder.path()).expect("there").count();
    assert_eq!(left, 1, "no other file is left");
    if let Err(error) = appended {
        let words = format!("{error:#}");
        assert!(words.contains("--csv") && words.len() < 2_000, "{words}");
        assert_eq!(found, there, "what is refused stays as it is");
        return;
    }
    assert!(found.starts_with(&there), "what was there stays");
    let all = records(&found);
    let before = if there.is_empty() {
        vec![HEADER.map(str::to_owned).to_vec()]
    } else {
        records(&there)
    };
    assert_eq!(
        all.len(),
        before.len() + rows.len(),
        "one record for each row"
    );
    assert_eq!(
        all[..before.len()],
        before,
        "what was there is read as before"
    );
    assert_eq!(
        all[before.len()..],
        rows,
        "rows are read as they were written"
    );
}

/// What is there before: a header, or nearly, and anything.
fn file(kind: u8, content: &[u8]) -> Vec<u8> {
    let header = HEADER.join(",");
    match kind & 7 {
        0 => content.to_vec(),
        1 => [b"\xef\xbb\xbf", header.as_bytes(), content].concat(),
        // A header that was cut, or goes on.
        2 => {
            let length = content.first().map_or(0, |&byte| usize::from(byte) * 4);
            let cut = &header.as_bytes()[..length.min(header.len())];
            [cut, content.get(1..).unwrap_or_default()].concat()
        }
        3 => [header.as_bytes(), b"\r\n", content].concat(),
        4 => [header.as_bytes(), b"\n", content].concat(),
        _ => [header.as_bytes(), content].concat(),
    }
}

/// Two rows, one of them with what is hard to write.
fn rows(content: &[u8]) -> [Vec<String>; 2] {
    let plain: Vec<String> = (0..HEADER.len()).map(|place| place.to_string()).collect();
    let mut hard = plain.clone();
    hard[9] = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
    hard[10] = "a \"b\", c".to_owned();
    [plain, hard]
}

fn records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    reader
        .byte_records()
        .map(|record| record.expect("memory").iter().map(text).collect())
        .collect()
}
