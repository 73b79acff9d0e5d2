//! How it was measured, and how to measure it again: the whole configuration
//! as it stands in the records. Words that came from elsewhere are cut and
//! tamed.

use super::super::asked::{ASKED, Property, foreign, server, shared};
use super::super::findings::Findings;
use super::Sheet;
use crate::record::RunHeader;
use crate::stats::words::{counted, grouped, one_line, shell_word};

/// Longest command line that a report repeats, in characters.
const COMMAND: usize = 4_000;

/// Beyond what every page says.
const MORE: [(&str, Property); 13] = [
    ("digest of the work", |header| foreign(&header.workload)),
    ("backend", |header| foreign(&header.backend)),
    ("server", server),
    ("encryption", encryption),
    ("simulated engine", |header| yes(header.simulated)),
    ("delivers", |header| {
        foreign(&header.answer.replace('_', " "))
    }),
    ("chat template", |header| match &header.chat_template {
        Some(from) => foreign(from),
        None => "none: prompts sent as they are".to_owned(),
    }),
    ("seed", |header| header.seed.to_string()),
    ("blocks", blocks),
    ("client's threads", |header| {
        header.client_threads.to_string()
    }),
    ("ramp", |header| format!("{} ms", grouped(header.ramp_ms))),
    ("failures allowed", |header| {
        grouped(u64::from(header.max_failed))
    }),
    ("started", |header| foreign(&header.started_utc)),
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

fn blocks(header: &RunHeader) -> String {
    let Some(of) = &header.experiment else {
        return "none: a run by itself".to_owned();
    };
    let manner = match of.duet {
        true => "all arms at the same moment",
        false => "one arm at a time, the order alternating from a seeded start",
    };
    format!(
        "{} planned, {} each, {manner}; each led in by one shortened request per slot, throughput \
         taken while every slot was busy",
        counted(u64::from(of.blocks), "block", "blocks"),
        counted(u64::from(of.block_requests), "request", "requests"),
    )
}

/// Property by property; where arms differ, with the arms' names.
pub(in super::super) fn sheet(findings: &Findings<'_>, names: &[String]) -> Sheet {
    let mut sheet = Sheet::new(&["what", "value"]);
    for (name, property) in ASKED.into_iter().chain(MORE) {
        sheet.row(name, vec![shared(findings.arms, names, property)]);
    }
    sheet
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
