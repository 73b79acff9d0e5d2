//! A key that is given to pairbench, by whichever way, is nowhere in what it
//! leaves behind, whatever servers say.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;
#[path = "common/echo.rs"]
mod echo;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Desk, Left, Server, dataset, left, tokenizer};
use echo::{Body, Way};

/// Found nowhere else.
const KEY: &str = "sk-Marked0Key1For2The3Test-4567";

/// How it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Environment,
    File,
    Flag,
}

/// A command with the key; a file with it lies on another desk than the one that
/// is searched.
fn keyed(desk: &Desk, vault: &Desk, given: Given, words: &[&str]) -> Command {
    let mut command = desk.command(words);
    match given {
        Given::Environment => command.env("OPENAI_API_KEY", KEY),
        Given::File => {
            let file = vault.write("key", &format!("{KEY}\n"));
            command.args(["--api-key-file", &file])
        }
        Given::Flag => command.args(["--api-key", KEY]),
    };
    command
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Asserts that neither the key nor its begin is in a stream, in a file or in a
/// file's name; how many files were searched.
fn nowhere(desk: &Desk, what: &str, all: &[&Left]) -> usize {
    let begin = &KEY[..9];
    for left in all {
        assert!(!left.out.contains(begin), "{what}: out: {}", left.out);
        assert!(!left.err.contains(begin), "{what}: err: {}", left.err);
        left.no_panic();
    }
    let files = files(&desk.path(""));
    for (name, bytes) in &files {
        assert!(!name.contains(begin), "{what}: {name}");
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().find(|line| line.contains(begin));
        assert!(line.is_none(), "{what}: it is in {name}: {line:?}");
    }
    files.len()
}

/// Runs it, and looks at its command line meanwhile.
fn watched(mut command: Command, given: Given) -> Left {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    if given != Given::Flag && cfg!(target_os = "linux") {
        let file = format!("/proc/{}/cmdline", child.id());
        // For a moment the child is still this program.
        let line = std::iter::repeat_with(|| fs::read(&file).unwrap())
            .take(1_000_000)
            .find(|line| holds(line, "--backend"))
            .unwrap();
        assert!(!holds(&line, KEY), "the key is in the list of processes");
    }
    let output: Output = child.wait_with_output().unwrap();
    left(output)
}

/// `profile` and `compare` of a server that wants the key, and every form of
/// report of what they leave.
fn everything(desk: &Desk, given: Given, address: &str) -> Vec<Left> {
    let (vault, tokenizer, dataset) = (Desk::new(), tokenizer(), dataset());
    let few = [
        "--num-prompts",
        "8",
        "--concurrency",
        "2",
        "--stream_output=true",
    ];
    let profile = [
        "profile",
        "--backend",
        "api_server",
        address,
        &tokenizer,
        &dataset,
    ];
    let profile = keyed(desk, &vault, given, &[&profile[..], &few].concat());
    let arm = format!("api_server={address}");
    let mut all = vec![watched(profile, given)];
    for form in ["text", "md", "json"] {
        let words = ["compare", "--backend", "tis-direct=sim", "--backend", &arm];
        let page = format!("{form}.html");
        let more = ["--blocks", "2", "--format", form, "--html", &page];
        let words = [&words[..], &[&tokenizer, &dataset], &few, &more].concat();
        all.push(watched(keyed(desk, &vault, given, &words), given));
    }
    let runs: Vec<String> = desk
        .runs()
        .iter()
        .map(|run| run.to_str().unwrap().to_owned())
        .collect();
    for form in ["text", "md", "json"] {
        let page = format!("again-{form}.html");
        let mut words = vec![
            "report",
            "--format",
            form,
            "--csv",
            "again.csv",
            "--html",
            &page,
        ];
        words.extend(runs.iter().map(String::as_str));
        all.push(desk.run(&words));
    }
    all
}

#[test]
fn a_key_that_opens_is_left_nowhere() {
    let server = Server::start("api_server", &["--sim-api-key", KEY]);
    for given in [Given::Environment, Given::File, Given::Flag] {
        let desk = Desk::new();
        let all = everything(&desk, given, &server.address);
        for left in &all {
            assert!(left.code <= 1, "{given:?}: {}", left.err);
        }
        let searched = nowhere(
            &desk,
            &format!("{given:?}"),
            &all.iter().collect::<Vec<_>>(),
        );
        assert!(searched > 30, "{searched} files");
    }
}

#[test]
fn a_key_that_is_echoed_is_left_nowhere() {
    for way in [
        Way::Refuses,
        Way::Answers,
        Way::BreaksOff,
        Way::Fails(Body::Json),
        Way::Fails(Body::Html),
        Way::Fails(Body::Long),
        Way::Fails(Body::Redirect),
    ] {
        let address = echo::http(way);
        for given in [Given::Environment, Given::Flag] {
            let (desk, vault) = (Desk::new(), Desk::new());
            let words = [
                "profile",
                "--backend",
                "api_server",
                &address,
                &tokenizer(),
                &dataset(),
                "--num-prompts",
                "4",
                "--concurrency",
                "2",
                "--stream_output=true",
                "--warmup",
                "0",
            ];
            let left = watched(keyed(&desk, &vault, given, &words), given);
            let what = format!("{way:?} {given:?}");
            nowhere(&desk, &what, &[&left]);
            if way == Way::Refuses {
                left.refused(&["Incorrect API key: ***", "--api-key"]);
                continue;
            }
            assert!(left.code <= 1, "{what}: {}", left.err);
            let requests = fs::read_to_string(desk.runs()[0].join("requests.jsonl")).unwrap();
            assert_eq!(requests.lines().count(), 4, "{what}: {requests}");
            assert!(requests.contains("***"), "{what}: {requests}");
            // A wrong server's name and model are words of its own, too.
            let header = fs::read_to_string(desk.runs()[0].join("run.json")).unwrap();
            assert!(header.contains("m-***") && header.contains("gateway ***"));
        }
    }
}

#[test]
fn an_echo_in_the_warm_up_or_over_grpc_is_left_nowhere() {
    let (http, grpc) = (echo::http(Way::Fails(Body::Json)), echo::grpc());
    for (backend, address) in [
        ("api_server", &http),
        ("tis", &grpc),
        ("tis-chatbot", &grpc),
    ] {
        for given in [Given::File, Given::Flag] {
            let (desk, vault) = (Desk::new(), Desk::new());
            let (tokenizer, dataset) = (tokenizer(), dataset());
            let words = [
                "profile",
                "--backend",
                backend,
                address,
                &tokenizer,
                &dataset,
            ];
            let words = [&words[..], &["--num-prompts", "4"]].concat();
            let left = watched(keyed(&desk, &vault, given, &words), given);
            nowhere(&desk, backend, &[&left]);
            left.refused(&["***"]);
        }
    }
}

#[test]
fn a_key_in_an_address_is_refused_and_not_repeated() {
    let desk = Desk::new();
    for backend in ["tis", "api_server"] {
        for address in [
            format!("http://me:{KEY}@h:1"),
            format!("me:{KEY}@h:1"),
            format!("http://h:1/?api_key={KEY}"),
            format!("h:1?api_key={KEY}"),
            format!("https://h:1/#{KEY}"),
        ] {
            let left = desk.profile(backend, &address, &[]);
            left.refused(&[backend, "--api-key-file"]);
            nowhere(&desk, &address, &[&left]);
            let arm = format!("{backend}={address}");
            let left = desk.compare(&[&arm, "tis=sim"], &[]);
            left.refused(&[backend, "--api-key-file"]);
            nowhere(&desk, &arm, &[&left]);
            // As somebody writes it who forgets the name.
            let left = desk.compare(&[&address, "tis=sim"], &[]);
            left.refused(&["--backend"]);
            nowhere(&desk, &address, &[&left]);
        }
    }
}

#[test]
fn neither_help_nor_a_slip_of_the_finger_shows_it() {
    let desk = Desk::new();
    for words in [
        &["--help"][..],
        &["profile", "--help"],
        &["compare", "--help"],
        &["serve", "--help"],
    ] {
        let left = left(
            keyed(&desk, &desk, Given::Environment, words)
                .output()
                .unwrap(),
        );
        assert_eq!(left.code, 0);
        nowhere(&desk, "help", &[&left]);
    }
    for words in [
        [&format!("--apikey={KEY}"), ""],
        ["--apikey", KEY],
        [&format!("--api-key={KEY}"), &format!("--api_key={KEY}")],
        [&format!("--api_key={KEY}"), "--api-key-file=x"],
    ] {
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let left = desk.profile("api_server", "h:1", &words);
        left.refused(&["--api"]);
        nowhere(&desk, "a slip", &[&left]);
    }
}

#[test]
fn a_file_without_a_key_is_named_and_not_repeated() {
    let (desk, vault) = (Desk::new(), Desk::new());
    for (content, part) in [("", "empty"), (&*format!("two {KEY}"), "alone")] {
        let file = vault.write("wrong", content);
        let left = desk.profile("api_server", "h:1", &["--api-key-file", &file]);
        left.refused(&["--api-key-file", part]);
        nowhere(&desk, "a file", &[&left]);
    }
    let left = desk.profile("tis", "h:1", &["--api-key-file", "none"]);
    left.refused(&["--api-key-file none"]);
}

/// Servers' words are data: they choose no folder, run in no page and in no
/// spreadsheet, and move no cursor.
#[test]
fn what_a_server_calls_itself_is_only_words() {
    let hostile = "../../=evil|<script>alert(1)</script>`a`\u{1b}[2J\u{9b}2J\u{202e}@all";
    let server = Server::start("api_server", &["--sim-model", hostile]);
    let desk = Desk::new();
    let arm = format!("api_server={}", server.address);
    let few = [
        "--num-prompts",
        "8",
        "--concurrency",
        "2",
        "--html",
        "page.html",
    ];
    let compared = desk.compare(&["tis-direct=sim", &arm], &few);
    let wrong = desk.profile("api_server", &server.address, &["--model", "other"]);
    wrong.refused(&["other", "evil"]);
    let runs: Vec<String> = desk
        .runs()
        .iter()
        .map(|run| run.to_str().unwrap().to_owned())
        .collect();
    let form = |form: &str| {
        let mut words = vec!["report", "--format", form];
        words.extend(runs.iter().map(String::as_str));
        desk.run(&words)
    };
    let (markdown, json) = (form("md"), form("json"));
    let steering = |text: &str| {
        let wild = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        text.contains(wild)
    };
    for left in [&compared, &wrong, &markdown, &json] {
        assert!(!steering(&left.out), "{}", left.out);
        assert!(!steering(&left.err), "{}", left.err);
    }
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let mut arms = report["arms"].as_array().unwrap().iter();
    let arm = arms.find(|arm| arm["name"] == "api_server").unwrap();
    assert_eq!(arm["setup"]["model"], hostile);
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert!(!steering(&page));
    let mut left_behind: Vec<String> = fs::read_dir(desk.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left_behind.sort();
    assert_eq!(
        left_behind,
        ["page.html", "pairbench-runs", "profile_compare.csv"]
    );
    for run in runs {
        let name = Path::new(&run).file_name().unwrap().to_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(name.chars().all(plain), "{name}");
    }
}
