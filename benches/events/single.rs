//! One run of ours: for its memory, its behaviour with many streams, or for
//! somebody who counts instructions.

use std::time::Duration;

use anyhow::{Context, Result};
use backends::Clock;

use super::errors::{Figures, against, header};
use super::options::{Defaults, Options};
use super::ours;

const DEFAULTS: Defaults = Defaults {
    streams: 64,
    requests: 10,
    tokens: 256,
    requests_full_speed: 10,
    gap: Duration::from_millis(10),
    out_of_step: false,
};

const SCALE: Defaults = Defaults {
    streams: 4096,
    requests: 1,
    tokens: 200,
    gap: Duration::from_millis(20),
    out_of_step: true,
    ..DEFAULTS
};

/// Few streams, so that a slowed-down client still gets each token by itself.
const ONCE: Defaults = Defaults {
    streams: 8,
    requests: 1,
    tokens: 200,
    out_of_step: true,
    ..DEFAULTS
};

/// Prints the peak of this process' memory over one run of each case that is
/// meant; for a figure of one, ask for one.
///
/// # Errors
/// Whatever keeps a run from its end.
pub(crate) fn memory(options: &Options, core: Option<usize>, clock: Clock) -> Result<()> {
    for case in options.cases(&["http-paced"]) {
        let load = options.load(case, DEFAULTS);
        let yard = load.yard(core, clock)?;
        let idle = peak_kb()?;
        let outcome = ours::run_unread(yard.address(case.wire), &load, options.threads, clock)?;
        println!(
            "{}: {} requests, {} streams, {} tokens each, {} events: peak {} MB ({} MB before)",
            case.name,
            load.streams * load.requests,
            load.streams,
            load.tokens,
            outcome.events,
            peak_kb()? / 1000,
            idle / 1000
        );
    }
    Ok(())
}

/// Prints one run with many streams.
///
/// # Errors
/// Whatever keeps the run from its end.
pub(crate) fn scale(options: &Options, core: Option<usize>, clock: Clock) -> Result<()> {
    println!("{}", header());
    for case in options.cases(&["http-paced", "grpc-paced"]) {
        for streams in options.stream_counts(&[SCALE.streams]) {
            let mut load = options.load(case, SCALE);
            load.streams = streams;
            let mut yard = load.yard(core, clock)?;
            let address = yard.address(case.wire).to_owned();
            let outcome = ours::run(&address, &load, options.threads, clock, 1)?;
            let errors = against(&outcome, yard.take()?)?;
            println!(
                "{}",
                Figures::of(&outcome, &errors).line(case.name, streams)
            );
        }
    }
    Ok(())
}

/// Runs once and prints how many events there were.
///
/// # Errors
/// Whatever keeps the run from its end.
pub(crate) fn once(options: &Options, core: Option<usize>, clock: Clock) -> Result<()> {
    for case in options.cases(&["http-paced"]) {
        let load = options.load(case, ONCE);
        let yard = load.yard(core, clock)?;
        let cost = ours::run_unread(yard.address(case.wire), &load, options.threads, clock)?;
        println!("{}: {} events", case.name, cost.events);
    }
    Ok(())
}

/// The largest resident size so far (Linux, `proc_pid_status(5)`), in units of
/// 1,024 bytes.
fn peak_kb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("the system does not tell")?.parse()?)
}
