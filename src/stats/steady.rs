//! Throughput while every slot was busy: what arrived inside the steady windows
//! of a run's blocks. The start-up burst of a closed loop and its tail are
//! outside. Knows records and blocks; judges nothing.

use super::tokens::{self, Recounts};
use crate::record::{Record, Run};

/// What arrived inside windows of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Steady {
    /// The windows together, in nanoseconds.
    pub(super) window_ns: u64,
    /// Generated tokens whose messages arrived inside, from answers to the
    /// blocks' own requests and to those that led in alike; `None` where nobody
    /// counted the tokens of an answer that arrived there.
    pub(super) output_tokens: Option<f64>,
    /// Tokens of the prompts whose first piece of an answer arrived inside.
    pub(super) prompt_tokens: u64,
    /// Answers that ended inside.
    pub(super) requests: u64,
}

impl Steady {
    /// So much of something, per second of the windows.
    pub(super) fn per_s(&self, amount: f64) -> Option<f64> {
        (self.window_ns > 0).then(|| amount / (self.window_ns as f64 / 1e9))
    }
}

/// A window: later than the first moment, up to and with the second.
pub(super) type Window = (u64, u64);

/// What arrived in the steady windows of all blocks that were not cut. `None`:
/// the run has no such block.
pub(super) fn of_blocks(run: &Run) -> Option<Steady> {
    let whole = run.blocks.iter().filter(|block| !block.cut);
    let windows: Vec<(u32, Window)> = whole
        .map(|block| (block.number, (block.steady_from_ns, block.steady_to_ns)))
        .collect();
    if windows.is_empty() {
        return None;
    }
    let recounts = tokens::recounts(run);
    let mut sum = Steady {
        output_tokens: Some(0.0),
        ..Steady::default()
    };
    for (_, (from_ns, to_ns)) in &windows {
        sum.window_ns += to_ns.saturating_sub(*from_ns);
    }
    for record in run.records.iter().chain(&run.lead_in) {
        let windows = windows.iter().filter(|(number, _)| *number == record.block);
        for (_, window) in windows {
            add(&mut sum, record, *window, &recounts);
        }
    }
    Some(sum)
}

/// What arrived in one window of a run, whatever its blocks.
pub(super) fn of_window(run: &Run, window: Window) -> Steady {
    let recounts = tokens::recounts(run);
    let mut sum = Steady {
        window_ns: window.1.saturating_sub(window.0),
        output_tokens: Some(0.0),
        ..Steady::default()
    };
    for record in run.records.iter().chain(&run.lead_in) {
        add(&mut sum, record, window, &recounts);
    }
    sum
}

fn add(sum: &mut Steady, record: &Record, (from_ns, to_ns): Window, recounts: &Recounts) {
    if !record.is_ok() {
        return;
    }
    let inside = |at_ns: u64| at_ns > from_ns && at_ns <= to_ns;
    sum.requests += u64::from(inside(record.end_ns));
    if record.marks.first().is_some_and(|mark| inside(mark.at_ns)) {
        sum.prompt_tokens += u64::from(record.prompt_tokens);
    }
    let told = record.marks.iter().filter(|mark| inside(mark.at_ns));
    let (mut tokens, mut silent) = (0.0, 0_u64);
    for mark in told {
        tokens += f64::from(mark.tokens);
        silent += u64::from(mark.tokens == 0);
    }
    let dealt = match silent {
        0 => Some(0.0),
        silent => silent_share(record, recounts).map(|each| each * silent as f64),
    };
    sum.output_tokens = sum
        .output_tokens
        .zip(dealt)
        .map(|(sum, dealt)| sum + tokens + dealt);
}

/// Tokens of each message whose number the wire does not tell: what was counted
/// of the answer and not told, dealt out alike.
fn silent_share(record: &Record, recounts: &Recounts) -> Option<f64> {
    let (counted, _) = tokens::count(record, recounts).generated?;
    let told: u64 = record.marks.iter().map(|mark| u64::from(mark.tokens)).sum();
    let silent = record.marks.iter().filter(|mark| mark.tokens == 0).count();
    (silent > 0).then(|| counted.saturating_sub(told) as f64 / silent as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed, header, marks, record};
    use super::super::summarize;
    use super::{Steady, of_blocks};
    use crate::record::{Block, Experiment, Record, Recount, Run, RunEnd, RunHeader};

    fn block(number: u32, from_ns: u64, to_ns: u64) -> Block {
        Block {
            number,
            start_ns: from_ns.saturating_sub(100),
            steady_from_ns: from_ns,
            steady_to_ns: to_ns,
            end_ns: to_ns + 100,
            ..Block::default()
        }
    }

    fn answer(block: u32, lead_in: bool, pairs: &[(u64, u32)]) -> Record {
        Record {
            block,
            lead_in,
            marks: marks(pairs),
            end_ns: pairs.last().map_or(0, |(at_ns, _)| *at_ns),
            ..record(7, 100, 10, 10, 3)
        }
    }

    fn played(records: Vec<Record>, lead_in: Vec<Record>, blocks: Vec<Block>) -> Run {
        Run {
            header: RunHeader {
                num_prompts: 2,
                experiment: Some(Experiment {
                    block_requests: 2,
                    blocks: 1,
                    ..Experiment::default()
                }),
                ..header()
            },
            records,
            lead_in,
            blocks,
            end: Some(RunEnd::default()),
            ..Run::default()
        }
    }

    #[test]
    fn a_window_by_hand() {
        // Window (1000, 2000]: own tokens at 1001 (2) and 2000 (3), not at 2001;
        // of the lead-in 4 at 1500, not those at 1000; ended inside: the first
        // own answer (2000) and the lead-in (1500).
        let own = answer(0, false, &[(900, 1), (1001, 2), (2000, 3)]);
        let late = answer(0, false, &[(1800, 1), (2001, 9)]);
        let lead_in = answer(0, true, &[(1000, 9), (1500, 4)]);
        let mut broken = failed(9, "server", "no");
        broken.marks = marks(&[(1500, 100)]);
        let run = played(
            vec![own, late, broken],
            vec![lead_in],
            vec![block(0, 1000, 2000)],
        );
        let expected = Steady {
            window_ns: 1000,
            output_tokens: Some(10.0),
            prompt_tokens: 10,
            requests: 2,
        };
        assert_eq!(of_blocks(&run), Some(expected));
        let summary = summarize(&run);
        assert_eq!(summary.elapsed_ns, Some(1000));
        assert_eq!(summary.output_tokens_per_s, Some(1e7));
        assert_eq!(summary.total_tokens_per_s, Some(2e7));
        assert_eq!(summary.requests_per_s, Some(2e6));
        assert_eq!(summary.counts.finished, 2, "the lead-in is no request");
        assert_eq!(summary.start, None, "a lead-in is no burst");
    }

    #[test]
    fn what_the_wire_does_not_tell_is_dealt_out_alike() {
        let silent = |lead_in| {
            let marks = [(900, 0), (1100, 0), (1200, 0), (2500, 0)];
            Record {
                completion_tokens: None,
                ..answer(0, lead_in, &marks)
            }
        };
        let mut run = played(
            vec![silent(false)],
            vec![silent(true)],
            vec![block(0, 1000, 2000)],
        );
        assert_eq!(of_blocks(&run).unwrap().output_tokens, None, "uncounted");
        run.recount = Recount {
            in_blocks: vec![(run.records[0].key(), 6, 1), (run.lead_in[0].key(), 2, 1)],
            ..Recount::default()
        };
        // 6 tokens over 4 messages, 2 of them inside; 2 tokens over as many.
        assert_eq!(of_blocks(&run).unwrap().output_tokens, Some(4.0));
        run.lead_in[0].completion_tokens = Some(8);
        assert_eq!(of_blocks(&run).unwrap().output_tokens, Some(7.0));
    }

    #[test]
    fn blocks_add_up_and_cut_ones_do_not() {
        let records = vec![
            answer(0, false, &[(1500, 5)]),
            answer(1, false, &[(1500, 50), (5000, 7)]),
            answer(2, false, &[(9000, 70)]),
        ];
        let cut = Block {
            cut: true,
            ..block(2, 8000, 9000)
        };
        let blocks = vec![block(0, 1000, 2000), block(1, 4000, 7000), cut];
        let run = played(records, Vec::new(), blocks);
        let found = of_blocks(&run).unwrap();
        assert_eq!(
            (found.window_ns, found.output_tokens, found.requests),
            (4000, Some(12.0), 2),
            "each block's own answers"
        );
        let first = summarize(&run.of_block(0).unwrap());
        assert_eq!(first.output_tokens_per_s, Some(5e6));
        let only_cut = played(Vec::new(), Vec::new(), vec![run.blocks[2].clone()]);
        assert_eq!(of_blocks(&only_cut), None);
        assert_eq!(summarize(&only_cut).output_tokens_per_s, None);
        let empty = played(
            vec![answer(0, false, &[(1, 1)])],
            vec![],
            vec![block(0, 5, 5)],
        );
        assert_eq!(summarize(&empty).requests_per_s, None);
    }
}
