//! The parent's side: starts the yardstick servers as a process of their own,
//! takes their book, and ends them. Where processes share no clock, a thread
//! of this one serves instead.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use backends::Clock;
use backends::yardstick::{Book, Handed, Pace, Wire};
use serde::de::DeserializeOwned;

use super::server::{Ready, Servers, handed_of};

/// The hidden verb that makes a process of ours the servers.
pub const VERB: &str = "yardstick";

/// How the servers are started.
#[derive(Clone, Debug)]
pub struct YardOptions {
    /// When tokens are handed over.
    pub pace: Pace,
    /// The core to keep them on; `None`: wherever the system likes.
    pub core: Option<usize>,
    /// The program whose hidden verb they are; `None`: the one that runs.
    pub program: Option<PathBuf>,
}

/// The yardstick servers at work; they end when it is dropped.
#[derive(Debug)]
pub struct YardProcess {
    ready: Ready,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Process {
        child: Child,
        orders: ChildStdin,
        answers: BufReader<ChildStdout>,
    },
    /// Serves to the end of this process.
    Thread(Book),
}

impl YardProcess {
    /// Starts both servers; their book is on `clock`.
    ///
    /// # Errors
    /// When the process cannot be started or does not get to serve.
    pub fn start(options: &YardOptions, clock: Clock) -> Result<Self> {
        match clock.origin_since_boot_ns() {
            Some(origin_ns) => Self::start_process(options, origin_ns),
            None => Self::start_thread(options.pace, clock),
        }
    }

    fn start_process(options: &YardOptions, origin_ns: u64) -> Result<Self> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("cannot tell which program this is")?,
        };
        let mut command = Command::new(&program);
        let pace = options.pace;
        command
            .args([VERB, "--origin-ns", &origin_ns.to_string()])
            .args(["--first-token-us", &microseconds(pace.first_token)])
            .args(["--per-token-us", &microseconds(pace.per_token)])
            .args(["--output-ids-len", &pace.output_ids_len.to_string()])
            .args(["--phases", &pace.phases.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It asks nobody.
            .env_remove("OPENAI_API_KEY");
        if let Some(core) = options.core {
            command.args(["--core", &core.to_string()]);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {} as a server", program.display()))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the yardstick process has no pipes");
        };
        let mut process = Self {
            ready: Ready::default(),
            place: Place::Process {
                child,
                orders,
                answers: BufReader::new(answers),
            },
        };
        process.ready = process.line()?;
        Ok(process)
    }

    fn start_thread(pace: Pace, clock: Clock) -> Result<Self> {
        let book = Book::default();
        let servers = Servers::bind(pace, clock, &book)?;
        let ready = Ready {
            not_pinned: Some("it is a thread of the client's process".to_owned()),
            ..servers.ready.clone()
        };
        std::thread::Builder::new()
            .name("pb-yardstick".to_owned())
            .spawn(move || servers.serve())
            .context("cannot start the yardstick servers' thread")?;
        let place = Place::Thread(book);
        Ok(Self { ready, place })
    }

    /// Where a protocol is served, as `HOST:PORT`.
    #[must_use]
    pub fn address(&self, wire: Wire) -> &str {
        match wire {
            Wire::Http => &self.ready.http,
            Wire::Grpc => &self.ready.grpc,
        }
    }

    /// Whether the servers have a process of their own.
    #[must_use]
    pub fn has_own_process(&self) -> bool {
        matches!(self.place, Place::Process { .. })
    }

    /// Why the servers do not keep to the core that they were given.
    #[must_use]
    pub fn not_pinned(&self) -> Option<&str> {
        self.ready.not_pinned.as_deref()
    }

    /// The requests that were answered to their end since the last call.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn take(&mut self) -> Result<Vec<Handed>> {
        if let Place::Thread(book) = &self.place {
            return Ok(book.take());
        }
        self.order("take")?;
        let count: usize = self.line()?;
        (0..count).map(|_| self.line().map(handed_of)).collect()
    }

    /// Processor time of the servers' process so far, in nanoseconds; `None`
    /// where they have none of their own.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_ns(&mut self) -> Result<Option<u64>> {
        if !self.has_own_process() {
            return Ok(None);
        }
        self.order("cpu")?;
        self.line().map(Some)
    }

    fn order(&mut self, order: &str) -> Result<()> {
        if let Place::Process { orders, .. } = &mut self.place {
            writeln!(orders, "{order}").context("the yardstick process is gone")?;
        }
        Ok(())
    }

    /// The process's next line.
    fn line<T: DeserializeOwned>(&mut self) -> Result<T> {
        let Place::Process { answers, .. } = &mut self.place else {
            bail!("there is no yardstick process");
        };
        let mut line = String::new();
        let read = answers.read_line(&mut line);
        if read.context("the yardstick process cannot be read")? == 0 {
            bail!("the yardstick process ended without an answer; its own words are above");
        }
        serde_json::from_str(&line)
            .with_context(|| format!("the yardstick process said {}", backends::excerpt(&line)))
    }
}

impl Drop for YardProcess {
    fn drop(&mut self) {
        if let Place::Process { child, .. } = &mut self.place {
            // It may have ended by itself; all that matters is that it has.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn microseconds(duration: Duration) -> String {
    duration.as_micros().to_string()
}
