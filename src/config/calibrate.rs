//! The load under which the instrument measures itself.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use backends::Entry;

use super::{at_least_one, client_threads, concurrency, find, ramp};
use crate::cli::{CalibrateArgs, Spread};

/// Backends where none is named: one of each protocol and form of answer.
const BACKENDS: [&str; 3] = ["tis-direct", "tis-ensemble", "api_server"];

/// Longest time that a flag may ask for, in milliseconds: ten seconds.
const MAX_MS: f64 = 10_000.0;
/// Shortest gap between two tokens, in milliseconds.
const MIN_GAP_MS: f64 = 0.1;
/// Most tokens of an answer.
const MAX_TOKENS: u32 = 100_000;
/// Most tokens of all rounds: they are held in memory.
const MAX_EVENTS: u64 = 10_000_000;
/// Rounds at most, for each that was asked for: as many are played until the floors
/// are known well.
const ROUNDS_FACTOR_MAX: u32 = 3;
/// Most ids in a message.
const MAX_IDS: u32 = 1_000_000;

/// Everything that `calibrate` needs to know.
#[derive(Clone, Debug)]
pub struct CalibrateConfig {
    /// The backends, each once.
    pub backends: Vec<&'static Entry>,
    /// Requests in flight.
    pub concurrency: u32,
    /// From a request's arrival to its first token.
    pub first_token: Duration,
    /// From token to token.
    pub per_token: Duration,
    /// Tokens of each answer.
    pub output_tokens: u32,
    /// Requests per slot and round.
    pub requests_per_slot: u32,
    /// Rounds per backend.
    pub rounds: u32,
    /// Rounds per backend at most.
    pub rounds_max: u32,
    /// Time over which the requests of a round start.
    pub ramp: Duration,
    /// Moments of a gap at which tokens come, evenly spread; 0: as the requests came.
    pub phases: u32,
    /// Ids in each message of the engine model; 0: those that there are.
    pub output_ids: u32,
    /// Threads of the client.
    pub client_threads: usize,
    /// Whether the highest rate is looked for.
    pub ladder: bool,
    /// Folder that gets the result.
    pub records: PathBuf,
}

impl CalibrateConfig {
    /// What the flags ask for.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of(args: &CalibrateArgs) -> Result<Self> {
        let named: Vec<&str> = match args.backends.as_slice() {
            [] => BACKENDS.to_vec(),
            named => named.iter().map(String::as_str).collect(),
        };
        let mut backends: Vec<&'static Entry> = Vec::new();
        for name in named {
            let entry = find(name)?;
            ensure!(
                backends.iter().all(|known| known.name != entry.name),
                "--backend {name}: given twice; its rounds are set by --rounds"
            );
            backends.push(entry);
        }
        ensure!(
            (2..=MAX_TOKENS).contains(&args.output_tokens),
            "--output-tokens {}: must be from 2 to {MAX_TOKENS}",
            args.output_tokens
        );
        ensure!(
            (2..=1_000).contains(&args.rounds),
            "--rounds {}: must be from 2 to 1000, as one round does not tell how sure it is",
            args.rounds
        );
        ensure!(
            args.output_ids <= MAX_IDS,
            "--output-ids {}: at most {MAX_IDS}",
            args.output_ids
        );
        let config = Self {
            backends,
            concurrency: concurrency(args.concurrency)?,
            first_token: millis(args.first_token_ms, 0.0, "--first-token-ms")?,
            per_token: millis(args.per_token_ms, MIN_GAP_MS, "--per-token-ms")?,
            output_tokens: args.output_tokens,
            requests_per_slot: at_least_one(args.requests_per_slot, "--requests-per-slot")?,
            rounds: args.rounds,
            rounds_max: args.rounds.saturating_mul(ROUNDS_FACTOR_MAX),
            ramp: ramp(args.ramp)?,
            phases: phases(args.spread, args.concurrency),
            output_ids: args.output_ids,
            client_threads: client_threads(args.client_threads, args.concurrency)?,
            ladder: !args.no_ladder,
            records: args.records.clone(),
        };
        let events = [
            config.concurrency,
            config.requests_per_slot,
            config.output_tokens,
            config.rounds_max,
        ];
        let events = events.into_iter().fold(1_u64, |product, factor| {
            product.saturating_mul(factor.into())
        });
        ensure!(
            events <= MAX_EVENTS,
            "{events} tokens per backend, in up to {} rounds, are more than the {MAX_EVENTS} that fit in memory; lower \
             --output-tokens, --requests-per-slot, --rounds or --concurrency",
            config.rounds_max
        );
        Ok(config)
    }
}

fn phases(spread: Spread, concurrency: u32) -> u32 {
    match spread {
        Spread::Even => concurrency,
        Spread::Step => 1,
        Spread::Start => 0,
    }
}

fn millis(value: f64, least: f64, flag: &str) -> Result<Duration> {
    ensure!(
        (least..=MAX_MS).contains(&value),
        "{flag} {value}: must be from {least} to {MAX_MS} milliseconds"
    );
    Ok(Duration::from_secs_f64(value / 1e3))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::CalibrateConfig;
    use crate::cli::{Cli, Command};

    fn of(words: &str) -> anyhow::Result<CalibrateConfig> {
        let line = format!("pairbench calibrate {words}");
        let cli = Cli::try_parse_from(line.split_whitespace())?;
        match cli.command {
            Command::Calibrate(args) => CalibrateConfig::of(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_flags_both_protocols_are_measured() {
        let config = of("").expect("complete");
        let names: Vec<_> = config.backends.iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["tis-direct", "tis-ensemble", "api_server"]);
        assert!(config.ladder && config.concurrency == 64 && config.client_threads >= 1);
        assert_eq!(config.phases, 64, "each stream at a moment of its own");
        for (words, phases) in [("step", 1), ("start", 0), ("even", 64)] {
            let config = of(&format!("--spread {words}")).expect(words);
            assert_eq!(config.phases, phases, "{words}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_the_flags_name() {
        for (words, part) in [
            ("--backend nobody", "nobody"),
            ("--backend tis --backend triton", "given twice"),
            ("--concurrency 0", "--concurrency 0"),
            ("--per-token-ms 0", "--per-token-ms 0"),
            ("--per-token-ms NaN", "--per-token-ms NaN"),
            ("--first-token-ms -1", "--first-token-ms -1"),
            ("--first-token-ms 1e9", "--first-token-ms"),
            ("--output-tokens 1", "--output-tokens 1"),
            ("--requests-per-slot 0", "--requests-per-slot 0"),
            ("--rounds 1", "--rounds 1"),
            ("--ramp -1", "--ramp -1"),
            ("--output-ids 4000000000", "--output-ids"),
            ("--client-threads 0", "--client-threads 0"),
            ("--output-tokens 100000 --rounds 1000", "fit in memory"),
        ] {
            let error = of(words).expect_err(words);
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
