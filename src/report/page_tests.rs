//! Pages of a comparison as they look, what no foreign word may do to them, and
//! how large they get.

use super::agreement_tests::with_sample;
use super::{html, json, markdown, samples, text};
use crate::record::{ClientFloor, Encryption, Experiment, Host, Run, RunHeader, TimeLimits};
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
        " style=",
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
        // Too large to keep; written where somebody wants to look at it.
        if let Some(path) = std::env::var_os("PAIRBENCH_PAGE") {
            std::fs::write(path, html::page(findings)).expect("writable");
        }
    });
}

#[test]
fn a_page_is_sound_and_has_every_chart() {
    for arms in [&[0, 4][..], &[0, 1, 2, 3, 4], &[4]] {
        with_sample(&samples::experiment(arms), |findings| {
            let page = html::page(findings);
            sound(&page);
            let charts = page.matches("<figure").count();
            let others = arms.len() - 1;
            // Waterfalls, blocks and two scatters per other arm, five more. The
            // waterfalls' figures stand beside them, the others' are folded.
            assert_eq!(charts, 2 + others * 3 + 5);
            assert_eq!(page.matches("<details>").count(), charts - 2);
            assert!(page.len() < 700_000, "{} bytes", page.len());
            assert!(
                page.find("<h1").expect("a verdict")
                    < page.find("headline\">").unwrap_or(usize::MAX)
            );
        });
    }
}

/// The digest is looked at from outside: a browser compares what it reads
/// between the tags.
#[test]
fn the_policy_lets_the_pages_own_style_in_and_nothing_else() {
    use base64::Engine as _;
    use sha2::Digest as _;
    with_sample(&samples::experiment(&[0, 4]), |findings| {
        let page = html::page(findings);
        let between = |start: &str, end: &str| {
            let (_, rest) = page.split_once(start).expect(start);
            rest.split_once(end).expect(end).0.to_owned()
        };
        let policy = between("Content-Security-Policy\" content=\"", "\"");
        let digest = sha2::Sha256::digest(between("<style>", "</style>"));
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
            )
        );
        assert_eq!(page.matches("<style").count(), 1);
        let before = page.find("<style").expect("one");
        assert!(page.find("http-equiv").expect("one") < before);
    });
}

/// Runs with these words wherever words come from elsewhere.
fn foreign(hostile: &str) -> Vec<Run> {
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
        let host = header.host.as_mut().expect("known");
        (host.cpu, host.system) = (hostile.to_owned(), hostile.to_owned());
        let of = header.experiment.as_mut().expect("an arm");
        of.fail_if = vec![hostile.to_owned()];
        for block in &mut run.blocks {
            for name in [
                ".success_count",
                ".success_ns",
                "_seconds_sum",
                "_seconds_count",
                "_total",
            ] {
                block
                    .server_counters
                    .insert(format!("{hostile}{name}"), 1.0);
            }
        }
        let failure = &mut run.records[3];
        failure.outcome = hostile.to_owned();
        failure.error = Some(hostile.to_owned());
        for record in &mut run.records {
            if let Some(hop) = record.hops.get("engine").copied() {
                record.hops.insert(hostile.to_owned(), hop);
            }
        }
    }
    runs
}

#[test]
fn foreign_words_stay_words() {
    let hostile =
        "</td><script>alert(1)</script><img src=x onerror=\"y\">|`a`|@all #1\u{1b}[2J\u{0}\n\n# h";
    let runs = foreign(hostile);
    with_sample(&runs, |findings| {
        let page = html::page(findings);
        sound(&page);
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("INVALID: "));
        assert!(page.contains("&lt;script&gt;") && !page.contains('\u{1b}'));
        let page = markdown::page(findings);
        let (before, commands) = page.split_once("````sh").expect("the command");
        let tame = before.replace("\\<", "");
        assert!(!tame.contains("<script") && !tame.contains("<img") && !tame.contains("@all"));
        assert!(before.contains("\\<script\\>") && commands.contains("<script>"));
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let broken = |line: &&str| line.starts_with('|') && !(4..=9).contains(&columns(line));
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

/// Names of all fields below `value`, but for the runs' own headers.
fn fields(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, below) in object {
                found.insert(name.clone());
                if name != "setup" && name != "failed_by_kind" {
                    fields(below, found);
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|below| fields(below, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_schemas_page() {
    let page = include_str!("../../docs/report-schema.md");
    let mut runs = samples::experiment(&[0, 4]);
    runs.push(samples::troubled());
    with_sample(&runs, |findings| {
        let report = serde_json::from_str(&json::page(findings)).expect("JSON");
        let mut found = std::collections::BTreeSet::new();
        fields(&report, &mut found);
        assert!(found.len() > 60, "{found:?}");
        for field in found {
            assert!(page.contains(&format!("`{field}`")), "`{field}` is nowhere");
        }
    });
}

/// A run's header with nothing left out.
fn whole_header() -> RunHeader {
    let text = || Some("text".to_owned());
    RunHeader {
        encryption: Some(Encryption::default()),
        unordered_model: text(),
        chat_template: text(),
        prompt_parting: text(),
        inserted_tokens: Some(1),
        host: Some(Host {
            online_cores: Some(1),
            system: "Linux".to_owned(),
            ..Host::default()
        }),
        time_limits: Some(TimeLimits::default()),
        client_floor: Some(ClientFloor::default()),
        client_floor_unused: text(),
        experiment: Some(Experiment {
            precision: Some(0.1),
            blocks_wanted: Some(1),
            max_time_s: Some(1.0),
            primary: vec![String::new()],
            fail_if: vec![String::new()],
            shared_host: text(),
            ..Experiment::default()
        }),
        ..RunHeader::default()
    }
}

#[test]
fn every_field_of_a_setup_is_in_the_schemas_page() {
    let page = include_str!("../../docs/report-schema.md");
    let setup = serde_json::to_value(whole_header()).expect("plain values");
    let mut found = std::collections::BTreeSet::new();
    fields(&setup, &mut found);
    assert!(found.len() > 60, "{found:?}");
    for field in found {
        assert!(page.contains(&format!("`{field}`")), "`{field}` is nowhere");
    }
}

/// Widths of the page's content in frames of these widths, as Chromium lays it
/// out; `None` where there is no Chromium.
fn laid_out(page: &str, widths: &[u32]) -> Option<Vec<(u32, u32)>> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("page.html"), page).expect("written");
    let frames: String = widths
        .iter()
        .map(|width| format!("<iframe src=\"page.html\" style=\"width:{width}px\"></iframe>"))
        .collect();
    let probe = format!(
        "<body>{frames}<p id=\"o\"></p><script>onload=()=>{{for(const f of \
         document.querySelectorAll('iframe')){{const d=f.contentDocument.documentElement;\
         document.getElementById('o').textContent+=d.scrollWidth+' '+d.clientWidth+';'}}}}</script>"
    );
    let path = folder.path().join("probe.html");
    std::fs::write(&path, probe).expect("written");
    let output = std::process::Command::new("timeout")
        .args([
            "60",
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
        ])
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=10000",
        ])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", path.display()))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("CONSOLE"), "an error on the console: {said}");
    let dom = String::from_utf8_lossy(&output.stdout);
    let (_, after) = dom.split_once("<p id=\"o\">")?;
    let (list, _) = after.split_once("</p>")?;
    let pairs = list.split(';').filter_map(|pair| {
        let (scroll, client) = pair.split_once(' ')?;
        Some((scroll.parse().ok()?, client.parse().ok()?))
    });
    Some(pairs.collect())
}

#[test]
fn nothing_is_wider_than_a_phone() {
    let widths = [360, 768, 1_280];
    with_sample(&samples::experiment(&[0, 1, 2, 3, 4]), |findings| {
        let Some(found) = laid_out(&html::page(findings), &widths) else {
            eprintln!("skipped: no Chromium on this machine");
            return;
        };
        assert_eq!(found.len(), widths.len());
        for (scroll, client) in found {
            assert!(scroll <= client, "content {scroll} wide in {client}");
        }
    });
}

#[test]
fn a_host_that_takes_the_cores_is_told_before_any_figure() {
    let mut runs = samples::experiment(&[0, 4]);
    let told = "The host of this virtual machine had its cores for up to";
    for (stolen_ticks, is_told) in [(4, false), (100, true)] {
        let end = runs[1].end.as_mut().expect("it ended");
        end.cores_busy_ticks = Some(300);
        end.cores_stolen_ticks = Some(stolen_ticks);
        with_sample(&runs, |findings| {
            for page in [
                text::compare(findings),
                markdown::page(findings),
                html::page(findings),
            ] {
                let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(words.contains(told), is_told, "{page}");
            }
        });
    }
}
