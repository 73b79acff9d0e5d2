//! Sets the client's marks beside the server's book, request by request and
//! token by token. Both are on one clock, so their difference is the delay.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use backends::yardstick::{Handed, Pace};

use crate::record::{Mark, Record};

/// One token: when it was handed over, and how long after that it was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) handed_ns: u64,
    pub(super) delay_ns: i64,
    /// How late the server was against its pace.
    pub(super) late_ns: i64,
}

/// What was found for all requests of a run. All in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    /// Every token.
    pub(super) events: Vec<Event>,
    /// Issue to arrival, one per request.
    pub(super) request_ns: Vec<i64>,
    /// First-token latency as measured, minus what the server took.
    pub(super) first_token_error_ns: Vec<i64>,
    /// Gap of marks minus gap of hand-overs, without sign.
    pub(super) gap_error_ns: Vec<i64>,
    /// Issued minus scheduled, one per request.
    pub(super) slip_ns: Vec<i64>,
    /// From the last stream's first token to the first stream's last one; the
    /// end is before the beginning where streams do not overlap.
    pub(super) steady_ns: (u64, u64),
}

impl Joined {
    /// The delays of all tokens.
    pub(super) fn delays_ns(&self) -> Vec<i64> {
        self.events.iter().map(|event| event.delay_ns).collect()
    }

    /// The tokens that were handed over while all streams ran; all of them where
    /// there was no such time.
    pub(super) fn steady(&self) -> Vec<Event> {
        let (from_ns, to_ns) = self.steady_ns;
        let inside = |event: &&Event| (from_ns..=to_ns).contains(&event.handed_ns);
        if from_ns >= to_ns {
            return self.events.clone();
        }
        self.events.iter().filter(inside).copied().collect()
    }
}

/// Joins the records of a run, whose requests have ids from `first_id` on, with
/// what the server wrote down.
///
/// # Errors
/// When a request failed, is not in the book, or came with another number of
/// tokens: then there is nothing to compare.
pub(super) fn join(
    records: &[Record],
    book: &[Handed],
    first_id: u64,
    pace: Pace,
) -> Result<Joined> {
    let by_id: HashMap<u64, &Handed> = book.iter().map(|entry| (entry.request, entry)).collect();
    let mut joined = Joined {
        steady_ns: (0, u64::MAX),
        ..Joined::default()
    };
    for record in records {
        ensure!(
            record.is_ok(),
            "request {} failed against our own server: {}: {}",
            record.index,
            record.outcome,
            record.error.as_deref().unwrap_or("no words")
        );
        let id = first_id + u64::from(record.index);
        let handed = by_id.get(&id).copied();
        let seen = handed.and_then(|handed| Some((handed, times(record, handed.at_ns.len())?)));
        let Some((handed, seen_ns)) = seen else {
            let tokens = handed.map_or(0, |handed| handed.at_ns.len());
            anyhow::bail!(
                "request {} has {} marks, and the server's book {tokens} messages for it: they \
                 cannot be set side by side; please report it as a bug",
                record.index,
                marks(record).len()
            );
        };
        one(&mut joined, record, handed, &seen_ns, pace);
    }
    ensure!(
        !joined.events.is_empty(),
        "no token came from our own server"
    );
    Ok(joined)
}

/// Where the client chains the models, the engine's own messages: the text
/// takes a call more, which is the server's.
fn marks(record: &Record) -> &[Mark] {
    if record.engine_marks.is_empty() {
        &record.marks
    } else {
        &record.engine_marks
    }
}

/// When the client held each of so many tokens; `None` where it saw another
/// number.
fn times(record: &Record, tokens: usize) -> Option<Vec<u64>> {
    let marks = marks(record);
    if marks.len() == tokens {
        return Some(marks.iter().map(|mark| mark.at_ns).collect());
    }
    let mut times = Vec::with_capacity(tokens);
    for mark in marks {
        let count = usize::try_from(mark.tokens).ok()?;
        if count > tokens - times.len() {
            return None;
        }
        times.extend(std::iter::repeat_n(mark.at_ns, count));
    }
    (times.len() == tokens).then_some(times)
}

fn one(joined: &mut Joined, record: &Record, handed: &Handed, seen_ns: &[u64], pace: Pace) {
    let mut due_ns = pace.first_due_ns(handed.arrived_ns, handed.request);
    let gap_ns = u64::try_from(pace.per_token.as_nanos()).unwrap_or(u64::MAX);
    for (&handed_ns, &seen_ns) in handed.at_ns.iter().zip(seen_ns) {
        joined.events.push(Event {
            handed_ns,
            delay_ns: between(handed_ns, seen_ns),
            late_ns: between(due_ns, handed_ns),
        });
        due_ns = due_ns.saturating_add(gap_ns);
    }
    for (handed, seen) in handed.at_ns.windows(2).zip(seen_ns.windows(2)) {
        if let ([before, after], [seen_before, seen_after]) = (handed, seen) {
            let error = between(*seen_before, *seen_after) - between(*before, *after);
            joined.gap_error_ns.push(error.saturating_abs());
        }
    }
    let request_ns = between(record.issued_ns, handed.arrived_ns);
    joined.request_ns.push(request_ns);
    joined
        .slip_ns
        .push(between(record.scheduled_ns, record.issued_ns));
    if let ([first_ns, .., last_ns] | [first_ns @ last_ns], Some(seen_ns)) =
        (handed.at_ns.as_slice(), seen_ns.first())
    {
        joined
            .first_token_error_ns
            .push(request_ns + between(*first_ns, *seen_ns));
        let (from_ns, to_ns) = joined.steady_ns;
        joined.steady_ns = (from_ns.max(*first_ns), to_ns.min(*last_ns));
    }
}

/// From one moment to another; negative where the other comes first.
fn between(from_ns: u64, to_ns: u64) -> i64 {
    let whole = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    whole(to_ns) - whole(from_ns)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backends::yardstick::{Handed, Pace};

    use super::{Event, Joined, join};
    use crate::record::{Mark, Record};

    const PACE: Pace = Pace {
        first_token: Duration::from_nanos(50),
        per_token: Duration::from_nanos(10),
        output_ids_len: 0,
        phases: 0,
    };

    fn record(index: u32, issued_ns: u64, marks: &[(u64, u32)]) -> Record {
        Record {
            index,
            scheduled_ns: issued_ns - 2,
            issued_ns,
            outcome: "ok".to_owned(),
            marks: marks.iter().copied().map(Mark::from).collect(),
            ..Record::default()
        }
    }

    fn handed(request: u64, arrived_ns: u64, at_ns: &[u64]) -> Handed {
        Handed {
            request,
            arrived_ns,
            at_ns: at_ns.to_vec(),
        }
    }

    fn event(handed_ns: u64, delay_ns: i64, late_ns: i64) -> Event {
        Event {
            handed_ns,
            delay_ns,
            late_ns,
        }
    }

    #[test]
    fn delays_by_hand() {
        let records = [
            record(0, 100, &[(160, 1), (175, 1)]),
            record(1, 200, &[(261, 1), (270, 1)]),
        ];
        // In any order, and with a request of a warm-up before them.
        let book = [
            handed(8, 203, &[256, 268]),
            handed(6, 1, &[2]),
            handed(7, 104, &[155, 166]),
        ];
        let expected = Joined {
            events: vec![
                event(155, 5, 1),
                event(166, 9, 2),
                event(256, 5, 3),
                event(268, 2, 5),
            ],
            request_ns: vec![4, 3],
            first_token_error_ns: vec![9, 8],
            gap_error_ns: vec![4, 3],
            slip_ns: vec![2, 2],
            steady_ns: (256, 166),
        };
        let found = join(&records, &book, 7, PACE).expect("fit");
        assert_eq!(found, expected);
        assert_eq!(found.steady().len(), 4, "they do not overlap");
        assert_eq!(found.delays_ns(), [5, 9, 5, 2]);
    }

    #[test]
    fn only_what_lies_in_the_steady_part_counts_there() {
        let records = [
            record(0, 100, &[(151, 1), (161, 1), (171, 1)]),
            record(1, 107, &[(158, 1), (168, 1), (178, 1)]),
        ];
        let book = [
            handed(1, 100, &[150, 160, 170]),
            handed(2, 107, &[157, 167, 177]),
        ];
        let found = join(&records, &book, 1, PACE).expect("fit");
        let times: Vec<u64> = found.steady().iter().map(|event| event.handed_ns).collect();
        assert_eq!(times, [160, 170, 157, 167]);
    }

    #[test]
    fn several_tokens_of_one_message_share_its_time() {
        let records = [record(0, 100, &[(160, 1), (180, 2)])];
        let book = [handed(1, 100, &[150, 160, 170])];
        let found = join(&records, &book, 1, PACE).expect("fit");
        assert_eq!(found.delays_ns(), [10, 20, 10]);
    }

    #[test]
    fn a_wait_for_its_phase_makes_no_server_late() {
        let records = [record(0, 103, &[(167, 1), (178, 1)])];
        let book = [handed(1, 103, &[161, 172])];
        let pace = Pace { phases: 1, ..PACE };
        let found = join(&records, &book, 1, pace).expect("fit");
        let late: Vec<i64> = found.events.iter().map(|event| event.late_ns).collect();
        assert_eq!(late, [1, 2], "due at 160 and 170");
    }

    #[test]
    fn the_engines_messages_come_before_their_text() {
        let mut chained = record(0, 100, &[(190, 2)]);
        chained.engine_marks = [(151, 1), (163, 1)].map(Mark::from).to_vec();
        let book = [handed(1, 100, &[150, 160])];
        let found = join(&[chained], &book, 1, PACE).expect("fit");
        assert_eq!(found.delays_ns(), [1, 3]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut failed = record(0, 100, &[]);
        failed.outcome = "server".to_owned();
        failed.error = Some("out of memory".to_owned());
        let two = || record(0, 100, &[(160, 1), (170, 1)]);
        for (record, book, words) in [
            (failed, vec![handed(1, 100, &[150])], "out of memory"),
            (two(), vec![], "2 marks"),
            (two(), vec![handed(2, 100, &[150, 160])], "2 marks"),
            (two(), vec![handed(1, 100, &[150])], "1 messages"),
            (two(), vec![handed(1, 100, &[1, 2, 3])], "3 messages"),
            (
                record(0, 100, &[]),
                vec![handed(1, 100, &[])],
                "no token came",
            ),
        ] {
            let error = join(&[record], &book, 1, PACE).expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
