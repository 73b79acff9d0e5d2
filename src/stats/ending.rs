//! Rule 0 of the page "What is measured": whether a run came to its end and left
//! a record of every request. Where it did not, how much there is of what was
//! planned, request by request and block by block.

use super::reason::{Reason, reason};
use super::summary::Summary;
use super::words::{counted, grouped};
use crate::record::Run;

/// Blocks that are named one by one; of more only the first are.
const BLOCKS_NAMED: usize = 3;

/// The run came to its end and left a record of every request.
pub(super) fn end(run: &Run, summary: &Summary) -> Option<Reason> {
    let torn = torn(run);
    let unfinished = summary.counts.unfinished > 0;
    let (code, what, cure) = match &run.end {
        None => (
            "died",
            "the run died before its end",
            "the figures below are those of what had finished; run it again, and if it dies again, \
             its last words on stderr say why",
        ),
        Some(end) if end.interrupted || run.blocks.iter().any(|block| block.cut) => (
            "interrupted",
            "the run was interrupted",
            "let it run to its end, or plan fewer requests with --num-prompts",
        ),
        Some(end) if end.lost_slots > 0 => (
            "client_failed",
            "pairbench itself failed, so that fewer requests were in flight than planned",
            "please report it as a bug, with what stderr says",
        ),
        Some(_) if unfinished || torn.is_some() => (
            "records_missing",
            "records are missing",
            "the folder was changed or its disk was full: restore it or run again",
        ),
        Some(_) => return None,
    };
    let parts = [Some(requests(run, summary)), blocks(run), torn];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(reason(
        0,
        code,
        format!("{what}: {}", parts.join("; ")),
        cure,
    ))
}

/// `4 of 10 requests have a record (3 finished, 1 failed); 6 have none, of which
/// at most 2 were in flight`.
fn requests(run: &Run, summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut words = format!(
        "{} of {} requests have a record ({} finished, {} failed)",
        grouped(counts.planned.saturating_sub(counts.unfinished)),
        grouped(counts.planned),
        grouped(counts.finished),
        grouped(counts.failed())
    );
    if counts.unfinished > 0 {
        let none = match counts.unfinished {
            1 => "1 has none".to_owned(),
            many => format!("{} have none", grouped(many)),
        };
        words.push_str(&format!("; {none}"));
        // Who ends in good order cuts what is in flight, and writes that down.
        let in_flight = counts.unfinished.min(run.header.concurrency.into());
        if run.end.is_none() && in_flight > 0 {
            words.push_str(&format!(
                ", of which at most {} in flight",
                match in_flight {
                    1 => "1 was".to_owned(),
                    many => format!("{} were", grouped(many)),
                }
            ));
        }
    }
    words
}

/// Which of the planned blocks are whole, and how much there is of those that are
/// not.
fn blocks(run: &Run) -> Option<String> {
    let of = run.header.experiment.as_ref()?;
    let planned = of.blocks_wanted.unwrap_or(of.blocks);
    let whole = |number: u32| {
        let found = run.blocks.iter().find(|block| block.number == number);
        found.is_some_and(|block| !block.cut)
    };
    let kept = |number: u32| {
        let ours = run.records.iter().filter(|record| record.block == number);
        u64::try_from(ours.count()).unwrap_or(u64::MAX)
    };
    let number_of_whole = (0..planned).filter(|number| whole(*number)).count();
    let begun: Vec<String> = (0..planned)
        .filter(|number| !whole(*number) && kept(*number) > 0)
        .map(|number| {
            let (kept, all) = (grouped(kept(number)), grouped(of.block_requests.into()));
            format!("block {number} has {kept} of {all} requests")
        })
        .collect();
    let mut words = format!(
        "of {} {number_of_whole} {} whole",
        counted(planned.into(), "block", "blocks"),
        if number_of_whole == 1 { "is" } else { "are" }
    );
    for named in begun.iter().take(BLOCKS_NAMED) {
        words.push_str(&format!(", {named}"));
    }
    if begun.len() > BLOCKS_NAMED {
        words.push_str(&format!(", {} more were begun", begun.len() - BLOCKS_NAMED));
    }
    Some(words)
}

/// What could not be read.
fn torn(run: &Run) -> Option<String> {
    let mut parts = Vec::new();
    if run.broken_lines > 0 {
        let lines = counted(run.broken_lines.into(), "line", "lines");
        parts.push(format!("{lines} could not be read"));
    }
    for file in &run.damaged {
        parts.push(format!("{file} is damaged"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::end;
    use crate::record::{Block, Experiment, Record, Run, RunEnd, RunHeader};
    use crate::stats::summarize;

    fn record(block: u32, index: u32, outcome: &str) -> Record {
        Record {
            block,
            index,
            outcome: outcome.to_owned(),
            ..Record::default()
        }
    }

    fn found(run: &Run) -> Option<(&'static str, String)> {
        end(run, &summarize(run)).map(|reason| (reason.code, reason.text))
    }

    #[test]
    fn a_run_that_died_says_what_there_is() {
        let mut run = Run {
            header: RunHeader {
                num_prompts: 10,
                concurrency: 2,
                ..RunHeader::default()
            },
            records: (0..3).map(|index| record(0, index, "ok")).collect(),
            broken_lines: 1,
            ..Run::default()
        };
        run.records.push(record(0, 3, "cut"));
        let (code, text) = found(&run).expect("died");
        assert_eq!(code, "died");
        assert_eq!(
            text,
            "the run died before its end: 4 of 10 requests have a record (3 finished, 1 failed); 6 \
             have none, of which at most 2 were in flight; 1 line could not be read"
        );
        run.end = Some(RunEnd::default());
        let (code, text) = found(&run).expect("holes");
        assert!(
            code == "records_missing" && !text.contains("in flight"),
            "{text}"
        );
        run.header.num_prompts = 4;
        run.broken_lines = 0;
        assert_eq!(found(&run), None);
        run.damaged.push("recount.json".to_owned());
        let (_, text) = found(&run).expect("damaged");
        assert!(text.ends_with("; recount.json is damaged"), "{text}");
        run.end = Some(RunEnd {
            lost_slots: 1,
            ..RunEnd::default()
        });
        assert_eq!(found(&run).expect("a bug").0, "client_failed");
    }

    #[test]
    fn an_arm_that_died_says_which_blocks_are_whole() {
        let mut run = Run {
            header: RunHeader {
                num_prompts: 16,
                concurrency: 1,
                experiment: Some(Experiment {
                    blocks: 4,
                    block_requests: 4,
                    ..Experiment::default()
                }),
                ..RunHeader::default()
            },
            ..Run::default()
        };
        let words = |run: &Run| found(run).expect("died").1;
        assert!(
            words(&run).ends_with("; of 4 blocks 0 are whole"),
            "{}",
            words(&run)
        );
        for (block, requests) in [(0, 4), (1, 4), (2, 3)] {
            let records = (0..requests).map(|index| record(block, index, "ok"));
            run.records.extend(records);
        }
        for number in 0..2 {
            run.blocks.push(Block {
                number,
                cut: number == 1,
                ..Block::default()
            });
        }
        let text = words(&run);
        assert!(text.contains("11 of 16 requests have a record"), "{text}");
        let blocks = "; of 4 blocks 1 is whole, block 1 has 4 of 4 requests, block 2 has 3 of 4 \
                      requests";
        assert!(text.ends_with(blocks), "{text}");
        // What a pilot asked for is planned, too.
        if let Some(experiment) = &mut run.header.experiment {
            experiment.blocks_wanted = Some(9);
        }
        assert!(words(&run).contains("of 9 blocks 1 is"), "{}", words(&run));
    }
}
