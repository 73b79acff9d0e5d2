//! The ladder of rates: more streams, then shorter gaps, until the client or the
//! server cannot follow. Tells by the server's book which of them it was, or that the
//! host of a virtual machine had the cores.

use std::time::Duration;

use anyhow::{Context, Result};
use backends::Entry;
use backends::yardstick::Pace;

use super::arm::{self, GOES, Play};
use super::join::{Event, Joined};
use super::places::Places;
use crate::record::{RunEnd, Rung};
use crate::run::make_room;
use crate::stats;

/// Delays above which the client does not follow, in nanoseconds.
const MOST_DELAY_NS: i64 = 1_000_000;

/// Lateness above which the server does not keep its pace. Its timers have a
/// grain of a millisecond.
const MOST_LATE_NS: i64 = 5_000_000;

/// Most streams: what one address of a server and the usual limit of open files
/// allow without thought.
const MOST_STREAMS: u32 = 1_024;

/// Shortest gap: below the grain of the server's timers several tokens come at
/// once.
const SHORTEST_GAP_NS: u64 = 1_000_000;

/// Over which the streams of a rung start, so that the start is no burst.
const RAMP: Duration = Duration::from_millis(300);

/// Time that every stream runs: the ramp, and a second together.
const RUN_NS: u64 = 1_300_000_000;

/// Most tokens of an answer.
const MOST_TOKENS: u64 = 1_300;

/// Share of its core above which a process is taken to be at its limit, in
/// percent.
const AT_LIMIT_PERCENT: u64 = 85;

/// Time that the client may wait for its core before something else is taken to
/// be the cause of its delays, in percent.
const MOST_WAITING_PERCENT: u64 = 10;

/// Climbs until somebody cannot follow.
pub(super) async fn climb(
    play: &mut Play<'_>,
    entry: &'static Entry,
    places: &Places,
) -> Result<Vec<Rung>> {
    let load = &play.settings.load;
    let (mut streams, mut gap_ns) = (load.concurrency, load.per_token_ns);
    let mut rungs = Vec::new();
    loop {
        make_room(u64::from(streams))?;
        let rung = believable(play, entry, places, (streams, gap_ns))
            .await
            .with_context(|| format!("while looking for the highest rate of {}", entry.name))?;
        let ended = rung.limit != "none";
        rungs.push(rung);
        match next(streams, gap_ns) {
            Some(next) if !ended => (streams, gap_ns) = next,
            _ => return Ok(rungs),
        }
    }
}

/// The next higher rate: twice the streams, or half the gap.
fn next(streams: u32, gap_ns: u64) -> Option<(u32, u64)> {
    if streams < MOST_STREAMS {
        return Some((streams.saturating_mul(2).min(MOST_STREAMS), gap_ns));
    }
    (gap_ns > SHORTEST_GAP_NS).then(|| (streams, (gap_ns / 2).max(SHORTEST_GAP_NS)))
}

/// Played until it says something, at most [`GOES`] times.
async fn believable(
    play: &mut Play<'_>,
    entry: &'static Entry,
    places: &Places,
    rate: (u32, u64),
) -> Result<Rung> {
    let mut left = GOES;
    loop {
        let (mut rung, stolen_ticks) = rung(play, entry, places, rate).await?;
        left -= 1;
        if let Some(limit) = settled(&rung.limit, stolen_ticks, left).map(str::to_owned) {
            rung.limit = limit;
            return Ok(rung);
        }
    }
}

/// Who gave up at a rung, or `None`: it is played again. What was followed is followed
/// whatever the host took; what was not is nobody's limit where the host took something.
fn settled(limit: &str, stolen_ticks: u64, left: u32) -> Option<&str> {
    match (limit, stolen_ticks, left) {
        ("none", ..) | (_, 0, _) => Some(limit),
        (.., 0) => Some("host"),
        _ => None,
    }
}

/// One go, and what the host took meanwhile, in ticks.
async fn rung(
    play: &mut Play<'_>,
    entry: &'static Entry,
    places: &Places,
    (streams, gap_ns): (u32, u64),
) -> Result<(Rung, u64)> {
    let pace = Pace {
        first_token: Duration::from_nanos(play.settings.load.first_token_ns),
        per_token: Duration::from_nanos(gap_ns),
        output_ids_len: play.settings.load.output_ids,
        // The ramp of their start spreads the streams.
        phases: 0,
    };
    let tokens = (RUN_NS / gap_ns.max(1)).clamp(8, MOST_TOKENS);
    let plan = arm::plan(streams, 1, u32::try_from(tokens).unwrap_or(u32::MAX));
    let mut yard = play.yard(pace, places)?;
    let arm = play.arm(entry, &yard)?;
    let shown = format!("{} x {streams}", entry.name);
    let cpu_before = yard.cpu_ns()?;
    let (joined, end) = play.run(&arm, &plan, &mut yard, pace, RAMP, &shown).await?;
    let server_ns = yard
        .cpu_ns()?
        .zip(cpu_before)
        .map(|(after, before)| after.saturating_sub(before));
    let rung = judged(&joined, &end, server_ns, (streams, gap_ns));
    Ok((rung, end.cores_stolen_ticks.unwrap_or(0)))
}

fn judged(
    joined: &Joined,
    end: &RunEnd,
    server_ns: Option<u64>,
    (streams, per_token_ns): (u32, u64),
) -> Rung {
    let steady = joined.steady();
    let p99 = |part: fn(&Event) -> i64| {
        let samples: Vec<i64> = steady.iter().map(part).collect();
        stats::delay(&samples).p99_ns
    };
    let percent = |ns: u64| ns.saturating_mul(100).checked_div(end.span_ns);
    let busy_ns = end
        .busiest_thread_cpu_ns
        .map(|ns| ns.saturating_add(end.busiest_thread_wait_ns.unwrap_or(0)));
    let mut rung = Rung {
        streams,
        per_token_ns,
        events_per_s: rate(&steady),
        floor_p99_ns: p99(|event| event.delay_ns),
        slip_p99_ns: stats::delay(&joined.slip_ns).p99_ns,
        server_late_p99_ns: p99(|event| event.late_ns),
        client_busy_percent: busy_ns.and_then(percent),
        client_wait_percent: end.busiest_thread_wait_ns.and_then(percent),
        server_busy_percent: server_ns.and_then(percent),
        limit: String::new(),
    };
    limit(&rung).clone_into(&mut rung.limit);
    rung
}

/// Tokens per second from the first to the last of them.
fn rate(events: &[Event]) -> u64 {
    let times = || events.iter().map(|event| event.handed_ns);
    let (Some(first_ns), Some(last_ns)) = (times().min(), times().max()) else {
        return 0;
    };
    let count = u128::try_from(events.len()).unwrap_or(0);
    let span_ns = u128::from(last_ns - first_ns).max(1);
    u64::try_from(count * 1_000_000_000 / span_ns).unwrap_or(u64::MAX)
}

/// Who did not follow. A server at its own limit hands messages over late, and
/// leaves them in its queue after it has written them down, which looks like a
/// slow client: so whoever was busier is taken to be the one.
fn limit(rung: &Rung) -> &'static str {
    let delayed = rung.floor_p99_ns > MOST_DELAY_NS || rung.slip_p99_ns > MOST_DELAY_NS;
    let late = rung.server_late_p99_ns > MOST_LATE_NS;
    let server_full = rung.server_busy_percent.is_some_and(|percent| {
        percent >= AT_LIMIT_PERCENT && rung.client_busy_percent < Some(percent)
    });
    let hindered = rung.client_wait_percent > Some(MOST_WAITING_PERCENT);
    match (delayed, late) {
        (false, false) => "none",
        (false, true) => "server",
        (true, _) if hindered => "machine",
        (true, _) if server_full => "server",
        (true, _) => "client",
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::Event;
    use super::{limit, next, rate, settled};
    use crate::record::Rung;

    const MS: i64 = 1_000_000;

    #[test]
    fn whoever_gave_up_is_named() {
        // delay, slip and lateness in ms; busy client and server in percent
        for (delay, slip, late, client, server, expected) in [
            (0, 0, 1, 20, 30, "none"),
            (2, 0, 1, 60, 30, "client"),
            (0, 2, 1, 60, 30, "client"),
            (2, 0, 9, 95, 90, "client"),
            (2, 0, 9, 60, 97, "server"),
            (2, 0, 1, 60, 97, "server"),
            (0, 0, 9, 60, 40, "server"),
        ] {
            let rung = Rung {
                floor_p99_ns: delay * MS,
                slip_p99_ns: slip * MS,
                server_late_p99_ns: late * MS,
                client_busy_percent: Some(client),
                server_busy_percent: Some(server),
                ..Rung::default()
            };
            assert_eq!(limit(&rung), expected, "{rung:?}");
            let hindered = Rung {
                client_wait_percent: Some(30),
                ..rung.clone()
            };
            let machine = if delay > 1 || slip > 1 {
                "machine"
            } else {
                expected
            };
            assert_eq!(limit(&hindered), machine);
            let unknown = Rung {
                client_busy_percent: None,
                server_busy_percent: None,
                ..rung
            };
            assert_ne!(limit(&unknown) == "none", delay > 1 || slip > 1 || late > 5);
        }
    }

    #[test]
    fn what_the_host_took_is_nobodys_limit() {
        for (limit, stolen_ticks, left, expected) in [
            ("none", 0, 11, Some("none")),
            ("none", 9, 11, Some("none")),
            ("client", 0, 11, Some("client")),
            ("client", 1, 11, None),
            ("server", 1, 1, None),
            ("client", 1, 0, Some("host")),
            ("server", 0, 0, Some("server")),
        ] {
            assert_eq!(settled(limit, stolen_ticks, left), expected, "{limit}");
        }
    }

    #[test]
    fn the_ladder_rises_and_ends() {
        let (mut at, mut steps) = (Some((64, 10_000_000)), Vec::new());
        while let Some((streams, gap_ns)) = at {
            steps.push((streams, gap_ns));
            at = next(streams, gap_ns);
        }
        let tail = [
            (1_024, 5_000_000),
            (1_024, 2_500_000),
            (1_024, 1_250_000),
            (1_024, 1_000_000),
        ];
        assert_eq!(
            steps[..3],
            [(64, 10_000_000), (128, 10_000_000), (256, 10_000_000)]
        );
        assert_eq!(steps[5..], tail);
        assert_eq!(next(4_096, 500), None);
    }

    #[test]
    fn rates_by_hand() {
        let event = |handed_ns| Event {
            handed_ns,
            delay_ns: 0,
            late_ns: 0,
        };
        assert_eq!(rate(&[]), 0);
        assert_eq!(
            rate(&[event(0), event(500_000_000), event(1_000_000_000)]),
            3
        );
    }
}
