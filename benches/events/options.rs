//! The command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::load::{CASES, Case, Load};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Cost,
    Errors,
    Memory,
    Scale,
    Once,
}

/// The command line; `None`: as the mode has it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) unpinned: bool,
    /// All streams start at one moment whatever the mode has.
    pub(crate) in_step: bool,
    pub(crate) pairs: u32,
    /// The most runs that are played to find `pairs` that the host let be.
    pub(crate) plays: u32,
    pub(crate) threads: usize,
    case: Option<Case>,
    streams: Vec<u32>,
    requests: Option<u32>,
    tokens: Option<u32>,
    gap: Option<Duration>,
}

/// What a mode does where the command line does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) streams: u32,
    pub(crate) requests: u32,
    pub(crate) tokens: u32,
    /// Requests at full speed, where more fit into the same time.
    pub(crate) requests_full_speed: u32,
    pub(crate) gap: Duration,
    /// The streams start over one gap, and not all at once.
    pub(crate) out_of_step: bool,
}

/// To the first token: longer than it takes to start all streams.
const FIRST_TOKEN: Duration = Duration::from_millis(50);

impl Options {
    pub(crate) fn of_arguments(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            mode: Mode::Cost,
            unpinned: false,
            in_step: false,
            pairs: 5,
            plays: 15,
            threads: 1,
            case: None,
            streams: Vec::new(),
            requests: None,
            tokens: None,
            gap: None,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word.as_str() {
                "--errors" => options.mode = Mode::Errors,
                "--memory" => options.mode = Mode::Memory,
                "--scale" => options.mode = Mode::Scale,
                "--once" => options.mode = Mode::Once,
                "--unpinned" => options.unpinned = true,
                "--in-step" => options.in_step = true,
                "--case" => options.case = Some(case(&value()?)?),
                "--pairs" => options.pairs = value()?.parse()?,
                "--plays" => options.plays = value()?.parse()?,
                "--threads" => options.threads = value()?.parse()?,
                "--requests" => options.requests = Some(value()?.parse()?),
                "--tokens" => options.tokens = Some(value()?.parse()?),
                "--gap-us" => options.gap = Some(Duration::from_micros(value()?.parse()?)),
                "--streams" => {
                    let list = value()?;
                    let counts = list.split(',').map(str::parse);
                    options.streams = counts.collect::<Result<_, _>>()?;
                }
                "--bench" => {} // cargo's own
                other => bail!("unknown argument `{other}`; benches/events/main.rs lists them"),
            }
        }
        Ok(options)
    }

    /// The cases that are meant; those that the mode has by default.
    pub(crate) fn cases(&self, by_default: &[&str]) -> Vec<Case> {
        let meant = |case: &&Case| match self.case {
            Some(only) => only.name == case.name,
            None => by_default.is_empty() || by_default.contains(&case.name),
        };
        CASES.iter().filter(meant).copied().collect()
    }

    /// The numbers of streams that are meant.
    pub(crate) fn stream_counts(&self, by_default: &[u32]) -> Vec<u32> {
        if self.streams.is_empty() {
            by_default.to_vec()
        } else {
            self.streams.clone()
        }
    }

    pub(crate) fn load(&self, case: Case, defaults: Defaults) -> Load {
        let requests = if case.full_speed {
            defaults.requests_full_speed
        } else {
            defaults.requests
        };
        let gap = self.gap.unwrap_or(defaults.gap);
        let spread = defaults.out_of_step && !self.in_step && !case.full_speed;
        Load {
            case,
            streams: self.streams.first().copied().unwrap_or(defaults.streams),
            requests: self.requests.unwrap_or(requests),
            tokens: self.tokens.unwrap_or(defaults.tokens),
            first_token: FIRST_TOKEN,
            gap,
            ramp: if spread { gap } else { Duration::ZERO },
        }
    }
}

fn case(name: &str) -> Result<Case> {
    let found = CASES.iter().find(|case| case.name == name).copied();
    found.with_context(|| {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        format!("no case `{name}`; there are {}", names.join(", "))
    })
}
