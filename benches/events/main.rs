//! What an event costs our client, against the barest reader of the same
//! bytes; and how far its times are from the server's own book.
//!
//! `cargo bench --bench events`                 cost per token event, A B A B, every case
//! `... -- --case NAME --pairs N`               one case; also --streams, --requests, --tokens
//! `... -- --errors --pairs N`                  TTFT and ITL against the book, medians of N runs
//!                                              (of `--plays N` those the host let be)
//! `... -- --memory --case NAME`                peak memory of this process, one run of ours
//! `... -- --scale --case NAME --streams 4096`  one run of ours: error, processor, rate
//! `... -- --once --case NAME --tokens N`       one run of ours, for `benches/callgrind.sh`
//!
//! Our side is the pipeline of `profile` with one client thread, on the first
//! core that this process may use; the servers are a process of their own on
//! the last. Both sides of a pair ask the same servers for the same load.

#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

#[cfg(target_os = "linux")]
mod bare_grpc;
#[cfg(target_os = "linux")]
mod bare_http;
#[cfg(target_os = "linux")]
mod cost;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod ours;
#[cfg(target_os = "linux")]
mod single;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use backends::Clock;
    use options::{Mode, Options};
    use pairbench::calibrate::cores;

    let options = Options::of_arguments(std::env::args().skip(1))?;
    let allowed = cores::allowed();
    let server_core = match allowed.as_slice() {
        [first, .., last] if !options.unpinned => {
            // Before any thread is started: they all stay there.
            cores::pin(*first)?;
            println!("client on core {first}, servers on core {last}");
            Some(*last)
        }
        _ => {
            println!("client and servers share the cores");
            None
        }
    };
    let clock = Clock::start();
    match options.mode {
        Mode::Cost => cost::show(&options, server_core, clock),
        Mode::Errors => errors::show(&options, server_core, clock),
        Mode::Memory => single::memory(&options, server_core, clock),
        Mode::Scale => single::scale(&options, server_core, clock),
        Mode::Once => single::once(&options, server_core, clock),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark reads sockets by epoll and keeps to cores: it is for Linux");
}
