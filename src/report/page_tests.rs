//! Pages of a comparison as they look, what no foreign word may do to them, and
//! how large they get.

use super::agreement_tests::with_sample;
use super::{html, json, markdown, samples, text};
use crate::record::Run;
use crate::stats::fixture::{record, run};

/// As in `text`: `PAIRBENCH_ACCEPT=1` writes the page anew.
fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/report/testdata")
        .join(name);
    if std::env::var_os("PAIRBENCH_ACCEPT").is_some() {
        std::fs::write(&path, found).expect("writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} has changed:\n{found}");
}

/// Tags are closed in order, and nothing is fetched or run.
fn sound(page: &str) {
    for word in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "http:",
        "https:",
        "url(",
        "@import",
        "NaN",
        "javascript:",
    ] {
        assert!(!page.contains(word), "{word} on the page");
    }
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag that ends");
        let name = tag.split([' ', '\n']).next().expect("a name");
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "at {piece}"),
            None if matches!(name, "!DOCTYPE" | "meta" | "br") || tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} never closed");
}

#[test]
fn pages_look_as_they_should() {
    with_sample(&samples::experiment(&[0, 4]), |findings| {
        golden("blocks.txt", &text::compare(findings));
        golden("blocks.md", &markdown::page(findings));
        golden("blocks.json", &json::page(findings));
        golden("blocks.html", &html::page(findings));
    });
}

#[test]
fn a_page_is_sound_and_has_every_chart() {
    for arms in [&[0, 4][..], &[0, 1, 2, 3, 4], &[4]] {
        with_sample(&samples::experiment(arms), |findings| {
            let page = html::page(findings);
            sound(&page);
            let charts = page.matches("<figure>").count();
            let others = arms.len() - 1;
            // Waterfalls, blocks and two scatters per other arm, five more.
            assert_eq!(charts, 2 + others * 3 + 5);
            assert_eq!(page.matches("<details>").count(), charts);
            assert!(page.len() < 700_000, "{} bytes", page.len());
            assert!(
                page.find("<h1").expect("a verdict")
                    < page.find("headline\">").unwrap_or(usize::MAX)
            );
        });
    }
}

#[test]
fn foreign_words_stay_words() {
    let hostile =
        "</td><script>alert(1)</script><img src=x onerror=\"y\">|`a`|@all #1\u{1b}[2J\u{0}\n\n# h";
    let mut runs = samples::experiment(&[0, 4]);
    for run in &mut runs {
        let header = &mut run.header;
        for field in [
            &mut header.server,
            &mut header.model,
            &mut header.address,
            &mut header.dataset,
            &mut header.tokenizer,
            &mut header.tool_version,
            &mut header.backend,
            &mut header.started_utc,
        ] {
            *field = hostile.to_owned();
        }
        header.command = vec![hostile.to_owned(), "```".to_owned()];
        header.client_floor = None;
        header.client_floor_unused = Some(hostile.to_owned());
        let failure = &mut run.records[3];
        failure.outcome = hostile.to_owned();
        failure.error = Some(hostile.to_owned());
        for record in &mut run.records {
            if let Some(hop) = record.hops.get("engine").copied() {
                record.hops.insert(hostile.to_owned(), hop);
            }
        }
    }
    with_sample(&runs, |findings| {
        let page = html::page(findings);
        sound(&page);
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("INVALID: "));
        assert!(page.contains("&lt;script&gt;") && !page.contains('\u{1b}'));
        let page = markdown::page(findings);
        let (before, commands) = page.split_once("````sh").expect("the command");
        assert!(
            !before.contains("<script") && !before.contains("<img") && !before.contains("@all")
        );
        assert!(before.contains("\\<script\\>") && commands.contains("<script>"));
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let broken = |line: &&str| line.starts_with('|') && !(4..=6).contains(&columns(line));
        let rows: Vec<&str> = before.lines().filter(broken).collect();
        assert!(rows.iter().all(|row| columns(row) == 3), "{rows:#?}");
        let report: serde_json::Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        assert_eq!(report["arms"][0]["setup"]["server"], hostile);
    });
}

/// Two arms of 500 requests with 1,000 messages each.
fn a_million_marks() -> Vec<Run> {
    let arm = |slower: u64| {
        let records = (0..500).map(|index| {
            let gap_ns = 20_000_000 + u64::from(index % 7) * 300_000 + slower;
            record(
                index,
                u64::from(index) * 700_000_000,
                40_000_000 + slower,
                gap_ns,
                1_000,
            )
        });
        run(records.collect())
    };
    vec![arm(0), arm(1_000_000)]
}

#[test]
fn a_million_marks_make_a_small_page() {
    with_sample(&a_million_marks(), |findings| {
        let page = html::page(findings);
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        assert!(page.contains("ITL"));
    });
}
