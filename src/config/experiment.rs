//! How arms are compared: blocks, precision, time, and what decides. Whether a
//! metric or a condition exists is for those to say who compute it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Arm;
use crate::cli::{ExperimentArgs, FormatArg, JudgeArgs, PageArgs};

/// Most blocks that a flag may ask for.
const MAX_BLOCKS: u32 = 10_000;
/// Longest comparison that a flag may ask for, in minutes: a week.
const MAX_MINUTES: f64 = 10_080.0;
/// What a precision or a margin may be, as a share.
const SHARES: std::ops::RangeInclusive<f64> = 0.0001..=0.5;

/// How the arms of a comparison are played.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentConfig {
    /// Blocks, and slices that the prompts are cut into; `None`: nobody says.
    pub blocks: Option<u32>,
    /// Half width of the interval that is asked for, as a share.
    pub precision: Option<f64>,
    /// After which no block is begun.
    pub max_time: Option<Duration>,
    /// All arms at the same moment.
    pub duet: bool,
}

impl ExperimentConfig {
    /// What the flags ask for.
    pub(super) fn of(args: &ExperimentArgs) -> Result<Self> {
        Ok(Self {
            blocks: args.blocks.map(blocks).transpose()?,
            precision: share(args.precision.as_deref(), "--precision")?,
            max_time: args.max_time.map(minutes).transpose()?,
            duet: args.duet,
        })
    }

    /// So many blocks, one arm after the other.
    pub(super) fn of_blocks(count: u32) -> Result<Self> {
        Ok(Self {
            blocks: Some(blocks(count)?),
            precision: None,
            max_time: None,
            duet: false,
        })
    }
}

/// What is held to be a difference. Names as they were typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Largest difference that counts as none, as a share; `None`: as usual.
    pub margin: Option<f64>,
    /// Metrics that decide; none: the usual one.
    pub primary: Vec<String>,
    /// Conditions under which the command fails.
    pub fail_if: Vec<String>,
}

impl Judgement {
    /// What the flags ask for.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of(args: JudgeArgs) -> Result<Self> {
        Ok(Self {
            margin: share(args.margin.as_deref(), "--margin")?,
            primary: args.primary,
            fail_if: args.fail_if,
        })
    }
}

/// Form of a report on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// Markdown.
    Markdown,
    /// For machines.
    Json,
}

/// How results are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// File that gets the page.
    pub html: Option<PathBuf>,
    /// Form on standard output.
    pub format: Format,
}

impl Pages {
    /// What the flags ask for.
    #[must_use]
    pub fn of(args: PageArgs) -> Self {
        Self {
            html: args.html,
            format: match args.format {
                FormatArg::Text => Format::Text,
                FormatArg::Md => Format::Markdown,
                FormatArg::Json => Format::Json,
            },
        }
    }
}

/// Arms whose addresses name one host, in words: `tis and api_server on
/// 10.0.0.7`. Names are compared as they stand, nobody is asked what they stand
/// for; all names of this machine, and embedded servers, are one.
#[must_use]
pub fn shared_host(arms: &[Arm]) -> Option<String> {
    let mut by_host: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for arm in arms {
        let host = host(&arm.address);
        by_host.entry(host).or_default().push(arm.entry.name);
    }
    let shared: Vec<String> = by_host
        .iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(host, names)| format!("{} on {host}", names.join(" and ")))
        .collect();
    (!shared.is_empty()).then(|| shared.join(", "))
}

fn host(address: &str) -> String {
    const HERE: &str = "this machine";
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or(address);
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    };
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let here = host == Arm::SIM || host == "localhost" || host == "::1" || host == "0.0.0.0";
    if here || host.starts_with("127.") {
        return HERE.to_owned();
    }
    host
}

fn blocks(count: u32) -> Result<u32> {
    ensure!(
        (1..=MAX_BLOCKS).contains(&count),
        "--blocks {count}: must be from 1 to {MAX_BLOCKS}; 6 or more say something"
    );
    Ok(count)
}

fn minutes(value: f64) -> Result<Duration> {
    ensure!(
        value.is_finite() && value > 0.0 && value <= MAX_MINUTES,
        "--max-time {value}: must be above 0 minutes and at most {MAX_MINUTES} (a week)"
    );
    Ok(Duration::from_secs_f64(value * 60.0))
}

/// A share: `2%`, or `0.02`. A bare `2` could be either and is refused.
fn share(word: Option<&str>, flag: &str) -> Result<Option<f64>> {
    let Some(word) = word else {
        return Ok(None);
    };
    let (number, unit) = match word.trim().strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (word, 1.0),
    };
    let wrong = || format!("{flag} {word}: give a share such as 2% or 0.02");
    let number: f64 = number.trim().parse().with_context(wrong)?;
    let share = number / unit;
    ensure!(
        SHARES.contains(&share),
        "{flag} {word}: must be from {}% to {}%, given as 2% or 0.02",
        SHARES.start() * 100.0,
        SHARES.end() * 100.0
    );
    Ok(Some(share))
}

#[cfg(test)]
mod tests {
    use super::{host, share};

    #[test]
    fn shares_are_read_in_both_spellings() {
        for (word, expected) in [
            ("2%", Some(0.02)),
            (" 2 %", Some(0.02)),
            ("0.02", Some(0.02)),
            ("0.5%", Some(0.005)),
            ("50%", Some(0.5)),
            ("2", None),
            ("0", None),
            ("-2%", None),
            ("NaN", None),
            ("inf%", None),
            ("%", None),
            ("two", None),
        ] {
            let found = share(Some(word), "--margin");
            match expected {
                Some(expected) => {
                    let found = found.unwrap().unwrap();
                    assert!((found - expected).abs() < 1e-12, "{word}: {found}");
                }
                None => {
                    let error = format!("{:#}", found.unwrap_err());
                    assert!(
                        error.contains("--margin") && error.contains("2%"),
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(share(None, "--margin").unwrap(), None);
    }

    #[test]
    fn hosts_are_told_apart() {
        for (address, expected) in [
            ("sim", "this machine"),
            ("localhost:33337", "this machine"),
            ("127.0.0.1:80", "this machine"),
            ("http://0.0.0.0:23333", "this machine"),
            ("[::1]:80", "this machine"),
            ("https://GPU-7.lan:80/v1", "gpu-7.lan"),
            ("gpu-7.lan", "gpu-7.lan"),
            ("[fe80::2]:80", "fe80::2"),
            ("10.0.0.7:1", "10.0.0.7"),
        ] {
            assert_eq!(host(address), expected, "{address}");
        }
    }
}
