//! The verbs, one file each: they walk through the rooms in order and print.
//! Nothing is computed here.

mod access;
mod arms;
mod asked;
mod calibrate;
mod chat;
mod compare;
mod dataset;
mod experiment;
mod floor;
mod header;
mod measure;
mod pages;
mod profile;
mod report;
mod serve;
mod yardstick;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::{Cli, Command};
use crate::config::{CalibrateConfig, Config};
use crate::stats::words::is_steering;

/// How a command that came to its end leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the figures count.
    Valid,
    /// 1: finished, but the figures do not count.
    Invalid,
    /// 2: an error.
    Error,
}

impl Exit {
    fn of(valid: bool) -> Self {
        if valid { Self::Valid } else { Self::Invalid }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Valid => 0,
            Exit::Invalid => 1,
            Exit::Error => 2,
        })
    }
}

/// Does what the command line says.
///
/// # Errors
/// Whatever keeps the command from its end, in a sentence for the user.
pub fn execute(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Profile(args) => profile::profile(&access::enter(Config::of_profile(args)?)?),
        Command::Compare(args) => compare::compare(&access::enter(Config::of_compare(args)?)?),
        Command::Demo(args) => compare::compare(&Config::of_demo(args)?),
        Command::Calibrate(args) => calibrate::calibrate(&CalibrateConfig::of(&args)?),
        Command::Serve(args) => serve::serve(&args),
        Command::Report(args) => report::report(args),
        Command::Dataset(args) => dataset::dataset(&args),
        Command::Yardstick(args) => yardstick::yardstick(args),
    }
}

/// Says on standard error what went wrong.
#[expect(
    clippy::print_stderr,
    reason = "the one place where errors are printed"
)]
pub fn complain(error: &anyhow::Error) -> Exit {
    eprintln!("error: {}", tame(&format!("{error:#}")));
    Exit::Error
}

/// Says what is left where a bug of ours ended the command.
pub fn panicked() -> Exit {
    complain(&anyhow::anyhow!(
        "pairbench itself failed, see above; please report it as a bug. What had been measured is in \
         the folder of raw records: `pairbench report` with it makes the report"
    ))
}

/// What is said where the process did not end by itself after a second Ctrl-C.
fn farewell() {
    tell("error: quit by the user\n");
}

/// Prints a result.
///
/// A reader that has gone (`pairbench ... | head`) is no error: whoever wanted
/// the rest would still be there.
fn show(text: &str) -> Result<()> {
    hand_over(&tame(text))
}

/// Writes data to standard output as they are.
fn hand_over(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints advice on standard error.
fn advise(text: &str) {
    tell(&format!("warning: {text}\n"));
}

/// Prints text on standard error, for people beside a result.
#[expect(clippy::print_stderr, reason = "the one place where it is printed")]
fn tell(text: &str) {
    eprint!("{}", tame(text));
}

/// What a terminal may get: words from elsewhere steer no cursor and change no
/// colour, wherever they come from.
fn tame(text: &str) -> std::borrow::Cow<'_, str> {
    let wild = |letter: char| is_steering(letter) && letter != '\n';
    if !text.contains(wild) {
        return text.into();
    }
    let tamed = |letter| if wild(letter) { ' ' } else { letter };
    text.chars().map(tamed).collect()
}
