//! Reads the command line, does what it says, leaves with 0 (valid), 1
//! (finished but invalid) or 2 (error).

use std::process::ExitCode;

use clap::Parser;
use pairbench::cli::Cli;
use pairbench::commands;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match std::panic::catch_unwind(|| commands::execute(cli)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => commands::complain(&error).into(),
        Err(_) => commands::panicked().into(),
    }
}
