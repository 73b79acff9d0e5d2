//! What a calibration's samples say: how delays are spread, whether the machine
//! was quiet enough, which floor a run may use. Knows [`crate::record`] only.

use super::distribution::Distribution;
use super::instrument::paired;
use super::interval::Interval;
use super::words::{grouped_decimal, one_line};
use crate::record::{BackendFloor, Calibration, ClientFloor, Delay, Host, Round};

/// Rounds whose means lie further from their median than this share of it were
/// not made on a quiet machine.
const MOST_SPREAD: f64 = 0.20;

/// Share of the time that a thread may wait for a core on a quiet machine.
const MOST_WAIT: f64 = 0.02;

/// Factor by which the requests in flight of a run and of its calibration may
/// differ.
const LOAD_FACTOR: u32 = 2;

/// How samples, in nanoseconds, are spread; all zero where there are none.
#[must_use]
pub fn delay(samples: &[i64]) -> Delay {
    let all = Distribution::of(samples.iter().map(|&sample| sample as f64).collect());
    all.map_or_else(Delay::default, |all| Delay {
        count: all.count,
        mean_ns: whole(all.mean),
        p50_ns: whole(all.p50),
        p99_ns: whole(all.p99),
        max_ns: whole(all.max),
    })
}

/// The whole nanoseconds nearest to a time. A difference of two times of one
/// clock is far inside of what an i64 holds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and 2^63 ns are 292 years"
)]
fn whole(ns: f64) -> i64 {
    ns.round() as i64
}

/// How far the mean floors of a backend's rounds lie from their median at most,
/// as a share of it. `None` without rounds or where the median is 0.
#[must_use]
pub fn spread(rounds: &[Round]) -> Option<f64> {
    let means: Vec<f64> = rounds.iter().map(|round| round.mean_ns as f64).collect();
    let median = Distribution::of(means.clone())?.p50;
    if median <= 0.0 {
        return None;
    }
    let furthest = means.iter().map(|mean| (mean - median).abs());
    Some(furthest.fold(0.0, f64::max) / median)
}

/// What was remarkable about a calibration's circumstances, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    /// What was seen.
    pub text: String,
    /// What to do.
    pub cure: &'static str,
}

/// Why the machine was too noisy to calibrate, if it was.
#[must_use]
pub fn noise(calibration: &Calibration) -> Vec<Noise> {
    calibration.backends.iter().flat_map(noise_of).collect()
}

fn noise_of(found: &BackendFloor) -> Vec<Noise> {
    let name = one_line(&found.backend, 20);
    let spread = spread(&found.rounds)
        .filter(|spread| *spread > MOST_SPREAD)
        .map(|spread| Noise {
            text: format!(
                "{name}: the mean delays of its rounds lie up to {} % from their median, above \
                 20 %: something else ran meanwhile",
                grouped_decimal(spread * 100.0, 0)
            ),
            cure: "end what else runs on this machine and calibrate again, or give more --rounds",
        });
    let waits = found
        .wait_share
        .filter(|share| *share > MOST_WAIT)
        .map(|share| Noise {
            text: format!(
                "{name}: the client's busiest thread was ready and waited for a core for {} % of \
                 the time, above 2 %",
                grouped_decimal(share * 100.0, 1)
            ),
            cure: "leave the client's cores to it: end what else runs, or give fewer \
                   --client-threads",
        });
    [spread, waits].into_iter().flatten().collect()
}

/// How much longer the client takes for a token of the `other` backend than for
/// one of `first`, in nanoseconds, over the paired rounds.
#[must_use]
pub fn difference(first: &BackendFloor, other: &BackendFloor) -> Option<Interval> {
    paired(&means(first), &means(other))
}

fn means(found: &BackendFloor) -> Vec<i64> {
    found.rounds.iter().map(|round| round.mean_ns).collect()
}

/// A run about to be made, as far as its calibration has to fit it.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// Version of pairbench.
    pub tool_version: &'a str,
    /// The machine.
    pub host: &'a Host,
    /// Requests in flight.
    pub concurrency: u32,
    /// Threads of the client.
    pub client_threads: u32,
}

/// What `calibration` says of a backend in a run under these circumstances.
///
/// # Errors
/// Why it says nothing, in words.
pub fn floor_for(
    calibration: &Calibration,
    backend: &str,
    run: &Circumstances<'_>,
) -> Result<ClientFloor, String> {
    let load = &calibration.load;
    let (fewer, more) = (
        load.concurrency.min(run.concurrency),
        load.concurrency.max(run.concurrency),
    );
    if calibration.tool_version != run.tool_version {
        return Err(format!(
            "it was made by pairbench {}, this is {}",
            one_line(&calibration.tool_version, 20),
            run.tool_version
        ));
    }
    if calibration.host != *run.host {
        return Err(format!(
            "it was made on another machine ({} cores, {})",
            calibration.host.cores,
            one_line(&calibration.host.cpu, 40)
        ));
    }
    if more > fewer.saturating_mul(LOAD_FACTOR) {
        return Err(format!(
            "it was made with {} requests in flight, this run has {}",
            load.concurrency, run.concurrency
        ));
    }
    if load.client_threads != run.client_threads {
        return Err(format!(
            "it was made with {} client threads, this run has {}",
            load.client_threads, run.client_threads
        ));
    }
    let found = calibration
        .of_backend(backend)
        .ok_or_else(|| format!("it has nothing on {}", one_line(backend, 20)))?;
    Ok(ClientFloor {
        calibrated_utc: calibration.started_utc.clone(),
        concurrency: load.concurrency,
        floor: found.floor,
        round_means_ns: means(found),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Circumstances, delay, difference, floor_for, noise, spread};
    use crate::record::{BackendFloor, Calibration, Delay, Host, Load, Round};

    fn rounds(means: &[i64]) -> Vec<Round> {
        means
            .iter()
            .map(|&mean_ns| Round {
                mean_ns,
                ..Round::default()
            })
            .collect()
    }

    fn found(backend: &str, means: &[i64]) -> BackendFloor {
        BackendFloor {
            backend: backend.to_owned(),
            rounds: rounds(means),
            ..BackendFloor::default()
        }
    }

    fn calibration() -> Calibration {
        Calibration {
            tool_version: "0.1.0".to_owned(),
            host: host(),
            load: Load {
                concurrency: 64,
                client_threads: 1,
                ..Load::default()
            },
            backends: vec![found("tis", &[100, 110, 90])],
            ..Calibration::default()
        }
    }

    fn host() -> Host {
        Host {
            cores: 2,
            cpu: "a processor".to_owned(),
        }
    }

    #[test]
    fn delays_by_hand() {
        assert_eq!(delay(&[]), Delay::default());
        let expected = Delay {
            count: 4,
            mean_ns: 3,
            p50_ns: 3,
            p99_ns: 10,
            max_ns: 10,
        };
        assert_eq!(delay(&[10, -3, 2, 3]), expected);
    }

    #[test]
    fn spreads_by_hand() {
        for (means, expected) in [
            (&[][..], None),
            (&[0, 0], None),
            (&[100], Some(0.0)),
            (&[100, 110, 90], Some(0.1)),
            (&[100, 130, 90], Some(0.3)),
            (&[100, 110, 40], Some(0.6)),
        ] {
            assert_eq!(spread(&rounds(means)), expected, "{means:?}");
        }
    }

    #[test]
    fn noise_is_named() {
        let mut loud = calibration();
        assert_eq!(noise(&loud), []);
        loud.backends[0].wait_share = Some(0.019);
        assert_eq!(noise(&loud), []);
        loud.backends[0].wait_share = Some(0.35);
        loud.backends.push(found("api_server", &[100, 130, 90]));
        let words: Vec<String> = noise(&loud).into_iter().map(|noise| noise.text).collect();
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].contains("tis") && words[0].contains("35.0 %"));
        assert!(words[1].contains("api_server") && words[1].contains("30 %"));
    }

    #[test]
    fn a_difference_is_paired() {
        // differences 10, 30, 20: mean 20, s 10, t(0.975, 2) = 4.302653
        let by = difference(&found("a", &[100, 200, 300]), &found("b", &[110, 230, 320]))
            .expect("pairs");
        assert_eq!((by.count, by.mean), (3, 20.0));
        assert!((by.high - 20.0 - 24.841_4).abs() < 1e-3, "{by:?}");
        assert_eq!(difference(&found("a", &[1]), &found("b", &[1])), None);
    }

    #[test]
    fn a_calibration_of_other_circumstances_is_not_used() {
        let (this, other) = (host(), Host { cores: 4, ..host() });
        let table = [
            ("0.1.0", &this, 64, 1, "tis", None),
            ("0.1.0", &this, 32, 1, "tis", None),
            ("0.1.0", &this, 128, 1, "tis", None),
            ("0.1.0", &this, 31, 1, "tis", Some("64 requests in flight")),
            ("0.1.0", &this, 129, 1, "tis", Some("this run has 129")),
            ("0.1.0", &this, 64, 2, "tis", Some("1 client threads")),
            ("0.2.0", &this, 64, 1, "tis", Some("this is 0.2.0")),
            ("0.1.0", &other, 64, 1, "tis", Some("another machine")),
            (
                "0.1.0",
                &this,
                64,
                1,
                "api_server",
                Some("nothing on api_server"),
            ),
        ];
        for (tool_version, host, concurrency, client_threads, backend, refusal) in table {
            let run = Circumstances {
                tool_version,
                host,
                concurrency,
                client_threads,
            };
            match (floor_for(&calibration(), backend, &run), refusal) {
                (Ok(floor), None) => assert_eq!(floor.round_means_ns, [100, 110, 90]),
                (Err(words), Some(part)) => assert!(words.contains(part), "{words}"),
                (found, _) => panic!("{refusal:?}: {found:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_samples_have_a_spread(samples in prop::collection::vec(any::<i32>(), 1..50)) {
            let samples: Vec<i64> = samples.into_iter().map(i64::from).collect();
            let found = delay(&samples);
            prop_assert_eq!(Some(found.max_ns), samples.iter().max().copied());
            prop_assert!(found.p50_ns <= found.p99_ns && found.p99_ns <= found.max_ns);
        }
    }
}
