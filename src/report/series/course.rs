//! Tokens and running requests over time, in equal slices of the time that the
//! arms took together.

use super::{Recounts, recounts, tokens};
use crate::record::{Record, Run};
use crate::stats::Arm;

/// Slices of time.
const SLICES: usize = 150;

/// All arms over time.
pub(in super::super) struct Course {
    /// Length of a slice, in seconds.
    pub(in super::super) slice_s: f64,
    /// Whether the arms share their clock; otherwise each begins at zero.
    pub(in super::super) together: bool,
    /// By arm.
    pub(in super::super) lanes: Vec<Lane>,
}

/// One arm over time.
pub(in super::super) struct Lane {
    /// Tokens per second of each slice; `None`: nothing was in flight, or an answer
    /// came whose tokens nobody counted.
    pub(in super::super) tokens_per_s: Vec<Option<f64>>,
    /// Requests in flight, averaged over each slice.
    pub(in super::super) in_flight: Vec<Option<f64>>,
    /// The arm's blocks.
    pub(in super::super) blocks: Vec<Span>,
}

/// When a block was played, in seconds.
pub(in super::super) struct Span {
    /// Its number.
    pub(in super::super) number: u32,
    /// Its lead-in's first request.
    pub(in super::super) from_s: f64,
    /// Its last answer's end.
    pub(in super::super) to_s: f64,
}

/// `None`: nothing was ever in flight.
pub(in super::super) fn course(arms: &[Arm<'_>]) -> Option<Course> {
    let spans: Vec<Option<(u64, u64)>> = arms.iter().map(|arm| span(arm.run)).collect();
    let together = share_clock(arms);
    let first_ns = spans.iter().flatten().map(|(from, _)| *from).min()?;
    let origin = |own: u64| if together { first_ns } else { own };
    let longest_ns = spans
        .iter()
        .flatten()
        .map(|(from, to)| to.saturating_sub(origin(*from)))
        .max()?
        .max(1);
    let slice_ns = longest_ns as f64 / SLICES as f64;
    let lanes = arms.iter().zip(&spans).map(|(arm, span)| {
        let origin_ns = origin(span.map_or(0, |(from, _)| from));
        lane(
            arm.run,
            &Slices {
                origin_ns,
                slice_ns,
            },
        )
    });
    Some(Course {
        slice_s: slice_ns / 1e9,
        together,
        lanes: lanes.collect(),
    })
}

/// All arms are of one comparison, which has one clock.
fn share_clock(arms: &[Arm<'_>]) -> bool {
    let mut ids = arms.iter().map(|arm| {
        let of = arm.run.header.experiment.as_ref();
        of.map(|of| of.id.as_str()).filter(|id| !id.is_empty())
    });
    let first = ids.next().flatten();
    first.is_some() && ids.all(|id| id == first)
}

fn all(run: &Run) -> impl Iterator<Item = &Record> {
    let sent = |record: &&Record| record.issued_ns > 0 || record.is_ok();
    run.records.iter().chain(&run.lead_in).filter(sent)
}

/// From the first issue to the last end.
fn span(run: &Run) -> Option<(u64, u64)> {
    let from = all(run).map(|record| record.issued_ns).min()?;
    let to = all(run).map(|record| record.end_ns).max()?;
    Some((from, to.max(from)))
}

/// Where slices begin and how long they are.
struct Slices {
    origin_ns: u64,
    slice_ns: f64,
}

impl Slices {
    /// The slice of a moment, and the moment in slices.
    fn place(&self, at_ns: u64) -> (usize, f64) {
        let at = at_ns.saturating_sub(self.origin_ns) as f64 / self.slice_ns;
        // Counted by looking, as a float cannot be made an index safely.
        let slice = (1..SLICES).take_while(|edge| *edge as f64 <= at).count();
        (slice, at)
    }
}

fn lane(run: &Run, slices: &Slices) -> Lane {
    let recounts = recounts(run);
    let mut amounts = vec![Some(0.0); SLICES];
    let mut in_flight = vec![0.0; SLICES];
    for record in all(run) {
        add_tokens(&mut amounts, record, &recounts, slices);
        add_flight(&mut in_flight, record, slices);
    }
    let slice_s = slices.slice_ns / 1e9;
    let busy = |flight: &f64| *flight > 0.0;
    let tokens_per_s = amounts
        .iter()
        .zip(&in_flight)
        .map(|(amount, flight)| amount.filter(|_| busy(flight)).map(|of| of / slice_s))
        .collect();
    let since_s = |at_ns: u64| at_ns.saturating_sub(slices.origin_ns) as f64 / 1e9;
    let mut blocks: Vec<Span> = run
        .blocks
        .iter()
        .map(|block| Span {
            number: block.number,
            from_s: since_s(block.start_ns),
            to_s: since_s(block.end_ns),
        })
        .collect();
    blocks.sort_by_key(|block| block.number);
    Lane {
        tokens_per_s,
        in_flight: in_flight
            .iter()
            .map(|flight| busy(flight).then_some(*flight))
            .collect(),
        blocks,
    }
}

/// A message whose tokens the wire does not tell carries an equal part of its
/// answer's. Where nobody counted a finished one, its slices have no amount, as
/// zero would be a figure; of one that failed the tables count nothing, either.
fn add_tokens(amounts: &mut [Option<f64>], record: &Record, recounts: &Recounts, slices: &Slices) {
    let told = record.marks.iter().all(|mark| mark.tokens > 0);
    let nothing = (!record.is_ok()).then_some(0);
    let whole = tokens(record, recounts).or(nothing).map(f64::from);
    let each = whole.map(|whole| whole / record.marks.len().max(1) as f64);
    let mut slice = 0;
    for mark in &record.marks {
        let at = mark.at_ns.saturating_sub(slices.origin_ns) as f64 / slices.slice_ns;
        while slice + 1 < SLICES && (slice + 1) as f64 <= at {
            slice += 1;
        }
        if let Some(amount) = amounts.get_mut(slice) {
            let brought = if told {
                Some(f64::from(mark.tokens))
            } else {
                each
            };
            *amount = amount.zip(brought).map(|(sum, more)| sum + more);
        }
    }
}

fn add_flight(in_flight: &mut [f64], record: &Record, slices: &Slices) {
    let (first, from) = slices.place(record.issued_ns);
    let (_, to) = slices.place(record.end_ns.max(record.issued_ns));
    for (slice, flight) in in_flight.iter_mut().enumerate().skip(first) {
        let (begin, end) = (slice as f64, (slice + 1) as f64);
        if begin >= to {
            break;
        }
        *flight += (to.min(end) - from.max(begin)).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::course;
    use crate::stats::fixture::{record, run};
    use crate::stats::{Arm, summarize};

    #[test]
    fn tokens_and_flight_add_up() {
        // 20 answers of 30 tokens, 1 s apart, each 3 s long: 3 in flight.
        let run = run((0..20)
            .map(|index| {
                record(
                    index,
                    u64::from(index) * 1_000_000_000,
                    100_000_000,
                    100_000_000,
                    30,
                )
            })
            .collect());
        let summary = summarize(&run);
        let arms = [Arm {
            run: &run,
            summary: &summary,
        }];
        let course = course(&arms).expect("busy");
        assert!(
            (course.slice_s - 22.0 / 150.0).abs() < 1e-9,
            "{}",
            course.slice_s
        );
        let total = |of: &[Option<f64>]| of.iter().flatten().sum::<f64>() * course.slice_s;
        let lane = &course.lanes[0];
        assert!((total(&lane.tokens_per_s) - 600.0).abs() < 1e-6);
        assert!((total(&lane.in_flight) - 60.0).abs() < 1e-6);
        assert!(!course.together, "a run by itself shares no clock");
    }

    /// Zero would say that the arm stood still.
    #[test]
    fn tokens_that_nobody_counted_are_no_figure() {
        let mut run = run((0..2)
            .map(|index| {
                record(
                    index,
                    u64::from(index) * 10_000_000_000,
                    100_000_000,
                    100_000_000,
                    30,
                )
            })
            .collect());
        let unknown = &mut run.records[0];
        unknown.completion_tokens = None;
        for mark in &mut unknown.marks {
            mark.tokens = 0;
        }
        let summary = summarize(&run);
        let arms = [Arm {
            run: &run,
            summary: &summary,
        }];
        let course = course(&arms).expect("busy");
        let lane = &course.lanes[0];
        assert_eq!(lane.tokens_per_s[5], None, "a slice of the first answer");
        assert!(lane.in_flight[5].is_some());
        let total = lane.tokens_per_s.iter().flatten().sum::<f64>() * course.slice_s;
        assert!((total - 30.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn nothing_in_flight_is_no_course() {
        assert!(course(&[]).is_none());
        let empty = run(Vec::new());
        let summary = summarize(&empty);
        let arms = [Arm {
            run: &empty,
            summary: &summary,
        }];
        assert!(course(&arms).is_none());
    }
}
