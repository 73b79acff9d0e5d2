//! How each part was found, in words, and what may be told apart. Knows the
//! headers of both arms; computes nothing.

use super::pace::Pace;
use crate::record::RunHeader;
use crate::stats::comparison::{PartKind, Time};
use crate::stats::words::grouped_decimal;

/// The two arms, and what decides what can be said of them.
pub(super) struct Sides<'a> {
    /// Which time is taken apart.
    pub(super) of: Time,
    /// The slow arm.
    pub(super) slow: &'a RunHeader,
    /// The fast arm.
    pub(super) fast: &'a RunHeader,
    /// What the slow arm is called.
    pub(super) slow_name: &'a str,
    /// What the fast arm is called.
    pub(super) fast_name: &'a str,
    /// Both arms make the same call to the engine's own model.
    pub(super) same_call: bool,
    /// How fast the engine gave its tokens to both, where answers show it.
    pub(super) pace: Option<Pace>,
}

/// One arm's share of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// What it takes, on average.
    pub(super) mean_ns: f64,
    /// The server's counters tell it, less the way to the model.
    pub(super) told: bool,
    /// The server makes the calls itself.
    pub(super) chained: bool,
}

impl Sides<'_> {
    /// Of the client's own delay.
    pub(super) fn client(&self, calibrated: bool) -> String {
        let measured = match self.of {
            Time::PerRequest => {
                "from the records: time from a free slot to the call, and on the way to the \
                 first token in no hop"
            }
            Time::Ttft | Time::Itl => {
                "from the records: time on the way to the first token in no hop"
            }
        };
        if calibrated {
            return format!("{measured}; and the difference of both floors, from the calibration");
        }
        format!("{measured}; no calibration of both arms, so the floor lies within what follows")
    }

    /// Of calls that one of the arms made.
    pub(super) fn call(&self, kind: PartKind, slow: Side, fast: Side) -> String {
        let side = |name: &str, of: Side| {
            let ms = millis(of.mean_ns);
            if of.mean_ns == 0.0 {
                format!("{name}: none")
            } else if of.chained && kind != PartKind::Connect {
                format!("{name}: {ms} ms, in the server by its ModelStatistics")
            } else if of.told {
                format!(
                    "{name}: {ms} ms within the server, by the client's records and its \
                     ModelStatistics"
                )
            } else {
                format!("{name}: {ms} ms, by the client's records")
            }
        };
        let how = match (kind, self.of) {
            (PartKind::Postprocess, Time::Itl) => {
                "how much slower text follows text than the engine's messages each other; "
            }
            (PartKind::Postprocess, Time::PerRequest) => {
                "how much later the last text is there than the engine's last token; "
            }
            _ => "",
        };
        format!(
            "{how}{}; {}",
            side(self.slow_name, slow),
            side(self.fast_name, fast)
        )
    }

    /// Of the way to the models that the client calls by itself.
    pub(super) fn round_trips(&self) -> String {
        "the client's own calls of pre- and postprocessing, less what the models took of them by \
         ModelStatistics: wire and front end of these calls"
            .to_owned()
    }

    /// Of the engine where both servers tell its time.
    pub(super) fn engine_told(&self) -> String {
        "by both servers' own counters, the engine's queue included".to_owned()
    }

    /// Of the front end where the engine is known.
    pub(super) fn front_end_less_engine(&self) -> String {
        "the client's time in the engine's call less the engine's own, by both servers' counters"
            .to_owned()
    }

    /// What front end, protocol and engine are called where no counter tells
    /// them apart, and why.
    pub(super) fn served(&self) -> (PartKind, String) {
        if self.same_call {
            let words = "both arms make the same call to the engine's model, so that front end and \
                         protocol are on both sides: what is left is how the engine fared under \
                         either load";
            return (PartKind::Engine, words.to_owned());
        }
        let Some(pace) = self.pace else {
            let words = "answers in one piece show no pace of the engine, and no counter of both \
                         servers tells its time: nothing tells the three apart";
            return (PartKind::FrontEndAndEngine, words.to_owned());
        };
        let seen = self.pace_seen(pace);
        if pace.is_same {
            let words = format!(
                "{seen}: taken for equal, it leaves the difference to front end and protocol (a \
                 wait for a place in the engine would count here, too)"
            );
            return (PartKind::FrontEnd, words);
        }
        let words = format!(
            "{seen}: that is or may be more than a tenth of it, so the paces are not taken for equal, \
             and no counter of both servers tells the engine's time"
        );
        (PartKind::FrontEndAndEngine, words)
    }

    /// Both paces, and what their difference comes to.
    fn pace_seen(&self, pace: Pace) -> String {
        let interval = pace.worth.interval.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", millis(low), millis(high))
        });
        format!(
            "the engine gave a token every {} ms to {} and every {} ms to {}, worth {} ms{interval} \
             of this gap",
            millis(pace.slow_ns),
            self.slow_name,
            millis(pace.fast_ns),
            self.fast_name,
            millis(pace.worth.mean_ns)
        )
    }
}

/// Milliseconds to the microsecond; what shows as zero has no sign.
fn millis(ns: f64) -> String {
    let text = grouped_decimal(ns / 1e6, 3);
    match text.as_str() {
        "-0.000" => "0.000".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(millis(-400.0), "0.000");
        assert_eq!(millis(-600.0), "-0.001");
        assert_eq!(millis(1_234_567_890.0), "1,234.568");
    }
}
