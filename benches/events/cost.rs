//! Processor time per token event: the bare reader, ours, the bare reader,
//! ours, and so on, and the ratio within each pair.

use anyhow::Result;
use backends::Clock;
use backends::yardstick::Wire;

use super::load::{Case, Cost, Load};
use super::options::{Defaults, Options};
use super::{bare_grpc, bare_http, ours};

const DEFAULTS: Defaults = Defaults {
    streams: 64,
    requests: 4,
    tokens: 256,
    requests_full_speed: 10,
    gap: std::time::Duration::from_millis(10),
    out_of_step: true,
};

/// Prints a line for every case.
///
/// # Errors
/// Whatever keeps a run from its end.
pub(crate) fn show(options: &Options, core: Option<usize>, clock: Clock) -> Result<()> {
    println!(
        "{:<15} {:>9} {:>9} {:>9} {:>9} {:>22}  {:>9}",
        "us per event", "bare", "ours", "(thread)", "(server)", "ours/bare (min..max)", "events/s"
    );
    for case in options.cases(&[]) {
        show_case(options, case, core, clock)?;
    }
    Ok(())
}

fn show_case(options: &Options, case: Case, core: Option<usize>, clock: Clock) -> Result<()> {
    let load = options.load(case, DEFAULTS);
    let (mut bares, mut own, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut servers, mut ratios, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut yard = load.yard(core, clock)?;
    for pair in 0..options.pairs {
        let bare = case
            .has_bare
            .then(|| bare(yard.address(case.wire), &load, clock))
            .transpose()?;
        // What the bare reader was sent has no use.
        drop(yard.take()?);
        let before_ns = yard.cpu_ns()?.unwrap_or_default();
        let first_id = 1 + u64::from(pair) * 1_000_000;
        let address = yard.address(case.wire).to_owned();
        let ours = ours::run(&address, &load, options.threads, clock, first_id)?.cost;
        let server_ns = yard.cpu_ns()?.unwrap_or_default() - before_ns;
        drop(yard.take()?);
        own.push(ours.us());
        threads.extend(ours.thread_us());
        servers.push(server_ns as f64 / ours.events as f64 / 1e3);
        rates.push(ours.events_per_s());
        if let Some(bare) = bare {
            bares.push(bare.us());
            ratios.push(ours.us() / bare.us());
        }
    }
    let number = |values: &mut Vec<f64>| {
        median(values).map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
    };
    let ratio = median(&mut ratios).map_or_else(
        || "-".to_owned(),
        |middle| {
            format!(
                "{middle:.2} ({:.2}..{:.2})",
                ratios[0],
                ratios[ratios.len() - 1]
            )
        },
    );
    println!(
        "{:<15} {:>9} {:>9} {:>9} {:>9} {:>22}  {:>9.0}",
        case.name,
        number(&mut bares),
        number(&mut own),
        number(&mut threads),
        number(&mut servers),
        ratio,
        median(&mut rates).unwrap_or_default()
    );
    Ok(())
}

fn bare(address: &str, load: &Load, clock: Clock) -> Result<Cost> {
    match load.case.wire {
        Wire::Http => bare_http::run(address, load, clock),
        Wire::Grpc => bare_grpc::run(address, load, clock),
    }
}

/// Sorts the values; the one in the middle.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}
