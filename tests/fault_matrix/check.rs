//! What has to be true of every run, whatever the server did: the right kind
//! and words for those that got a fault, nobody else touched, nothing lost,
//! nothing twice, and counts that add up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::play::{OUTPUT_TOKENS, Play, Run};
use crate::row::{Case, GRPC, Reach, fits};

/// What is not as it should be.
pub fn check(play: &Play<'_>, run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    accounts(play, run, &mut wrong);
    if run.records.len() == play.requests() {
        outcomes(play, run, &mut wrong);
    }
    wrong
}

fn outcome(record: &Value) -> &str {
    record["outcome"].as_str().unwrap_or_default()
}

fn words(record: &Value) -> &str {
    record["error"].as_str().unwrap_or_default()
}

/// Nothing lost, nothing twice, and the same counts everywhere.
fn accounts(play: &Play<'_>, run: &Run, wrong: &mut Vec<String>) {
    let requests = play.requests();
    let indices: BTreeSet<u64> = run
        .records
        .iter()
        .filter_map(|one| one["index"].as_u64())
        .collect();
    if run.records.len() != requests || indices.len() != requests {
        let records = run.records.len();
        wrong.push(format!(
            "{records} records of {requests} requests: {}",
            run.err
        ));
        return;
    }
    let sent: BTreeSet<u64> = run.asked.iter().copied().collect();
    if sent.len() != run.asked.len() {
        wrong.push(format!(
            "{} requests were sent twice",
            run.asked.len() - sent.len()
        ));
    }
    let first = sent.first().copied().unwrap_or_default();
    let good = run.records.iter().filter(|one| outcome(one) == "ok");
    let unsent = good.filter(|one| !sent.contains(&id(one, first))).count();
    if unsent > 0 {
        wrong.push(format!(
            "{unsent} good answers to requests that never arrived"
        ));
    }
    counts(run, wrong);
}

/// What the page, the CSV and the exit code say of it.
fn counts(run: &Run, wrong: &mut Vec<String>) {
    let requests = run.records.len();
    let mut kinds = BTreeMap::<&str, usize>::new();
    for record in run.records.iter().filter(|one| outcome(one) != "ok") {
        *kinds.entry(outcome(record)).or_default() += 1;
    }
    let failed: usize = kinds.values().sum();
    let told = |count: usize| match count {
        0..1000 => count.to_string(),
        _ => format!("{},{:03}", count / 1000, count % 1000),
    };
    let counts = format!(
        "{} planned, {} finished, {} failed",
        told(requests),
        told(requests - failed),
        told(failed)
    );
    if !run.out.contains(&counts) {
        wrong.push(format!(
            "the page does not say `{counts}`: {}{}",
            run.out, run.err
        ));
    }
    for (kind, count) in kinds {
        if !run.out.contains(&format!("{count} {kind}")) {
            wrong.push(format!("the page does not say `{count} {kind}`"));
        }
    }
    if run.csv_failed.as_deref() != Some(&failed.to_string()) {
        wrong.push(format!(
            "the CSV has {:?} of {failed} failed",
            run.csv_failed
        ));
    }
    let codes: &[i32] = if failed > 0 { &[1] } else { &[0, 1] };
    if !run.code.is_some_and(|code| codes.contains(&code)) {
        wrong.push(format!("exit code {:?}", run.code));
    }
    if failed > 0 && !run.out.starts_with("INVALID") {
        wrong.push("the run counts although requests failed".to_owned());
    }
    if run.err.contains("panicked") || run.out.contains("panicked") {
        wrong.push(format!("a panic: {}", run.err));
    }
}

/// The id on the wire of a record's request.
fn id(record: &Value, first: u64) -> u64 {
    first + record["index"].as_u64().unwrap_or_default()
}

fn outcomes(play: &Play<'_>, run: &Run, wrong: &mut Vec<String>) {
    let aimed = play.aim().0.len();
    if run.hits.len() != aimed {
        wrong.push(format!("{} of {aimed} faults were dealt", run.hits.len()));
    }
    let first = run.asked.iter().min().copied().unwrap_or_default();
    let hits: BTreeMap<u64, usize> = run.hits.iter().map(|&(case, id)| (id, case)).collect();
    let row = play.row;
    let mut others = Vec::new();
    for record in &run.records {
        let hit = hits.get(&id(record, first)).map(|&case| &row.cases[case]);
        let hit = hit.filter(|_| matches!(row.reach, Reach::Own | Reach::Connection));
        match hit {
            Some(case) => wrong.extend(of_hit(case, record)),
            None if outcome(record) == "ok" => wrong.extend(untouched(play, record)),
            None => others.push(record),
        }
    }
    let page = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for case in row.cases.iter().filter(|case| case.kinds == ["ok"]) {
        if !fits(&format!("...{}...", case.reads), &page) {
            wrong.push(format!("the page does not say `{}`: {page}", case.reads));
        }
    }
    wrong.extend(of_others(play, &others, run));
}

/// What came of a request that got this fault.
fn of_hit(case: &Case, record: &Value) -> Option<String> {
    let (kind, said) = (outcome(record), words(record));
    if !case.kinds.contains(&kind) {
        return Some(format!(
            "{}: {kind} instead of {:?}: {said}",
            case.name, case.kinds
        ));
    }
    (kind != "ok" && !fits(&case.reads, said))
        .then(|| format!("{}: it reads `{said}`, not `{}`", case.name, case.reads))
}

/// A request that nothing was done to.
fn untouched(play: &Play<'_>, record: &Value) -> Option<String> {
    let tokens = record["completion_tokens"].as_u64();
    // Nothing on that wire counts.
    let right = play.way == "tis-python" || tokens == Some(OUTPUT_TOKENS.into());
    let marks = record["marks"]
        .as_array()
        .is_some_and(|marks| !marks.is_empty());
    let text =
        play.way == "tis-direct" || record["text"].as_str().is_some_and(|text| !text.is_empty());
    (!(right && marks && text)).then(|| format!("a request that nothing was done to: {record}"))
}

/// Those that failed without a fault of their own.
fn of_others(play: &Play<'_>, others: &[&Value], run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    let case = &play.row.cases[0];
    let shares = GRPC.contains(&play.way) && play.way != "tis-chatbot";
    let in_flight = if shares { play.concurrency } else { 0 };
    let (least, most) = match play.row.reach {
        Reach::Own => (0, 0),
        Reach::Connection => (0, in_flight.saturating_sub(1)),
        Reach::Next if shares => (1, 2 + in_flight),
        Reach::Next => (1, 2 * play.aim().0.len()),
        Reach::Window => (1, play.requests() - 2),
    };
    if !(least..=most).contains(&others.len()) {
        let said = others.first().map(|other| words(other)).unwrap_or_default();
        wrong.push(format!(
            "{} others failed, not {least} to {most}: {said}",
            others.len()
        ));
    }
    for other in others
        .iter()
        .filter(|other| !case.kinds.contains(&outcome(other)))
    {
        wrong.push(format!("another is {}: {}", outcome(other), words(other)));
    }
    if least == 0 {
        return wrong;
    }
    if !others.iter().any(|other| fits(&case.reads, words(other))) {
        let said: BTreeSet<&str> = others.iter().map(|other| words(other)).collect();
        wrong.push(format!("it reads {said:?}, not `{}`", case.reads));
    }
    let issued = |one: &Value| one["issued_ns"].as_u64().unwrap_or_default();
    let failed = || others.iter().map(|other| issued(other));
    let (first, last) = (failed().min().unwrap_or(0), failed().max().unwrap_or(0));
    let good = || {
        let good = run.records.iter().filter(|one| outcome(one) == "ok");
        good.map(issued)
    };
    if !good().any(|at| at > last) || !good().any(|at| at < first) {
        wrong.push("not in the middle: no good answer before, or none after".to_owned());
    }
    wrong
}
