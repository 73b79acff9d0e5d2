//! Our times against the servers' book: by how much the client's TTFT and ITL
//! are longer than what the server did.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backends::Clock;
use backends::yardstick::Handed;
use pairbench::record::Record;

use super::cost::median;
use super::load::Load;
use super::options::{Defaults, Options};
use super::ours::{self, Outcome};

const DEFAULTS: Defaults = Defaults {
    streams: 64,
    requests: 4,
    tokens: 100,
    requests_full_speed: 4,
    gap: Duration::from_millis(10),
    out_of_step: false,
};

/// Differences in nanoseconds, sorted.
pub(crate) struct Errors {
    /// (first mark - issued) - (first hand-over - arrival).
    pub(crate) ttft_ns: Vec<i64>,
    /// From issue to arrival at the server: the part of the TTFT's error that
    /// comes before the server.
    pub(crate) sent_ns: Vec<i64>,
    /// |client's gap - server's gap|.
    pub(crate) itl_ns: Vec<i64>,
    /// From hand-over to mark, every message.
    pub(crate) floor_ns: Vec<i64>,
    /// Issued behind scheduled.
    pub(crate) slip_ns: Vec<i64>,
}

/// Prints a line for every protocol and number of streams, each figure the median of
/// `--pairs` runs. A run during which the host of a virtual machine took a core for
/// others shows the host: up to `--plays` runs are played until there are enough of the
/// others, and where there never are, those of which it took least are shown.
///
/// # Errors
/// Whatever keeps a run from its end.
pub(crate) fn show(options: &Options, core: Option<usize>, clock: Clock) -> Result<()> {
    println!(
        "server: first token after 50 ms, then one per {} ms; errors in ms, medians of {} runs",
        options
            .load(options.cases(&[])[0], DEFAULTS)
            .gap
            .as_secs_f64()
            * 1e3,
        options.pairs
    );
    println!("{}    host took", header());
    for streams in options.stream_counts(&[1, 64, 256, 512]) {
        for case in options.cases(&["http-paced", "grpc-paced-8k", "grpc-paced"]) {
            let load = Load {
                streams,
                ..options.load(case, DEFAULTS)
            };
            let (runs, played) = quiet_runs(options, &load, core, clock)?;
            let ticks: u64 = runs.iter().map(|run| run.stolen_ticks).sum();
            let figures = medians(&runs);
            println!(
                "{}    {ticks} ticks ({played} played)",
                figures.line(case.name, streams)
            );
        }
    }
    Ok(())
}

/// One run of a load.
struct Played {
    figures: Figures,
    stolen_ticks: u64,
}

/// The runs of which the host took least, and how many were played for them.
fn quiet_runs(
    options: &Options,
    load: &Load,
    core: Option<usize>,
    clock: Clock,
) -> Result<(Vec<Played>, u32)> {
    let wanted = usize::try_from(options.pairs)?;
    let (mut runs, mut played) = (Vec::new(), 0);
    let quiet = |runs: &[Played]| runs.iter().filter(|run| run.stolen_ticks == 0).count();
    while runs.len() < wanted || (quiet(&runs) < wanted && played < options.plays) {
        let mut yard = load.yard(core, clock)?;
        let address = yard.address(load.case.wire).to_owned();
        let outcome = ours::run(&address, load, options.threads, clock, 1)?;
        let end = outcome.run.end.as_ref().context("a run without an end")?;
        runs.push(Played {
            stolen_ticks: end.cores_stolen_ticks.unwrap_or_default(),
            figures: Figures::of(&outcome, &against(&outcome, yard.take()?)?),
        });
        played += 1;
    }
    // Stable: of equals, those played first.
    runs.sort_by_key(|run| run.stolen_ticks);
    runs.truncate(wanted);
    Ok((runs, played))
}

fn medians(runs: &[Played]) -> Figures {
    Figures(std::array::from_fn(|at| {
        let mut values: Vec<f64> = runs.iter().map(|run| run.figures.0[at]).collect();
        median(&mut values).unwrap_or_default()
    }))
}

pub(crate) fn header() -> String {
    format!(
        "{:<15} {:>7} {:>15} {:>9} {:>8} {:>17} {:>9} {:>9} {:>8}",
        "case",
        "streams",
        "TTFT mean, p99",
        "sent mean",
        "ITL p99",
        "floor mean, p99",
        "slip p99",
        "events/s",
        "cpu %"
    )
}

/// What is printed of a run, in the header's order.
pub(crate) struct Figures([f64; 9]);

impl Figures {
    pub(crate) fn of(outcome: &Outcome, errors: &Errors) -> Self {
        let cost = outcome.cost;
        let busy_ns = cost.thread_ns.unwrap_or(cost.process_ns);
        Self([
            mean_ms(&errors.ttft_ns),
            p99_ms(&errors.ttft_ns),
            mean_ms(&errors.sent_ns),
            p99_ms(&errors.itl_ns),
            mean_ms(&errors.floor_ns),
            p99_ms(&errors.floor_ns),
            p99_ms(&errors.slip_ns),
            cost.events_per_s(),
            busy_ns as f64 / cost.span_ns.max(1) as f64 * 100.0,
        ])
    }

    pub(crate) fn line(&self, case: &str, streams: u32) -> String {
        let Self(
            [
                ttft_mean,
                ttft_p99,
                sent,
                itl,
                floor_mean,
                floor_p99,
                slip,
                rate,
                busy,
            ],
        ) = self;
        format!(
            "{case:<15} {streams:>7} {ttft_mean:>7.3} {ttft_p99:>7.3} {sent:>9.3} {itl:>8.3} \
             {floor_mean:>8.3} {floor_p99:>8.3} {slip:>9.3} {rate:>9.0} {busy:>8.0}"
        )
    }
}

/// Sets a run's records against the book.
///
/// # Errors
/// When the book does not have a request, or has it otherwise.
pub(crate) fn against(outcome: &Outcome, book: Vec<Handed>) -> Result<Errors> {
    let book: HashMap<u64, Handed> = book.into_iter().map(|it| (it.request, it)).collect();
    let mut errors = Errors {
        ttft_ns: Vec::new(),
        sent_ns: Vec::new(),
        itl_ns: Vec::new(),
        floor_ns: Vec::new(),
        slip_ns: Vec::new(),
    };
    for record in &outcome.run.records {
        let id = outcome.first_id + u64::from(record.index);
        let handed = book.get(&id).context("a request that is not in the book")?;
        errors.add(record, handed)?;
    }
    for values in [
        &mut errors.ttft_ns,
        &mut errors.sent_ns,
        &mut errors.itl_ns,
        &mut errors.floor_ns,
        &mut errors.slip_ns,
    ] {
        values.sort_unstable();
    }
    Ok(errors)
}

fn difference(later_ns: u64, earlier_ns: u64) -> i64 {
    later_ns
        .cast_signed()
        .wrapping_sub(earlier_ns.cast_signed())
}

impl Errors {
    fn add(&mut self, record: &Record, handed: &Handed) -> Result<()> {
        let mut seen = 0;
        let mut before = None;
        for mark in &record.marks {
            // Where the wire does not tell, a message is a token.
            seen += usize::try_from(mark.tokens.max(1))?;
            let at_ns = *handed
                .at_ns
                .get(seen - 1)
                .context("more marks than tokens")?;
            self.floor_ns.push(difference(mark.at_ns, at_ns));
            match before {
                None => {
                    let ours = difference(mark.at_ns, record.issued_ns);
                    self.ttft_ns
                        .push(ours - difference(at_ns, handed.arrived_ns));
                }
                Some((mark_ns, handed_ns)) => {
                    let ours = difference(mark.at_ns, mark_ns);
                    self.itl_ns
                        .push((ours - difference(at_ns, handed_ns)).abs());
                }
            }
            before = Some((mark.at_ns, at_ns));
        }
        ensure!(seen == handed.at_ns.len(), "fewer marks than tokens");
        self.sent_ns
            .push(difference(handed.arrived_ns, record.issued_ns));
        self.slip_ns
            .push(difference(record.issued_ns, record.scheduled_ns));
        Ok(())
    }
}

fn mean_ms(sorted_ns: &[i64]) -> f64 {
    let sum: i64 = sorted_ns.iter().sum();
    sum as f64 / sorted_ns.len().max(1) as f64 / 1e6
}

fn p99_ms(sorted_ns: &[i64]) -> f64 {
    let at = (sorted_ns.len() * 99).div_ceil(100).saturating_sub(1);
    sorted_ns.get(at).map_or(0.0, |&ns| ns as f64 / 1e6)
}
