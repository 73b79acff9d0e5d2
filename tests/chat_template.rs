//! `--prompt chat` as a user sees it: both sides get the same tokens, and a
//! server with another template is found out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use std::fs;
use std::path::Path;

use common::{Desk, Server, dataset};

const MISTRAL: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' \
                       %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}";
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + \
                      message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{{ \
                      '<|im_start|>assistant\n' }}";

/// A model's folder with `template`, or with none.
fn folder(desk: &Desk, name: &str, template: Option<&str>) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers/mistral-v1-hf");
    let to = desk.path(name);
    fs::create_dir(&to).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    if let Some(template) = template {
        fs::write(to.join("chat_template.jinja"), template).unwrap();
    }
    to.to_str().unwrap().to_owned()
}

fn compare(desk: &Desk, tokenizer: &str, arms: &[&str]) -> common::Left {
    let dataset = dataset();
    let mut args = vec!["compare", tokenizer, &dataset];
    for arm in arms {
        args.extend(["--backend", arm]);
    }
    args.extend([
        "--prompt",
        "chat",
        "--num-prompts",
        "12",
        "--concurrency",
        "2",
    ]);
    args.extend(["--blocks", "3", "--csv", "x.csv", "--sim-per-token-ms", "1"]);
    let left = desk.run(&args);
    left.no_panic();
    left
}

#[test]
fn all_arms_get_the_same_tokens() {
    let desk = Desk::new();
    let tokenizer = folder(&desk, "model", Some(MISTRAL));
    let arms = [
        "tis=sim",
        "api_server=sim",
        "tis-direct=sim",
        "tis-ensemble=sim",
    ];
    let left = compare(&desk, &tokenizer, &arms);
    assert!(left.code <= 1, "{}{}", left.out, left.err);
    assert!(!left.err.contains("other tokens"), "{}", left.err);
    let rows = desk.rows("x.csv");
    assert_eq!(rows.len(), arms.len());
    for row in &rows {
        assert_eq!(row["prompt_mode"], "chat");
        assert_eq!(row["workload"], rows[0]["workload"]);
        // A busy machine may make the client late; nothing else may be wrong.
        let excused = ["-", "client_slip", "client_cpu", "client_waits"];
        let mut reasons = row["reasons"].split("; ");
        assert!(
            reasons.all(|reason| excused.contains(&reason)),
            "{}",
            row["reasons"]
        );
    }
    let raw = desk.run(&[
        "profile",
        "--backend",
        "api_server",
        "sim",
        &tokenizer,
        &dataset(),
        "--num-prompts",
        "12",
        "--concurrency",
        "2",
        "--csv",
        "y.csv",
        "--sim-per-token-ms",
        "1",
    ]);
    assert!(raw.code <= 1, "{}", raw.err);
    assert_ne!(desk.rows("y.csv")[0]["workload"], rows[0]["workload"]);
    for run in desk.runs().iter().take(arms.len()) {
        let records = fs::read_to_string(run.join("requests.jsonl")).unwrap();
        for line in records.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let planned = record["prompt_tokens"].as_u64().unwrap();
            assert_eq!(record["server_prompt_tokens"], planned + 1, "{line}");
        }
    }
}

#[test]
fn a_server_with_another_template_is_found_and_shown() {
    let desk = Desk::new();
    let ours = folder(&desk, "ours", Some(MISTRAL));
    let theirs = folder(&desk, "theirs", Some(CHATML));
    let server = Server::start_with("api_server", &theirs, &["--sim-per-token-ms", "1"]);
    let arm = format!("api_server={}", server.address);
    let left = compare(&desk, &ours, &["tis=sim", &arm]);
    assert_eq!(left.code, 1, "{}{}", left.out, left.err);
    for words in [
        "INVALID",
        "another chat template",
        "here comes",
        "INST",
        "im_start",
    ] {
        assert!(left.out.contains(words), "`{words}` is not in {}", left.out);
    }
    assert!(
        left.err.contains("other tokens of a prompt: request 0"),
        "{}",
        left.err
    );
}

#[test]
fn a_template_that_is_missing_or_broken_stops_a_run_before_it_begins() {
    let desk = Desk::new();
    let without = folder(&desk, "without", None);
    let left = compare(&desk, &without, &["tis=sim", "api_server=sim"]);
    left.refused(&[
        "--prompt chat: backend tis",
        "chat_template.jinja",
        "--prompt raw",
    ]);
    let alone = desk.run(&[
        "profile",
        "--backend",
        "api_server",
        "sim",
        &without,
        &dataset(),
        "--num-prompts",
        "4",
        "--concurrency",
        "2",
        "--prompt",
        "chat",
        "--sim-per-token-ms",
        "1",
    ]);
    assert!(alone.code <= 1, "{}", alone.err);
    for (name, template, words) in [
        (
            "unknown",
            "\n{{ today() }}",
            ["line 2 of the template", "today is unknown"],
        ),
        (
            "syntax",
            "{% for %}",
            ["line 1 of the template", "syntax error"],
        ),
        (
            "refuses",
            "{{ raise_exception('nobody') }}",
            ["line 1 of the template", "nobody"],
        ),
    ] {
        let tokenizer = folder(&desk, name, Some(template));
        let left = compare(&desk, &tokenizer, &["tis=sim", "api_server=sim"]);
        left.refused(&[&words[..], &["chat_template.jinja"]].concat());
    }
}
