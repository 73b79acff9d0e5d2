//! How it was measured, and how to measure it again: the whole configuration
//! as it stands in the records. Words that came from elsewhere are cut and
//! tamed.

use super::super::asked::{ASKED, foreign, server, shared, shared_fact};
use super::super::findings::Findings;
use super::super::sentences::{metric_name, share};
use super::Sheet;
use crate::record::{Experiment, Run, RunHeader};
use crate::stats::words::{counted, grouped, one_line, shell_word};
use crate::stats::{Arm, Metric};

/// Longest command line that a report repeats, in characters.
const COMMAND: usize = 4_000;

/// Something that a run tells, in words.
type Fact = fn(&Run) -> String;

/// Beyond what every page says, and beside each arm's name.
const MORE: [(&str, Fact); 11] = [
    ("digest of the work", |run| foreign(&run.header.workload)),
    ("encryption", |run| encryption(&run.header)),
    ("simulated engine", |run| yes(run.header.simulated)),
    ("delivers", |run| {
        foreign(&run.header.answer.replace('_', " "))
    }),
    ("chat template", |run| match &run.header.chat_template {
        Some(from) => foreign(from),
        None => "none: prompts sent as they are".to_owned(),
    }),
    ("seed", |run| run.header.seed.to_string()),
    ("client's threads", |run| {
        run.header.client_threads.to_string()
    }),
    ("ramp", |run| format!("{} ms", grouped(run.header.ramp_ms))),
    ("failures allowed", |run| {
        grouped(u64::from(run.header.max_failed))
    }),
    ("time limits", |run| time_limits(&run.header)),
    ("host", |run| host(&run.header)),
];

/// How a comparison was laid out; a run by itself has none of it but the first.
const LAID_OUT: [(&str, Fact); 6] = [
    ("blocks", blocks),
    ("precision wanted", |run| {
        of_experiment(run, |of| match of.precision {
            Some(wanted) => format!("{} %", share(wanted)),
            None => "none named".to_owned(),
        })
    }),
    ("time for blocks", |run| of_experiment(run, time_for_blocks)),
    ("margin", |run| {
        of_experiment(run, |of| format!("{} %", share(of.margin)))
    }),
    ("decided by", |run| of_experiment(run, decided_by)),
    ("fails if", |run| {
        of_experiment(run, |of| match of.fail_if.as_slice() {
            [] => "no condition named".to_owned(),
            some => one_line(&some.join("; "), 400),
        })
    }),
];

fn encryption(header: &RunHeader) -> String {
    let Some(of) = &header.encryption else {
        return "none".to_owned();
    };
    let checked = match of.trusted.as_str() {
        "system" => "the server's certificate checked by the system's authorities".to_owned(),
        "given" => "the server's certificate checked by the one that was given".to_owned(),
        "nobody" => "the server's certificate NOT CHECKED".to_owned(),
        other => format!("trust: {}", foreign(other)),
    };
    let own = match of.client_certificate {
        true => "; a certificate of the client",
        false => "",
    };
    format!("TLS, {checked}{own}")
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn of_experiment(run: &Run, words: impl Fn(&Experiment) -> String) -> String {
    let of = run.header.experiment.as_ref();
    of.map_or("-".to_owned(), words)
}

/// What was wanted and what was played: a pilot's blocks are not all.
fn blocks(run: &Run) -> String {
    let Some(of) = &run.header.experiment else {
        return "none: a run by itself".to_owned();
    };
    let number = |blocks: u32| grouped(u64::from(blocks));
    let wanted = match (of.precision, of.blocks_wanted) {
        (None, _) => format!("{} wanted", number(of.blocks)),
        (Some(_), Some(wanted)) => format!(
            "{} of a pilot, {} wanted by what it found",
            number(of.blocks),
            number(wanted)
        ),
        (Some(_), None) => format!(
            "{} of a pilot, which did not tell how many are wanted",
            number(of.blocks)
        ),
    };
    let cut = run.blocks.iter().filter(|block| block.cut).count();
    let cut = match cut {
        0 => String::new(),
        cut => format!(" ({cut} of them cut short)"),
    };
    let manner = match of.duet {
        true => "all arms at the same moment",
        false => "one arm at a time, the order alternating from a seeded start",
    };
    format!(
        "{wanted}, {} played{cut}; {} each, {manner}; each led in by one shortened request per \
         slot, throughput taken while every slot was busy",
        grouped(u64::try_from(run.blocks.len()).unwrap_or(u64::MAX)),
        counted(u64::from(of.block_requests), "request", "requests"),
    )
}

fn time_for_blocks(of: &Experiment) -> String {
    let limit = match of.max_time_s {
        Some(limit_s) => format!("{limit_s} s from the first block's start"),
        None => "no limit".to_owned(),
    };
    match of.out_of_time {
        true => format!("{limit}; it was up before all were played"),
        false => limit,
    }
}

/// The metrics that decide; nobody named one: the usual one.
fn decided_by(of: &Experiment) -> String {
    let word = |name: &String| {
        Metric::of_name(name).map_or_else(|| foreign(name), |metric| metric_name(metric).to_owned())
    };
    match of.primary.as_slice() {
        [] => format!("{} (none named)", metric_name(Metric::OutputTokensPerS)),
        some => some.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

const NOT_RECORDED: &str = "not in these records";

fn time_limits(header: &RunHeader) -> String {
    let Some(of) = header.time_limits else {
        return NOT_RECORDED.to_owned();
    };
    let seconds = |ns: u64| format!("{} s", ns as f64 / 1e9);
    format!(
        "connection {}, first token {}, from token to token {}",
        seconds(of.connect_ns),
        seconds(of.first_token_ns),
        seconds(of.between_tokens_ns)
    )
}

fn host(header: &RunHeader) -> String {
    let Some(of) = &header.host else {
        return NOT_RECORDED.to_owned();
    };
    let cores = |count: u32| counted(u64::from(count), "core", "cores");
    let cores = match of.online_cores {
        Some(all) if all != of.cores => format!("{} of {}", of.cores, cores(all)),
        _ => cores(of.cores),
    };
    let parts = [foreign(&of.cpu), cores, foreign(&of.system)];
    let told = parts.iter().filter(|part| *part != "-");
    told.cloned().collect::<Vec<_>>().join(", ")
}

/// Property by property; where arms differ, with the arms' names.
pub(in super::super) fn sheet(findings: &Findings<'_>, names: &[String]) -> Sheet {
    let mut sheet = Sheet::new(&["what", "value"]);
    let arms = findings.arms;
    for (name, property) in ASKED {
        sheet.row(name, vec![shared(arms, names, property)]);
    }
    sheet.row(
        "backend",
        vec![shared(arms, names, |header| foreign(&header.backend))],
    );
    sheet.row("server", vec![shared(arms, names, server)]);
    for (name, value) in more(arms, names) {
        sheet.row(name, vec![value]);
    }
    sheet
}

/// What a page that has said who was asked, and what, has left to say.
pub(in super::super) fn more(arms: &[Arm<'_>], names: &[String]) -> Vec<(&'static str, String)> {
    let apart = arms.iter().all(|arm| arm.run.header.experiment.is_none());
    let laid_out = if apart { 1 } else { LAID_OUT.len() };
    let facts = MORE.into_iter().chain(LAID_OUT.into_iter().take(laid_out));
    let mut rows: Vec<(&str, String)> = facts
        .map(|(name, fact)| (name, shared_fact(arms, names, &fact)))
        .collect();
    rows.push((
        "started",
        shared(arms, names, |header| foreign(&header.started_utc)),
    ));
    rows
}

/// The command lines that measured it, each once, ready for a shell.
pub(in super::super) fn commands(findings: &Findings<'_>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for arm in findings.arms {
        let words = &arm.run.header.command;
        let quoted: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        let line = one_line(&quoted.join(" "), COMMAND);
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
