//! Encrypted servers on both protocols, through real TLS: who is trusted, who is
//! refused, and what a user reads then.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;
#[path = "common/tls.rs"]
mod doors;

use common::{Desk, Left, Server, dataset, tokenizer};
use doors::{Authority, Door, Lock, Pair, only_run, vouches_for_itself};
use rustls::SupportedProtocolVersion;
use serde_json::Value;

/// One backend of each protocol, with its kind of server.
const BOTH: [(&str, &str); 2] = [("tis-ensemble", "tis"), ("api_server", "api_server")];

static NEWEST: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static OLDER: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

const HERE: &[&str] = &["127.0.0.1", "localhost"];

fn profile(desk: &Desk, backend: &str, address: &str, more: &[&str]) -> Left {
    let few = [
        "--num-prompts",
        "6",
        "--concurrency",
        "2",
        "--stream_output=true",
        "--connect-timeout",
        "20",
    ];
    desk.profile(backend, address, &[&few[..], more].concat())
}

/// Runs that came to their end, all requests answered.
fn answered(desk: &Desk, left: &Left) -> Value {
    assert!(left.code <= 1, "out: {}\nerr: {}", left.out, left.err);
    let folder = only_run(desk);
    let requests = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    let outcomes: Vec<Value> = requests
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone())
        .collect();
    assert_eq!(outcomes, vec![Value::from("ok"); 6]);
    let header = std::fs::read_to_string(folder.join("run.json")).unwrap();
    serde_json::from_str(&header).unwrap()
}

#[test]
fn the_right_authority_lets_every_way_in() {
    let authority = Authority::new("ours");
    for (backend, kind) in BOTH
        .into_iter()
        .chain([("tis", "tis"), ("tis-chatbot", "tis")])
    {
        let (desk, server) = (Desk::new(), Server::start(kind, &[]));
        let ca = desk.write("ca.pem", &authority.pem());
        let door = Door::before(&server.address, Lock::of(authority.signs(HERE)));
        let left = profile(&desk, backend, &door.address, &["--tls-ca", &ca]);
        let header = answered(&desk, &left);
        assert_eq!(header["encryption"]["trusted"], "given", "{backend}");
        assert_eq!(header["encryption"]["client_certificate"], false);
        assert!(door.opened() >= 2, "{backend}: {}", door.opened());
        assert!(!left.out.contains("NOT SECURE"), "{}", left.out);
    }
}

#[test]
fn a_stranger_is_refused_in_words() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    // The same name and another key: what a renewed authority looks like.
    let renewed = Authority::new("ours");
    for (backend, kind) in BOTH {
        let (desk, server) = (Desk::new(), Server::start(kind, &[]));
        let door = Door::before(&server.address, Lock::of(ours.signs(HERE)));
        let other = desk.write("other.pem", &other.pem());
        let renewed = desk.write("renewed.pem", &renewed.pem());
        for more in [&[][..], &["--tls-ca", &other], &["--tls-ca", &renewed]] {
            let left = profile(&desk, backend, &door.address, more);
            left.refused(&[backend, "authority", "--tls-ca"]);
            assert!(!left.err.contains("is the server running"), "{}", left.err);
        }
        assert_eq!(door.opened(), 0, "nobody went on");
    }
}

/// Certificates that are of the right authority and cannot be right.
#[test]
fn a_wrong_name_and_an_old_date_are_refused_and_insecure_takes_them() {
    let authority = Authority::new("ours");
    type Made<'a> = &'a dyn Fn() -> Pair;
    let elsewhere: Made = &|| authority.signs(&["gpu7.example"]);
    let old: Made = &|| authority.signed_long_ago(HERE);
    for (backend, kind) in BOTH {
        for (made, part) in [(elsewhere, "another name"), (old, "expired")] {
            let (desk, server) = (Desk::new(), Server::start(kind, &[]));
            let ca = desk.write("ca.pem", &authority.pem());
            let door = Door::before(&server.address, Lock::of(made()));
            let left = profile(&desk, backend, &door.address, &["--tls-ca", &ca]);
            left.refused(&[backend, part]);
            let left = profile(&desk, backend, &door.address, &["--tls-insecure"]);
            let header = answered(&desk, &left);
            assert_eq!(header["encryption"]["trusted"], "nobody");
            let warning = format!("NOBODY CHECKS WHO ANSWERS at {}", door.address);
            assert!(left.err.contains(&warning), "{}", left.err);
            assert!(left.out.contains("NOT SECURE"), "{}", left.out);
        }
    }
}

#[test]
fn a_client_shows_its_certificate_where_one_is_wanted() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    for (backend, kind) in BOTH {
        let (desk, server) = (Desk::new(), Server::start(kind, &[]));
        let ca = desk.write("ca.pem", &ours.pem());
        let lock = |versions: &'static [&'static SupportedProtocolVersion]| Lock {
            wants: Some(&ours),
            versions,
            ..Lock::of(ours.signs(HERE))
        };
        let (certificate, key) = ours.signs(&["client"]).on(&desk, "client");
        let (foreign, foreign_key) = other.signs(&["client"]).on(&desk, "foreign");
        let newest = Door::before(&server.address, lock(NEWEST));
        let older = Door::before(&server.address, lock(OLDER));
        for door in [&newest, &older] {
            let ca = ["--tls-ca", &ca];
            let left = profile(&desk, backend, &door.address, &ca);
            left.refused(&[backend, "--tls-cert", "--tls-key", "certificate"]);
            let shown = ["--tls-cert", &foreign, "--tls-key", &foreign_key];
            let left = profile(&desk, backend, &door.address, &[&ca[..], &shown].concat());
            // Its word on that may be lost with the connection.
            left.refused(&[backend, "certificate", "--tls-cert"]);
        }
        let shown = [
            "--tls-ca",
            &ca,
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ];
        let left = profile(&desk, backend, &newest.address, &shown);
        let header = answered(&desk, &left);
        assert_eq!(header["encryption"]["client_certificate"], true);
        std::fs::remove_dir_all(only_run(&desk)).unwrap();
        answered(&desk, &profile(&desk, backend, &older.address, &shown));
    }
}

#[test]
fn a_server_that_vouches_for_itself_is_trusted_if_it_is_given() {
    for (backend, kind) in BOTH {
        let (desk, server) = (Desk::new(), Server::start(kind, &[]));
        for (pair, part) in [
            (vouches_for_itself(HERE, false), None),
            (vouches_for_itself(&["gpu7.example"], false), Some("name")),
            (vouches_for_itself(HERE, true), Some("expired")),
        ] {
            let ca = desk.write("server.pem", &pair.certificate_pem);
            let door = Door::before(&server.address, Lock::of(pair));
            let left = profile(&desk, backend, &door.by_name(), &["--tls-ca", &ca]);
            match part {
                None => drop(answered(&desk, &left)),
                Some(part) => left.refused(&[backend, part]),
            }
            let left = profile(&desk, backend, &door.by_name(), &[]);
            // Its date is looked at first.
            let old = part.filter(|part| *part == "expired");
            left.refused(&[backend, old.unwrap_or("--tls-ca")]);
        }
    }
}

#[test]
fn who_speaks_something_else_is_named() {
    let authority = Authority::new("ours");
    for (backend, kind) in BOTH {
        let (desk, server) = (Desk::new(), Server::start(kind, &[]));
        let ca = desk.write("ca.pem", &authority.pem());
        let plain = format!("https://{}", server.address);
        let left = profile(&desk, backend, &plain, &["--tls-ca", &ca]);
        left.refused(&[backend, "http://"]);
        let protocols: &[&[u8]] = match kind {
            "tis" => &[b"http/1.1"],
            _ => &[b"h2"],
        };
        let lock = Lock {
            protocols,
            ..Lock::of(authority.signs(HERE))
        };
        let door = Door::before(&server.address, lock);
        let left = profile(&desk, backend, &door.address, &["--tls-ca", &ca]);
        left.refused(&[backend, "another protocol"]);
    }
}

#[test]
fn the_page_says_that_nobody_was_checked() {
    let (desk, authority) = (Desk::new(), Authority::new("ours"));
    let http = Server::start("api_server", &[]);
    let door = Door::before(&http.address, Lock::of(authority.signs(HERE)));
    let arm = format!("api_server={}", door.address);
    let left = desk.compare(
        &["tis-direct=sim", &arm],
        &[
            "--num-prompts",
            "8",
            "--concurrency",
            "2",
            "--tls-insecure",
            "--html",
            "page.html",
        ],
    );
    assert!(left.code <= 1, "{}", left.err);
    assert!(left.err.contains("NOBODY CHECKS"), "{}", left.err);
    let page = std::fs::read_to_string(desk.path("page.html")).unwrap();
    let runs: Vec<String> = desk
        .runs()
        .iter()
        .map(|run| run.to_str().unwrap().to_owned())
        .collect();
    let again = |form| {
        let mut words = vec!["report", "--format", form];
        words.extend(runs.iter().map(String::as_str));
        desk.run(&words).out
    };
    for shown in [&page, &left.out, &again("md"), &again("json")] {
        let (before, _) = shown.split_once("NOT SECURE").unwrap();
        assert!(before.ends_with("api_server: ") || before.ends_with("api\\_server: "));
    }
    assert!(page.contains("NOT CHECKED") && page.contains("class=\"warning\""));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    let desk = Desk::new();
    let (ca, key) = Authority::new("ours").signs(HERE).on(&desk, "pair");
    let (_, other) = Authority::new("ours").signs(HERE).on(&desk, "other");
    let (data, words) = (dataset(), tokenizer());
    for (address, more, parts) in [
        ("h:1", &["--tls-ca", &ca][..], &["--tls-ca", "https://"][..]),
        ("http://h:1", &["--tls-insecure"], &["--tls-insecure"]),
        ("https://h:1", &["--tls-ca", "none"], &["--tls-ca none"]),
        ("https://h:1", &["--tls-ca", &data], &["no certificate"]),
        ("https://h:1", &["--tls-ca", &words], &["no certificate"]),
        ("https://h:1", &["--tls-cert", &ca], &["--tls-key"]),
        ("https://h:1", &["--tls-key", &key], &["--tls-cert"]),
        (
            "https://h:1",
            &["--tls-cert", &ca, "--tls-key", &other],
            &["--tls-key", "another certificate"],
        ),
        (
            "https://h:1",
            &["--tls-ca", &ca, "--tls-insecure"],
            &["--tls-insecure"],
        ),
    ] {
        desk.profile("tis", address, more).refused(parts);
    }
    assert!(!desk.path("pairbench-runs").exists());
}
