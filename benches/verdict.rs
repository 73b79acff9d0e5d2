//! Whether the intervals of `compare` cover the truth: many comparisons of two
//! simulated servers whose times have a known ratio, and how many of them say so.
//!
//! `cargo bench --bench verdict`                        40 comparisons of equal servers
//! `... -- --truth 1.00,0.98,0.95,0.80 --runs 40`        and of others
//! `... -- --truth 0.95 --precision 2% --runs 40`        with as many blocks as it takes
//! `... -- --at-once 4`                                 so many comparisons side by side
//! `... -- --unpinned`                                  servers wherever the system likes
//!
//! Whole programs over real sockets. The second server takes 1 / truth times as
//! long for everything, so it generates `truth` times as many tokens per second.
//! The servers are kept on the last core, the client on the first: where the system
//! puts each process stays for a whole run and differs from run to run, which no
//! interval from within a run can know (`docs/statistics.md`).
//! Of a precision the line below says how many blocks and minutes it took, and
//! what the forecast after the pilot had said.

#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use backends::Clock;
use pairbench::calibrate::cores;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pairbench");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Times of the first server, in milliseconds.
const FIRST_TOKEN_MS: f64 = 20.0;
const PER_TOKEN_MS: f64 = 4.0;
const TOKENS: &str = "30";
const CONCURRENCY: &str = "4";
/// Six blocks of twice the concurrency.
const PROMPTS: &str = "48";

struct Arguments {
    truths: Vec<f64>,
    runs: u32,
    at_once: u32,
    precision: Option<String>,
    unpinned: bool,
}

/// Where the servers run, and where the client does.
#[derive(Clone, Copy)]
struct Places {
    server: usize,
    client: usize,
}

impl Places {
    /// Cores of their own, where there are two and the system says so.
    fn of(arguments: &Arguments) -> Option<Self> {
        match cores::allowed().as_slice() {
            &[client, .., server] if !arguments.unpinned => Some(Self { server, client }),
            _ => None,
        }
    }
}

/// What one comparison said of the second server's throughput.
struct Said {
    low: f64,
    high: f64,
    finding: String,
    valid: bool,
    blocks: u64,
    /// The whole program, from start to exit.
    wall_s: f64,
    /// The words of the forecast after the pilot; empty without a precision.
    forecast: String,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    println!(
        "truth  runs  valid  covered (expected 95 %, binomial 95 % range)  faster  same  open  blocks  s each"
    );
    for truth in &arguments.truths {
        let said = comparisons(*truth, &arguments)?;
        let covered = said
            .iter()
            .filter(|one| one.low <= *truth && *truth <= one.high)
            .count();
        let found = |word: &str| said.iter().filter(|one| one.finding == word).count();
        let decided = found("first_better") + found("other_better");
        let mean = |of: fn(&Said) -> f64| said.iter().map(of).sum::<f64>() / said.len() as f64;
        let (fewest, most) = binomial(said.len(), 0.95);
        println!(
            "{truth:>5.2}  {:>4}  {:>5}  {covered:>7} ({fewest} to {most})  {decided:>29}  {:>4}  {:>4}  {:>6.1}  {:>6.1}",
            said.len(),
            said.iter().filter(|one| one.valid).count(),
            found("same_within_margin"),
            found("undecided"),
            mean(|one| one.blocks as f64),
            mean(|one| one.wall_s)
        );
        tell_spread(&said);
    }
    Ok(())
}

/// How much the comparisons took, one by one, and a forecast to hold against it.
fn tell_spread(said: &[Said]) {
    let mut by_blocks: Vec<&Said> = said.iter().collect();
    by_blocks.sort_by_key(|one| one.blocks);
    let (Some(least), Some(most)) = (by_blocks.first(), by_blocks.last()) else {
        return;
    };
    println!(
        "       {} to {} blocks, {:.2} to {:.2} minutes; the longest had been told: {}",
        least.blocks,
        most.blocks,
        least.wall_s / 60.0,
        most.wall_s / 60.0,
        match most.forecast.as_str() {
            "" => "nothing",
            words => words,
        }
    );
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments {
        truths: vec![1.0],
        runs: 40,
        at_once: 1,
        precision: None,
        unpinned: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--truth" => {
                let list = value()?;
                arguments.truths = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--runs" => arguments.runs = value()?.parse()?,
            "--at-once" => arguments.at_once = value()?.parse()?,
            "--unpinned" => arguments.unpinned = true,
            "--precision" => arguments.precision = Some(value()?),
            "--bench" => {} // cargo's own
            other => bail!("unknown argument `{other}`; benches/verdict.rs lists them"),
        }
    }
    Ok(arguments)
}

/// Runs comparisons, several at once, each against servers of its own.
fn comparisons(truth: f64, arguments: &Arguments) -> Result<Vec<Said>> {
    let next = AtomicU32::new(0);
    let places = Places::of(arguments);
    let work = || -> Result<Vec<Said>> {
        // What a thread starts stays where the thread is.
        if let Some(places) = places {
            cores::pin(places.server)?;
        }
        let servers = [server(1.0)?, server(truth)?];
        if let Some(places) = places {
            cores::pin(places.client)?;
        }
        let mut said = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= arguments.runs {
                return Ok(said);
            }
            said.push(comparison(
                &servers,
                number,
                arguments.precision.as_deref(),
            )?);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.at_once.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(said) => all.extend(said?),
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(all)
    })
}

/// A simulated server as a process of its own; ended when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server(speed: f64) -> Result<Server> {
    let ms = |of: f64| format!("{}", of / speed);
    let mut process = Command::new(PROGRAM)
        .args([
            "serve",
            "--backend",
            "api_server",
            "--listen",
            "127.0.0.1:0",
        ])
        .args(["--tokenizer", &format!("{ROOT}/src/demo/tokenizer.model")])
        .args(["--sim-first-token-ms", &ms(FIRST_TOKEN_MS)])
        .args(["--sim-per-token-ms", &ms(PER_TOKEN_MS)])
        .stdout(Stdio::piped())
        .spawn()
        .context("the server does not start")?;
    let out = process.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let address = line
        .split_whitespace()
        .find(|word| word.starts_with("127.0.0.1:"));
    let address = address
        .with_context(|| format!("no address in `{line}`"))?
        .to_owned();
    Ok(Server { process, address })
}

fn comparison(servers: &[Server; 2], seed: u32, precision: Option<&str>) -> Result<Said> {
    let folder = tempfile::tempdir()?;
    let arms = servers
        .each_ref()
        .map(|server| format!("api_server={}", server.address));
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--backend", &arms[0], "--backend", &arms[1]]);
    command.arg(format!("{ROOT}/src/demo/tokenizer.model"));
    command.arg(format!("{ROOT}/src/demo/conversations.json"));
    command.args(["--concurrency", CONCURRENCY, "--num-prompts", PROMPTS]);
    command.args([
        "--output-len",
        TOKENS,
        "--seed",
        &seed.to_string(),
        "--format",
        "json",
    ]);
    command.arg("--records").arg(folder.path());
    command.arg("--csv").arg(folder.path().join("rows.csv"));
    if let Some(precision) = precision {
        command.args(["--precision", precision]);
    }
    let clock = Clock::start();
    let output = command.output()?;
    let wall_s = clock.now_ns() as f64 / 1e9;
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report; it said: {told}"))?;
    let comparison = &report["comparison"];
    let metric = &comparison["pairs"][0]["metrics"][0];
    let number = |of: &Value| of.as_f64().context("a figure is missing");
    let forecast = told
        .lines()
        .find(|line| line.contains(" in all for ") || line.contains(" are enough for "));
    Ok(Said {
        low: number(&metric["ratio_low"])?,
        high: number(&metric["ratio_high"])?,
        finding: metric["finding"].as_str().unwrap_or_default().to_owned(),
        valid: report["valid"].as_bool().unwrap_or(false),
        blocks: comparison["basis"]["blocks"].as_u64().unwrap_or(0),
        wall_s,
        forecast: forecast.unwrap_or_default().to_owned(),
    })
}

/// The middle 95 % of a binomial distribution: from the count below which there
/// is at most 2.5 %, to the one above which there is.
fn binomial(count: usize, probability: f64) -> (usize, usize) {
    let mut term = (1.0 - probability).powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut below, mut fewest, mut most) = (0.0, None, count);
    for hits in 0..=count {
        below += term;
        if fewest.is_none() && below > 0.025 {
            fewest = Some(hits);
        }
        if below >= 0.975 {
            most = hits;
            break;
        }
        term *= (count - hits) as f64 / (hits + 1) as f64 * probability / (1.0 - probability);
    }
    (fewest.unwrap_or(0), most)
}
