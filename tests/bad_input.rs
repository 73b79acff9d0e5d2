//! What bad input gets: a clear error that names what, where and the cure,
//! exit code 2, and nothing half-written over an older file.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Desk, Server, dataset, tokenizer};

const FEW: &[&str] = &["--num-prompts", "4", "--concurrency", "2"];

fn profile(desk: &Desk, tokenizer: &str, dataset: &str, more: &[&str]) -> common::Left {
    let mut args = vec![
        "profile",
        "--backend",
        "api_server",
        "sim",
        tokenizer,
        dataset,
    ];
    args.extend(more);
    desk.run(&args)
}

#[test]
fn no_such_dataset() {
    let desk = Desk::new();
    let left = profile(&desk, &tokenizer(), "nowhere.json", FEW);
    left.refused(&["nowhere.json", "no such file"]);
}

#[test]
fn a_dataset_that_is_not_json() {
    let desk = Desk::new();
    let file = desk.write("data.json", "[{\"conversations\": oops}]");
    profile(&desk, &tokenizer(), &file, FEW).refused(&["data.json", "line 1"]);
}

#[test]
fn a_dataset_of_another_shape_names_the_record() {
    let desk = Desk::new();
    let good = r#"{"conversations":[{"value":"how are you today?"},{"value":"fine"}]}"#;
    let file = desk.write("data.json", &format!("[{good},{good},{{\"text\":\"x\"}}]"));
    profile(&desk, &tokenizer(), &file, FEW).refused(&["data.json", "record 2", "conversations"]);
}

#[test]
fn a_dataset_with_nothing_left_after_the_filter() {
    let desk = Desk::new();
    let short = r#"{"conversations":[{"value":"hi"},{"value":"ho"}]}"#;
    let file = desk.write("data.json", &format!("[{short},{short}]"));
    profile(&desk, &tokenizer(), &file, FEW).refused(&["filter", "2"]);
}

#[test]
fn more_prompts_than_there_are() {
    let desk = Desk::new();
    let left = desk.profile("api_server", "sim", &["--num-prompts", "100000"]);
    left.refused(&["100000", "--num-prompts"]);
}

#[test]
fn a_tokenizer_that_is_not_there_or_not_known() {
    let desk = Desk::new();
    profile(&desk, "nowhere", &dataset(), FEW).refused(&["nowhere"]);
    let file = desk.write("tokenizer.model", "these are no pieces");
    profile(&desk, &file, &dataset(), FEW).refused(&["tokenizer.model"]);
    let file = desk.write("tokenizer.json", "{\"version\": 1}");
    profile(&desk, &file, &dataset(), FEW).refused(&["tokenizer.json"]);
}

#[test]
fn an_address_where_nobody_listens() {
    // Taken and given back: nobody listens there for the length of the test.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for backend in ["tis", "tis-chatbot", "tis-ensemble", "api_server"] {
        Desk::new()
            .profile(backend, &address, FEW)
            .refused(&[backend, &address]);
    }
    for nonsense in [
        "not an address",
        "127.0.0.1:notaport",
        "host:1:2",
        "ftp://127.0.0.1:1",
    ] {
        for backend in ["tis", "api_server"] {
            Desk::new()
                .profile(backend, nonsense, FEW)
                .refused(&[nonsense]);
        }
    }
}

#[test]
fn the_wrong_protocol_on_the_port() {
    let http = Server::start("api_server", &[]);
    let grpc = Server::start("tis", &[]);
    let desk = Desk::new();
    desk.profile("tis", &http.address, FEW)
        .refused(&["--backend api_server"]);
    desk.profile("api_server", &grpc.address, FEW)
        .refused(&["--backend tis"]);
}

#[test]
fn a_model_that_is_missing() {
    let desk = Desk::new();
    let http = Server::start("api_server", &["--sim-model", "internlm-7b"]);
    let left = desk.profile(
        "api_server",
        &http.address,
        &[FEW, &["--model", "nope"]].concat(),
    );
    left.refused(&["nope", "internlm-7b"]);
    let grpc = Server::start("tis", &[]);
    let left = desk.profile(
        "tis-ensemble",
        &grpc.address,
        &[FEW, &["--model", "nope"]].concat(),
    );
    left.refused(&["nope", "turbomind", "--backend tis"]);
}

#[test]
fn a_wrong_or_missing_key() {
    let desk = Desk::new();
    let server = Server::start("api_server", &["--sim-api-key", "sesame"]);
    let left = desk.profile("api_server", &server.address, FEW);
    left.refused(&["--api-key", "OPENAI_API_KEY"]);
    let left = desk.profile(
        "api_server",
        &server.address,
        &[FEW, &["--api-key", "wr0ng"]].concat(),
    );
    left.refused(&["--api-key"]);
    assert!(!left.err.contains("wr0ng"), "{}", left.err);
    let left = desk.profile(
        "api_server",
        &server.address,
        &[FEW, &["--api-key", "sesame"]].concat(),
    );
    assert!(left.code <= 1, "{}", left.err);
    let mut by_environment = desk.command(&[
        "profile",
        "--backend",
        "api_server",
        &server.address,
        &tokenizer(),
        &dataset(),
        "--num-prompts",
        "4",
    ]);
    let run = by_environment
        .env("OPENAI_API_KEY", "sesame")
        .output()
        .unwrap();
    assert!(common::left(run).code <= 1);
    for file in ["run.json", "requests.jsonl", "recount.json", "end.json"] {
        let text = std::fs::read_to_string(desk.runs()[0].join(file)).unwrap();
        assert!(!text.contains("sesame"), "{file} holds the key");
    }
}

#[test]
fn a_csv_of_another_header_is_left_alone() {
    let desk = Desk::new();
    let old = "a,b\n1,2\n";
    desk.write("old.csv", old);
    let left = desk.profile("api_server", "sim", &[FEW, &["--csv", "old.csv"]].concat());
    left.refused(&["old.csv", "--csv"]);
    assert_eq!(std::fs::read_to_string(desk.path("old.csv")).unwrap(), old);
    assert!(
        !desk.path("pairbench-runs").exists(),
        "refused before anything was made"
    );
}

#[test]
fn numbers_that_make_no_sense() {
    let desk = Desk::new();
    for words in [
        ["--concurrency", "0"],
        ["--concurrency", "-1"],
        ["--num-prompts", "0"],
        ["--num-prompts", "x"],
        ["--top_k", "0"],
        ["--top_p", "0"],
        ["--temperature", "-1"],
        ["--seed", "-1"],
        ["--token-timeout", "0"],
    ] {
        desk.profile("api_server", "sim", &words)
            .refused(&[words[0], words[1]]);
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let desk = Desk::new();
    let left = desk.profile(
        "api_server",
        "sim",
        &[FEW, &["--csv", "no/such/folder/x.csv"]].concat(),
    );
    left.refused(&["no/such/folder", "--csv"]);
    desk.write("file", "");
    let left = desk.profile("api_server", "sim", &[FEW, &["--records", "file"]].concat());
    left.refused(&["file", "--records"]);
}

#[test]
#[cfg(unix)]
fn a_path_that_is_no_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::new();
    let data = desk
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"data-\xff.json"));
    std::fs::copy(dataset(), &data).unwrap();
    let mut command = desk.command(&["profile", "--backend", "api_server", "sim", &tokenizer()]);
    let run = command
        .arg(&data)
        .args(FEW)
        .args(["--sim-per-token-ms", "0.2"])
        .output()
        .unwrap();
    let run = common::left(run);
    run.no_panic();
    assert!(run.code <= 1, "{}", run.err);
}

#[test]
fn a_folder_without_a_run_has_no_report() {
    let desk = Desk::new();
    desk.run(&["report", "."]).refused(&["run.json"]);
}
