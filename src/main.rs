//! Reads the command line, does what it says, leaves with 0 (valid), 1
//! (finished but invalid) or 2 (error).

use std::process::ExitCode;

use clap::Parser;
use pairbench::cli::Cli;
use pairbench::commands;

fn main() -> ExitCode {
    match commands::execute(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => commands::complain(&error).into(),
    }
}
