//! Plays a row: a proxy in front of a simulated server, pairbench in front of
//! the proxy, and then everything that has to be true of the run.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use backends::Clock;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::common::{Desk, dataset, tokenizer};
use crate::door::{Aim, Book, Door};
use crate::grpc_proxy::GrpcProxy;
use crate::http_proxy::HttpProxy;
use crate::identity::Identity;
use crate::row::{Reach, Row};

/// Tokens that every request asks for.
pub const OUTPUT_TOKENS: u32 = 6;

/// Where the simulated servers are.
#[derive(Clone, Copy)]
pub struct Upstream {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
}

/// What became of a run.
#[derive(Debug)]
pub struct Played {
    pub took: Duration,
    /// The most memory that pairbench held, bytes; 0 where the system does not
    /// tell.
    pub memory: u64,
    /// Requests, and those of them that failed.
    pub requests: usize,
    pub failed: usize,
    /// What is not as it should be.
    pub wrong: Vec<String>,
}

/// A row on one way, at one concurrency.
pub struct Play<'a> {
    pub row: &'a Row,
    pub way: &'static str,
    pub concurrency: usize,
}

/// What depends on how fast the machine is.
#[derive(Clone, Copy)]
pub struct Trial {
    /// For how long nobody listens.
    pub shut_for: Duration,
    /// Limits to the first token, and between two, in seconds.
    pub limits_s: (&'static str, &'static str),
}

/// What a finished run left.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub records: Vec<Value>,
    pub csv_failed: Option<String>,
    pub asked: Vec<u64>,
    pub hits: Vec<(usize, u64)>,
}

/// A run that takes longer hangs.
pub const BOUND: Duration = Duration::from_secs(90);

impl Play<'_> {
    /// Requests of the run: few, unless the server has to come back in time for
    /// some of them.
    pub fn requests(&self) -> usize {
        match (self.row.reach, self.concurrency) {
            (Reach::Window, 1) => 250,
            (Reach::Window, _) => 400,
            (_, 1) => 4 + 2 * self.row.cases.len(),
            // Enough for every slot to need a connection again.
            (Reach::Next, _) => 256,
            _ => 96,
        }
    }

    /// Which arrivals get a fault: in the middle, at 64 some within the first
    /// burst and some behind it.
    pub fn aim(&self) -> Aim {
        let cases = 0..self.row.cases.len();
        if self.concurrency == 1 {
            return Aim(cases.map(|case| (3 + 2 * case, case)).collect());
        }
        let behind = cases.clone().map(|case| (70 + case, case));
        match self.row.reach {
            Reach::Own => Aim(behind
                .chain(cases.map(|case| (20 + 2 * case, case)))
                .collect()),
            // Several slots: one alone may find a connection that another left.
            Reach::Next if self.way == "api_server" => {
                Aim((0..8).map(|turn| (70 + turn, 0)).collect())
            }
            _ => Aim(behind.collect()),
        }
    }

    pub fn play(&self, upstream: Upstream, identity: &Identity, trial: &Trial) -> Played {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (door, listener) = runtime.block_on(Door::open(trial.shut_for));
        let door = Arc::new(door);
        let book = self.serve(&runtime, upstream, identity, &door, listener);
        let desk = Desk::new();
        let clock = Clock::start();
        let (ended, memory) = self.run(&desk, &door, identity, trial);
        let took = Duration::from_nanos(clock.now_ns());
        runtime.shutdown_background();
        let run = left(&desk, ended, &book);
        let mut wrong = crate::check::check(self, &run);
        if ended.is_none() {
            wrong.push(format!("it hung: ended after {took:?}"));
        }
        let failed = run
            .records
            .iter()
            .filter(|record| record["outcome"] != "ok")
            .count();
        Played {
            took,
            memory,
            requests: run.records.len(),
            failed,
            wrong,
        }
    }

    /// Starts the proxy.
    fn serve(
        &self,
        runtime: &Runtime,
        upstream: Upstream,
        identity: &Identity,
        door: &Arc<Door>,
        listener: TcpListener,
    ) -> Arc<Book> {
        let book = Arc::new(Book::default());
        let cases = Arc::new(self.row.cases.clone());
        let http = self.way == "api_server";
        let protocol: &[u8] = if http { b"http/1.1" } else { b"h2" };
        let tls = self.row.tls.then(|| identity.acceptor(protocol));
        let (aim, our_door, our_book) = (self.aim(), Arc::clone(door), Arc::clone(&book));
        if http {
            let proxy = HttpProxy {
                upstream: upstream.http,
                door: our_door,
                book: our_book,
                aim,
                cases,
                tls,
            };
            runtime.spawn(Arc::new(proxy).serve(listener));
        } else {
            let proxy = GrpcProxy {
                upstream: upstream.grpc,
                door: our_door,
                book: our_book,
                aim,
                cases,
                tls,
                chosen: std::sync::Mutex::default(),
            };
            runtime.spawn(Arc::new(proxy).serve(listener));
        }
        book
    }

    /// Runs pairbench to its end; `None`: it had to be ended. And its memory.
    fn run(
        &self,
        desk: &Desk,
        door: &Door,
        identity: &Identity,
        trial: &Trial,
    ) -> (Option<ExitStatus>, u64) {
        let mut child = self.start(desk, door, identity, trial);
        let (clock, mut memory) = (Clock::start(), 0);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (Some(status), memory);
            }
            if Duration::from_nanos(clock.now_ns()) > BOUND {
                let _ = child.kill();
                let _ = child.wait();
                return (None, memory);
            }
            memory = memory.max(peak(child.id()));
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    fn start(&self, desk: &Desk, door: &Door, identity: &Identity, trial: &Trial) -> Child {
        let (first, between) = trial.limits_s;
        let scheme = if self.row.tls { "https://" } else { "" };
        let address = format!("{scheme}{}", door.address());
        let (tokenizer, dataset) = (tokenizer(), dataset());
        let (requests, concurrency) = (self.requests().to_string(), self.concurrency.to_string());
        let tokens = OUTPUT_TOKENS.to_string();
        let mut args = vec![
            "profile",
            "--backend",
            self.way,
            &address,
            &tokenizer,
            &dataset,
        ];
        args.extend(["--num-prompts", &requests, "--concurrency", &concurrency]);
        args.extend(["--warmup", "0", "--output-len", &tokens, "--csv", "x.csv"]);
        args.extend(["--first-token-timeout", first, "--token-timeout", between]);
        if self.row.stream {
            args.push("--stream_output");
        }
        let file = |name: &str| File::create(desk.path(name)).unwrap();
        desk.command(&args)
            .env("SSL_CERT_FILE", identity.certificate_file())
            .stdin(std::process::Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap()
    }
}

fn lines(desk: &Desk) -> Option<String> {
    let folder = desk.path("pairbench-runs");
    let run = std::fs::read_dir(folder).ok()?.next()?.ok()?.path();
    std::fs::read_to_string(run.join("requests.jsonl")).ok()
}

fn left(desk: &Desk, ended: Option<ExitStatus>, book: &Book) -> Run {
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap_or_default();
    let lines = lines(desk).unwrap_or_default();
    let csv = desk.path("x.csv").exists();
    Run {
        code: ended.and_then(|status| status.code()),
        out: read("out"),
        err: read("err"),
        records: lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        csv_failed: csv.then(|| desk.rows("x.csv")[0]["failed"].clone()),
        asked: book.asked.lock().unwrap().clone(),
        hits: book.hits.lock().unwrap().clone(),
    }
}

/// The most memory that a process has held, bytes.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}
