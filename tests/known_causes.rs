//! Servers with known costs: the comparison has to name each. In the usual suite
//! the bounds are wide, as a busy machine adds to whatever is timed. The exact
//! ones, a tenth or 0.3 ms and 5 % of the difference left unexplained, are for a
//! quiet machine and for the program as users have it (in a dev build both sides take
//! a millisecond to open a connection, and more behind a wait):
//! `cargo test --release --test known_causes -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and this one shows its figures"
)]

mod common;

use common::{Desk, Server, dataset, tokenizer};
use pairbench::record::{self, Run};
use pairbench::stats::{
    Arm, PartKind, Time, Waterfall, judge_together, out_of_order, summarize, waterfalls,
};

const ENGINE: [&str; 4] = ["--sim-first-token-ms", "20", "--sim-per-token-ms", "8"];

const COSTS: [&str; 8] = [
    "--sim-preprocess-ms",
    "8",
    "--sim-postprocess-ms",
    "1",
    "--sim-postprocess-instances",
    "16",
    "--sim-connect-ms",
    "3",
];

/// What is asked of each arm.
#[derive(Clone, Copy)]
struct Load<'a> {
    flags: &'a [&'a str],
    /// How often it is played again where the host of a virtual machine took more of
    /// the time in which its cores had work: that shows the host.
    again: u32,
    taken_percent: f64,
}

/// What each arm left behind, in the order of `arms`; `None` where the host took the
/// cores each time.
fn runs(arms: &[(&str, &[&str])], load: Load<'_>) -> Option<Vec<Run>> {
    let taken = |run: &Run| summarize(run).client.host_took_percent;
    let disturbed = |run: &Run| taken(run) > Some(load.taken_percent);
    (0..=load.again)
        .map(|_| played(arms, load.flags))
        .find(|runs| !runs.iter().any(disturbed))
}

fn played(arms: &[(&str, &[&str])], load: &[&str]) -> Vec<Run> {
    let desk = Desk::new();
    let servers: Vec<(&str, Server)> = arms
        .iter()
        .map(|(backend, costs)| {
            let flags = [&ENGINE[..], costs].concat();
            (*backend, Server::start(backend, &flags))
        })
        .collect();
    let named: Vec<String> = servers
        .iter()
        .map(|(backend, server)| format!("{backend}={}", server.address))
        .collect();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec!["compare", &tokenizer, &dataset];
    for arm in &named {
        args.extend(["--backend", arm]);
    }
    args.extend(load);
    let left = desk.run(&args);
    assert!(left.code <= 1, "{}", left.err);
    let mut runs: Vec<Run> = desk
        .runs()
        .iter()
        .filter_map(|folder| record::load(folder).ok())
        .collect();
    runs.sort_by_key(|run| run.header.experiment.as_ref().map(|of| of.arm));
    assert_eq!(runs.len(), arms.len());
    runs
}

fn taken_apart(arms: &[(&str, &[&str])], load: Load<'_>) -> Option<Vec<Waterfall>> {
    let runs = runs(arms, load)?;
    let summaries: Vec<_> = runs.iter().map(summarize).collect();
    let arms = runs.iter().zip(&summaries);
    let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
    Some(waterfalls(&arms))
}

fn part_ms(found: &Waterfall, kind: PartKind) -> f64 {
    let part = found.parts.iter().find(|part| part.kind == kind);
    part.map_or(0.0, |part| part.estimate.mean_ns / 1e6)
}

/// The part's milliseconds beside what is known of it, within a tenth of that or
/// `within_ms`.
#[track_caller]
fn known(found: &Waterfall, kind: PartKind, expected_ms: f64, within_ms: f64) {
    let ms = part_ms(found, kind);
    println!("{:?} {kind:?}: {ms:.3} ms of {expected_ms} ms", found.of);
    let bound = within_ms.max(expected_ms.abs() / 10.0);
    assert!((ms - expected_ms).abs() <= bound, "{kind:?}: {found:#?}");
}

/// Beside another protocol, each cause has what it costs anyway with it: opening
/// three connections, two calls more over the wire. What the two simulated servers'
/// own ways to the engine take is found without costs first. `None`: not judged in
/// full, as the host took the cores.
fn each_cause(load: Load<'_>, within_ms: f64) -> Option<()> {
    let free = ["--sim-preprocess-ms", "0", "--sim-postprocess-ms", "0"];
    let front_end = ["--sim-front-end-ms", "0.5"];
    let beside_api_server = |backend, costs: &[&str], front_end: &[&str]| {
        let arms = [(backend, costs), ("api_server", front_end)];
        taken_apart(&arms, load)
    };
    let own = beside_api_server("tis-chatbot", &free, &[])?;
    let found = beside_api_server("tis-chatbot", &COSTS, &front_end)?;
    // To the end it is one message with the last token, one with the reason, one
    // with the usage and the `[DONE]`.
    for (time, messages) in [(Time::Ttft, 1.0), (Time::PerRequest, 4.0)] {
        let own_ms = front_end_ms(find(&own, time));
        let found = find(&found, time);
        assert_eq!((found.slow, found.fast), (0, 1));
        // A connection each for preprocessing, engine and postprocessing.
        known(found, PartKind::Connect, 9.0, 1.5 + within_ms);
        known(found, PartKind::Preprocess, 8.0, within_ms);
        known(found, PartKind::Postprocess, 1.0, within_ms);
        known(found, PartKind::RoundTrips, 1.0, 1.0 + within_ms);
        let front_end_ms = own_ms - 0.5 * messages;
        known(found, PartKind::FrontEnd, front_end_ms, within_ms);
        explained(found);
    }
    let own = beside_api_server("tis-ensemble", &free, &[])?;
    let own_ms = front_end_ms(find(&own, Time::Ttft));
    let inside = [&COSTS[..6], &["--sim-connect-ms", "0"]].concat();
    let found = beside_api_server("tis-ensemble", &inside, &[])?;
    let found = find(&found, Time::Ttft);
    assert_eq!((found.slow, found.fast), (0, 1));
    known(found, PartKind::Preprocess, 8.0, within_ms);
    known(found, PartKind::Postprocess, 1.0, within_ms);
    known(found, PartKind::FrontEnd, own_ms, within_ms);
    explained(found);
    Some(())
}

/// What the first arm's front end takes beyond the second's.
fn front_end_ms(found: &Waterfall) -> f64 {
    let sign = if found.slow == 0 { 1.0 } else { -1.0 };
    sign * part_ms(found, PartKind::FrontEnd)
}

/// Beside the same server without them, the causes are what was set. `front_end_ms`
/// is all that tells two api_servers apart, and has to stand out of the noise. `None`:
/// as above.
fn nothing_but_the_cause(load: Load<'_>, within_ms: f64, front_end_ms: f64) -> Option<()> {
    let free = ["--sim-preprocess-ms", "0", "--sim-postprocess-ms", "0"];
    let found = taken_apart(&[("tis-chatbot", &COSTS), ("tis-chatbot", &free)], load)?;
    for time in [Time::Ttft, Time::PerRequest] {
        let found = find(&found, time);
        assert_eq!((found.slow, found.fast), (0, 1));
        known(found, PartKind::Connect, 9.0, within_ms);
        known(found, PartKind::Preprocess, 8.0, within_ms);
        known(found, PartKind::Postprocess, 1.0, within_ms);
        known(found, PartKind::RoundTrips, 0.0, within_ms);
        known(found, PartKind::Engine, 0.0, within_ms);
        explained(found);
    }
    let front_end = ["--sim-front-end-ms", &front_end_ms.to_string()];
    let found = taken_apart(&[("api_server", &front_end), ("api_server", &[])], load)?;
    let found = find(&found, Time::Ttft);
    assert_eq!((found.slow, found.fast), (0, 1));
    known(found, PartKind::FrontEnd, front_end_ms, within_ms);
    explained(found);
    Some(())
}

fn find(found: &[Waterfall], time: Time) -> &Waterfall {
    found.iter().find(|found| found.of == time).unwrap()
}

#[track_caller]
fn explained(found: &Waterfall) {
    println!(
        "{:?} rest, ns: {:?} of {:?}",
        found.of, found.rest, found.gap
    );
    assert!(
        found.rest.mean_ns.abs() <= found.gap.mean_ns * 0.05,
        "{found:#?}"
    );
}

#[test]
fn each_cause_is_named() {
    let flags = ["--concurrency", "2", "--num-prompts", "12", "--blocks", "2"];
    let load = Load {
        flags: &flags,
        again: 2,
        taken_percent: 10.0,
    };
    let judged = each_cause(load, 4.0);
    // Below the 8 ms of a token, so that the pace stays the same.
    let judged = judged.and(nothing_but_the_cause(load, 4.0, 6.0));
    if judged.is_none() {
        println!("NOT JUDGED IN FULL: the host of this virtual machine took its cores each time");
    }
}

#[test]
#[ignore = "for a quiet machine"]
fn each_cause_is_named_exactly() {
    let flags = ["--concurrency", "4", "--num-prompts", "48", "--blocks", "4"];
    let load = Load {
        flags: &flags,
        again: 3,
        taken_percent: 5.0,
    };
    let quiet = "a host that leaves the cores alone";
    nothing_but_the_cause(load, 0.3, 0.5).expect(quiet);
    each_cause(load, 0.3).expect(quiet);
}

#[test]
fn text_out_of_order_is_found() {
    let load = ["--concurrency", "2", "--num-prompts", "8", "--blocks", "2"];
    for (lost, flags) in [(false, &[][..]), (true, &["--sim-unordered-text"])] {
        let runs = played(&[("tis-ensemble", flags), ("api_server", &[])], &load);
        let summaries: Vec<_> = runs.iter().map(summarize).collect();
        let arms = runs.iter().zip(&summaries);
        let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
        let found = out_of_order(&arms);
        println!("{found:?}");
        let ensemble = found[0].unwrap();
        assert!(ensemble.compared > 0 && found[1].is_none());
        assert_eq!(ensemble.requests > 0, lost);
        let reasons = judge_together(&arms).reasons;
        let objection = reasons.iter().find(|of| of.code == "text_out_of_order");
        assert_eq!(objection.is_some(), lost, "{reasons:?}");
        if let Some(objection) = objection {
            assert!(
                objection.cure.contains("preserve_ordering"),
                "{objection:?}"
            );
        }
    }
}
