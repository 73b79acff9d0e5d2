//! The child's side: both yardstick servers on one thread, asked for their
//! book by lines on standard input. Ends when that ends, so that it never
//! outlives whoever started it.

use std::io::{BufRead, Write};
use std::net::TcpListener;

use anyhow::{Context, Result, bail};
use backends::Clock;
use backends::yardstick::{Book, Handed, Pace, Wire, serve};
use serde::{Deserialize, Serialize};

use super::cores;

/// What the parent tells when it starts the child.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The origin of the parent's clock ([`Clock::origin_since_boot_ns`]).
    pub origin_since_boot_ns: u64,
    /// When tokens are handed over.
    pub pace: Pace,
    /// The core to keep to.
    pub core: Option<usize>,
}

/// The child's first line.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Ready {
    /// Where HTTP is served, as HOST:PORT.
    pub(super) http: String,
    /// Where gRPC is served.
    pub(super) grpc: String,
    /// Why it does not keep to the core that it was told.
    pub(super) not_pinned: Option<String>,
}

/// A line of the book: the request, its arrival, and the time from each event
/// to the next, which is shorter to write than the time of day.
pub(super) type Line = (u64, u64, Vec<u64>);

/// The book's entry as a line.
pub(super) fn line_of(handed: &Handed) -> Line {
    let mut before_ns = handed.arrived_ns;
    let gaps = handed.at_ns.iter().map(|&at_ns| {
        let gap_ns = at_ns.saturating_sub(before_ns);
        before_ns = at_ns;
        gap_ns
    });
    (handed.request, handed.arrived_ns, gaps.collect())
}

/// The line as the book's entry.
pub(super) fn handed_of((request, arrived_ns, gaps): Line) -> Handed {
    let mut at_ns = arrived_ns;
    let times = gaps.into_iter().map(|gap_ns| {
        at_ns = at_ns.saturating_add(gap_ns);
        at_ns
    });
    Handed {
        request,
        arrived_ns,
        at_ns: times.collect(),
    }
}

/// Runs the child until its standard input ends.
///
/// # Errors
/// When it cannot serve.
pub fn run(settings: &Settings) -> Result<()> {
    let clock = Clock::with_origin(settings.origin_since_boot_ns)
        .context("the origin of the parent's clock is no moment on this system's clock")?;
    let pinned = settings.core.map_or(Ok(()), cores::pin);
    let book = Book::default();
    let servers = Servers::bind(settings.pace, clock, &book)?;
    let ready = Ready {
        not_pinned: pinned.err().map(|error| format!("{error:#}")),
        ..servers.ready.clone()
    };
    let mut out = std::io::stdout();
    say(&mut out, &ready)?;
    let serving = std::thread::spawn(move || servers.serve());
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "take" => {
                let entries = book.take();
                say(&mut out, &entries.len())?;
                for handed in &entries {
                    say(&mut out, &line_of(handed))?;
                }
                out.flush()?;
            }
            "cpu" => say(&mut out, &cpu_ns())?,
            other => bail!("unknown order `{other}`"),
        }
        if serving.is_finished() {
            break;
        }
    }
    if !serving.is_finished() {
        // The parent has what it wanted or is gone: nobody waits for the rest.
        return Ok(());
    }
    serving
        .join()
        .unwrap_or_else(|_| bail!("the servers' thread broke"))
}

/// Both servers, bound and not yet served.
pub(super) struct Servers {
    http: TcpListener,
    grpc: TcpListener,
    pace: Pace,
    clock: Clock,
    book: Book,
    /// Where they are.
    pub(super) ready: Ready,
}

impl Servers {
    /// # Errors
    /// When no port is to be had.
    pub(super) fn bind(pace: Pace, clock: Clock, book: &Book) -> Result<Self> {
        let bind = || TcpListener::bind("127.0.0.1:0").context("no port for the yardstick servers");
        let (http, grpc) = (bind()?, bind()?);
        let ready = Ready {
            http: http.local_addr()?.to_string(),
            grpc: grpc.local_addr()?.to_string(),
            not_pinned: None,
        };
        let book = book.clone();
        Ok(Self {
            http,
            grpc,
            pace,
            clock,
            book,
            ready,
        })
    }

    /// Serves on this thread until something breaks.
    ///
    /// # Errors
    /// What broke.
    pub(super) fn serve(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the servers' runtime")?;
        let Self {
            http,
            grpc,
            pace,
            clock,
            book,
            ..
        } = self;
        let serves = |wire, listener| serve(wire, listener, pace, clock, book.clone());
        let (http, grpc) = (serves(Wire::Http, http), serves(Wire::Grpc, grpc));
        runtime.block_on(async { tokio::try_join!(http, grpc) })?;
        Ok(())
    }
}

fn say(out: &mut impl Write, what: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    writeln!(out)?;
    Ok(())
}

/// Processor time of this process so far, in nanoseconds.
#[cfg(unix)]
fn cpu_ns() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Where the system does not say, nothing.
#[cfg(not(unix))]
fn cpu_ns() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use backends::yardstick::Handed;

    use super::{handed_of, line_of};

    #[test]
    fn a_line_gives_the_entry_back() {
        for at_ns in [vec![], vec![5], vec![5, 5, 9_000_000_000]] {
            let handed = Handed {
                request: u64::MAX,
                arrived_ns: 3,
                at_ns,
            };
            let text = serde_json::to_string(&line_of(&handed)).expect("numbers");
            let line = serde_json::from_str(&text).expect("numbers");
            assert_eq!(handed_of(line), handed);
        }
    }
}
