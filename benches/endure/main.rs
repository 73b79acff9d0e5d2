//! Endurance, on Linux: what survives a kill, what grows in a long run, and how
//! many streams at once there may be.
//!
//! ```text
//! cargo bench --bench endure -- --kills 100        of each of three kinds of run
//! cargo bench --bench endure -- --soak 20m         64 streams, full speed, both protocols
//! cargo bench --bench endure -- --streams 10000    at once, both protocols
//! ```
//!
//! Each leaves with 1 when something was lost, grew or failed. `--streams` takes
//! the number for `--soak`, too; `--only http` or `--only grpc` one protocol.

#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

#[cfg(target_os = "linux")]
#[path = "../../tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../../tests/common/kills.rs"]
mod kills;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "shared with the benchmark of events")]
#[path = "../events/load.rs"]
mod load;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "shared with the benchmark of events")]
#[path = "../events/ours.rs"]
mod ours;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod samples;
#[cfg(target_os = "linux")]
mod soak;
#[cfg(target_os = "linux")]
mod streams;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<std::process::ExitCode> {
    use anyhow::{Context, bail};

    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let (mut kills, mut soak, mut streams, mut only) = (None, None, None, None);
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--kills" => kills = Some(value.parse()?),
            "--soak" => soak = Some(soak::duration(&value)?),
            "--streams" => streams = Some(value.parse()?),
            "--only" => only = Some(value),
            other => bail!("unknown argument `{other}`; benches/endure/main.rs lists them"),
        }
    }
    let well = match (kills, soak, streams) {
        (Some(kills), None, None) => killed(kills),
        (None, Some(length), streams) => {
            soak::soak(length, streams.unwrap_or(64), only.as_deref())?
        }
        (None, None, Some(streams)) => streams::streams(streams, only.as_deref())?,
        (None, None, None) => {
            println!("give --kills N, --soak TIME or --streams N; see benches/endure/main.rs");
            true
        }
        _ => bail!("one thing at a time: --kills, --soak or --streams"),
    };
    Ok(std::process::ExitCode::from(u8::from(!well)))
}

/// Kills runs and prints what was left of them. A run that lost more than it may
/// panics with what it lost.
#[cfg(target_os = "linux")]
fn killed(kills: u32) -> bool {
    for kind in kills::KINDS {
        let found = kills::kill(kind, kills, 0x5eed);
        println!("{found}");
    }
    true
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark reads /proc: it is for Linux");
}
