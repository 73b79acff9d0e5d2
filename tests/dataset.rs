//! `pairbench dataset` as a user meets it: what it draws, and that a workload
//! is the same by its digest, whoever reads it and in whatever format.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Desk, dataset, tokenizer};

/// The digest on a page.
fn digest(page: &str) -> String {
    let line = page.lines().find_map(|line| line.strip_prefix("workload "));
    line.and_then(|line| line.split(':').next())
        .unwrap_or_else(|| panic!("no digest in\n{page}"))
        .to_owned()
}

fn page(desk: &Desk, more: &[&str]) -> String {
    let tokenizer = tokenizer();
    let mut args = vec!["dataset", &tokenizer];
    args.extend(more);
    let left = desk.run(&args);
    assert_eq!(left.code, 0, "{}", left.err);
    left.out
}

#[test]
fn the_page_says_what_is_there_and_what_would_be_asked() {
    let desk = Desk::new();
    let page = page(&desk, &[&dataset(), "--num-prompts", "50"]);
    for part in [
        "conversations.json: sharegpt",
        "SentencePiece BPE, 32000 pieces",
        "lmdeploy-0.1, seed 0",
        "records in the file",
        "dropped: prompt or answer under 4 tokens",
        "prompt tokens",
        "█",
        "50 requests",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100));
}

/// The digest is that of the row which a run leaves behind.
#[test]
fn the_digest_is_the_runs() {
    let desk = Desk::new();
    let few = ["--num-prompts", "6", "--seed", "7", "--top_p", "0.9"];
    let left = desk.profile("api_server", "sim", &few);
    assert!(left.code <= 1, "{}", left.err);
    let row = std::fs::read_to_string(desk.path("profile_api_server.csv")).unwrap();
    let mut words = vec![dataset()];
    words.extend(few.map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let digest = digest(&page(&desk, &words));
    assert!(row.contains(&digest), "{digest} is not in\n{row}");
}

#[test]
fn an_export_reads_back_to_the_same_digest() {
    let desk = Desk::new();
    for style in ["lmdeploy-0.1", "lmdeploy-0.6.2", "in-order"] {
        let more = [
            "--num-prompts",
            "40",
            "--sampling",
            style,
            "--output-len",
            "33",
            "--seed",
            "3",
            "--export",
            "requests.jsonl",
        ];
        let mut words = vec![dataset()];
        words.extend(more.map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let first = page(&desk, &words);
        assert!(first.contains("requests written to requests.jsonl"));
        let again = page(&desk, &["requests.jsonl", "--export", "second.jsonl"]);
        assert_eq!(digest(&again), digest(&first), "{style}");
        assert!(
            again.contains("jsonl-prompts") && again.contains("40 requests"),
            "{again}"
        );
        let third = page(&desk, &["second.jsonl"]);
        assert_eq!(digest(&third), digest(&first), "{style}");
    }
}

#[test]
fn an_export_to_standard_output_is_nothing_but_lines() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let left = desk.run(&[
        "dataset",
        &tokenizer,
        &dataset,
        "--num-prompts",
        "5",
        "--export",
        "-",
    ]);
    assert_eq!(left.code, 0, "{}", left.err);
    assert_eq!(left.out.lines().count(), 5);
    for line in left.out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["prompt"].is_string() && line["output_tokens"].is_u64());
    }
    assert!(left.err.contains("workload "), "{}", left.err);
}

#[test]
fn standard_input_is_a_dataset() {
    let desk = Desk::new();
    let tokenizer = tokenizer();
    let mut child = desk
        .command(&["dataset", &tokenizer, "-", "--num-prompts", "20"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = std::fs::read(dataset()).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let piped = String::from_utf8(output.stdout).unwrap();
    let read = page(&desk, &[&dataset(), "--num-prompts", "20"]);
    assert!(piped.contains("standard input: sharegpt"), "{piped}");
    assert_eq!(digest(&piped), digest(&read));
}

#[test]
fn the_same_conversations_in_openais_format_are_the_same_work() {
    let desk = Desk::new();
    let turns = |number: u32| {
        (
            format!("Please tell me the story number {number} once more."),
            format!("Once upon a time there were {number} engineers and one clock."),
        )
    };
    let mut sharegpt = Vec::new();
    let mut openai = String::new();
    for number in 0..30 {
        let (ask, answer) = turns(number);
        sharegpt.push(serde_json::json!({"conversations": [{"value": ask}, {"value": answer}]}));
        openai.push_str(&format!(
            "{}\n",
            serde_json::json!({"messages": [{"role": "user", "content": ask},
                {"role": "assistant", "content": answer}]})
        ));
    }
    let list = serde_json::to_string(&sharegpt).unwrap();
    let (a, b) = (desk.write("a.json", &list), desk.write("b.jsonl", &openai));
    let (a, b) = (
        page(&desk, &[&a, "--num-prompts", "12"]),
        page(&desk, &[&b, "--num-prompts", "12"]),
    );
    assert!(a.contains(": sharegpt") && b.contains(": openai"), "{a}{b}");
    assert_eq!(digest(&a), digest(&b));
}

#[test]
fn random_prompts_are_the_seeds_and_have_the_lengths_asked_for() {
    let desk = Desk::new();
    let words = |seed: &'static str| {
        [
            "--dataset-format",
            "random",
            "--random-input-len",
            "64",
            "--random-output-len",
            "32",
            "--random-range-ratio",
            "1",
            "--num-prompts",
            "15",
            "--seed",
            seed,
        ]
    };
    let (one, same, other) = (
        page(&desk, &words("1")),
        page(&desk, &words("1")),
        page(&desk, &words("2")),
    );
    assert_eq!(digest(&one), digest(&same));
    assert_ne!(digest(&one), digest(&other));
    assert!(one.contains("  64 to 64  15  "), "{one}");
    assert!(one.contains("  32 to 32  15  "), "{one}");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    for (words, parts) in [
        (vec![], ["DATASET is missing", "random"]),
        (
            vec![&*dataset, "--dataset-format", "random"],
            ["random", "leave DATASET out"],
        ),
        (
            vec![&*dataset, "--dataset-format", "csv"],
            ["csv", "jsonl-prompts"],
        ),
        (
            vec![&*dataset, "--sampling", "lmdeploy-9"],
            ["lmdeploy-9", "lmdeploy-0.2.6"],
        ),
        (
            vec![&*dataset, "--output-len", "0"],
            ["--output-len 0", "1 or more"],
        ),
        (
            vec![&*dataset, "--min-tokens", "9", "--max-prompt-tokens", "8"],
            ["--min-tokens 9", "--max-prompt-tokens 8"],
        ),
        (
            vec![&*dataset, "--sampling", "lmdeploy-0.2.6"],
            ["1200", "ValueError"],
        ),
        (
            vec![&*dataset, "--prompt", "chat"],
            ["chat_template.jinja", "--prompt raw"],
        ),
        (
            vec![&*dataset, "--tokenizer-family", "bert"],
            ["bert", "qwen"],
        ),
        (
            vec!["--dataset-format", "random", "--random-range-ratio", "2"],
            ["--random-range-ratio 2", "0 to 1"],
        ),
        (
            vec!["--dataset-format", "random", "--output-len", "9"],
            ["--output-len", "--random-output-len"],
        ),
        (
            vec![
                &*dataset,
                "--num-prompts",
                "5",
                "--export",
                "no/such/folder/file",
            ],
            ["--export no/such/folder/file", "cannot be written"],
        ),
    ] {
        let mut args = vec!["dataset", &*tokenizer];
        args.extend(&words);
        let left = desk.run(&args);
        left.refused(&parts);
    }
}

/// A folder with Mistral's tokenizer and a chat template.
fn chat_model(desk: &Desk) -> String {
    let folder = desk.path("model");
    std::fs::create_dir(&folder).unwrap();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tokenizers/mistral-v1-hf");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(from.join(name), folder.join(name)).unwrap();
    }
    let template = "{{ bos_token }}{% for message in messages %}[INST] {{ message['content'] }} \
                    [/INST]{% endfor %}";
    std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn chat_requests_read_back_to_the_same_digest_without_a_warning() {
    let desk = Desk::new();
    let (model, dataset) = (chat_model(&desk), dataset());
    for style in ["lmdeploy-0.1", "lmdeploy-0.6.2"] {
        let first = desk.run(&[
            "dataset",
            &model,
            &dataset,
            "--prompt",
            "chat",
            "--num-prompts",
            "9",
            "--sampling",
            style,
            "--export",
            "chat.jsonl",
        ]);
        let again = desk.run(&["dataset", &model, "chat.jsonl", "--prompt", "chat"]);
        assert_eq!(digest(&again.out), digest(&first.out), "{style}");
        assert!(!again.err.contains("warning"), "{}", again.err);
        let raw = desk.run(&["dataset", &model, "chat.jsonl"]);
        assert_ne!(digest(&raw.out), digest(&first.out), "{style}");
    }
}

/// An export that fails leaves the file as it was.
#[test]
fn a_failed_choice_does_not_touch_the_export() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let old = desk.write("old.jsonl", "mine\n");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&old, desk.path("link.jsonl")).unwrap();
        let left = desk.run(&[
            "dataset",
            &tokenizer,
            &dataset,
            "--num-prompts",
            "2",
            "--export",
            "link.jsonl",
        ]);
        assert_eq!(left.code, 0, "{}", left.err);
        assert!(desk.path("link.jsonl").is_symlink());
        assert_eq!(std::fs::read_to_string(&old).unwrap().lines().count(), 2);
        desk.write("old.jsonl", "mine\n");
    }
    let left = desk.run(&[
        "dataset",
        &tokenizer,
        &dataset,
        "--num-prompts",
        "99999",
        "--export",
        &old,
    ]);
    left.refused(&["99999"]);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "mine\n");
}

/// Begin of sequence is counted by one rule and not by the others: neither may
/// look like other work on one side.
#[test]
fn every_rule_gives_both_sides_the_same_work() {
    let desk = Desk::new();
    for style in ["lmdeploy-0.1", "lmdeploy-0.6.2", "in-order"] {
        let more = [
            "--sampling",
            style,
            "--num-prompts",
            "12",
            "--concurrency",
            "2",
        ];
        let arms = ["tis-direct=sim", "tis=sim", "api_server=sim"];
        let left = desk.compare(&arms, &more);
        assert!(left.code <= 1, "{}", left.err);
        // A busy machine may cost the verdict by rule 4, nothing may by rule 1.
        assert!(!left.out.contains("(rule 1)"), "{style}: {}", left.out);
    }
}
