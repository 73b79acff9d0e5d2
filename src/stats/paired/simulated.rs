//! Whether intervals keep what they promise: thousands of comparisons whose truth
//! is known, with drift, with noise that wanders and with noise of single blocks.
//! `cargo test simulated -- --nocapture` prints the figures.

use super::super::comparison::{Basis, Compared, Finding};
use super::super::summary::Summary;
use super::blocks::PairedBlocks;
use super::stein::PILOT_BLOCKS;
use super::together::{Options, compare_figures};
use crate::stats::Metric;

/// Draws by splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0, up to 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, after Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// How the machine's speed changes from one play of a block to the next, as
/// logarithms.
#[derive(Clone, Copy)]
struct Machine {
    name: &'static str,
    /// From play to play.
    drift: f64,
    /// Standard deviation of what wanders, an AR(1) process.
    wander: f64,
    /// Its correlation from play to play.
    stays: f64,
    /// Standard deviation of what every play has of its own.
    own: f64,
}

/// Machines on which an interval is to hold what it says.
const MACHINES: [Machine; 4] = [
    Machine {
        name: "noise alone",
        drift: 0.0,
        wander: 0.0,
        stays: 0.0,
        own: 0.015,
    },
    Machine {
        name: "drift 0.3 % per play",
        drift: -0.003,
        wander: 0.0,
        stays: 0.0,
        own: 0.015,
    },
    Machine {
        name: "wander 2 %, stays 0.9",
        drift: 0.0,
        wander: 0.02,
        stays: 0.9,
        own: 0.01,
    },
    Machine {
        name: "drift and wander",
        drift: -0.002,
        wander: 0.015,
        stays: 0.8,
        own: 0.012,
    },
];

/// Two arms on a machine; the truth is the ratio other to first.
struct Experiment {
    machine: Machine,
    truth: f64,
    draws: Draws,
    wandered: f64,
    plays: u32,
    /// The arm that is first in block 0.
    start: u32,
    blocks: PairedBlocks,
}

impl Experiment {
    fn new(machine: Machine, truth: f64, seed: u64) -> Self {
        let mut draws = Draws(seed);
        let wandered = machine.wander * draws.normal();
        let start = u32::from(draws.next() % 2 == 1);
        Self {
            machine,
            truth,
            draws,
            wandered,
            plays: 0,
            start,
            blocks: PairedBlocks::default(),
        }
    }

    /// Plays one more block: A B, then B A, and so on.
    fn play(&mut self) {
        let number = u32::try_from(self.blocks.numbers.len()).unwrap();
        // Blocks are not alike: what their requests ask for is the same for both.
        let slice = 0.1 * self.draws.normal();
        let other_first = (number + self.start) % 2 == 1;
        let mut arms = [Summary::default(), Summary::default()];
        for turn in 0..2 {
            let other = (turn == 0) == other_first;
            let Machine {
                drift,
                wander,
                stays,
                own,
                ..
            } = self.machine;
            let fresh = wander * (1.0 - stays * stays).sqrt() * self.draws.normal();
            self.wandered = stays * self.wandered + fresh;
            let luck = drift * f64::from(self.plays) + self.wandered + own * self.draws.normal();
            let level = if other { self.truth } else { 1.0 };
            arms[usize::from(other)].output_tokens_per_s =
                Some(5000.0 * level * (slice + luck).exp());
            self.plays += 1;
        }
        self.blocks.numbers.push(number);
        self.blocks.summaries.push(arms.to_vec());
    }

    fn blocks(mut self, blocks: u32) -> Self {
        while self.blocks.numbers.len() < usize::try_from(blocks).unwrap() {
            self.play();
        }
        self
    }

    fn with_precision(self, precision: f64) -> Self {
        let pilot = self.blocks(PILOT_BLOCKS);
        let needed = pilot.blocks.needed(&[METRIC], precision).unwrap();
        pilot.blocks(needed)
    }

    fn compared(&self, precision: Option<f64>) -> Compared {
        let basis = Basis::Blocks {
            blocks: u32::try_from(self.blocks.numbers.len()).unwrap(),
            requests: 100,
            duet: false,
            precision,
            wanted: None,
        };
        let options = Options {
            precision,
            ..Options::default()
        };
        let names = vec!["a".to_owned(), "b".to_owned()];
        let comparison = compare_figures(names, &self.blocks, basis, &options);
        comparison.compared(1, METRIC).unwrap().clone()
    }
}

const METRIC: Metric = Metric::OutputTokensPerS;

fn covers(of: &Compared, truth: f64) -> bool {
    let ratio = of.ratio.unwrap();
    ratio.low <= truth && truth <= ratio.high
}

/// The most of `trials` that happen with probability `share` each, in 97.5 % of
/// all cases: the quantile of the binomial distribution.
fn binomial_bound(trials: u32, share: f64) -> u32 {
    let mut mass = (1.0 - share).powi(i32::try_from(trials).unwrap());
    let (mut below, mut at) = (mass, 0);
    while below < 0.975 {
        mass *= f64::from(trials - at) / f64::from(at + 1) * share / (1.0 - share);
        at += 1;
        below += mass;
    }
    at
}

#[test]
fn the_binomial_bound_by_hand() {
    // 4 trials of a half: 1/16, 5/16, 11/16, 15/16, 1.
    assert_eq!(binomial_bound(4, 0.5), 4);
    assert_eq!(binomial_bound(1, 0.01), 0);
    assert_eq!(binomial_bound(400, 0.05), 29);
}

#[test]
fn simulated_equal_arms_raise_no_more_alarms_than_chance() {
    let bound = binomial_bound(400, 0.05);
    println!("false alarms of 400 comparisons of equal arms (at most {bound} by chance, 97.5 %):");
    for machine in MACHINES {
        let (mut by_blocks, mut by_precision, mut claims) = (0, 0, 0);
        for seed in 0..400 {
            let six = Experiment::new(machine, 1.0, seed).blocks(6).compared(None);
            by_blocks += u32::from(!covers(&six, 1.0));
            claims += u32::from(matches!(six.finding, Finding::First | Finding::Other));
            let staged = Experiment::new(machine, 1.0, 10_000 + seed).with_precision(0.02);
            by_precision += u32::from(!covers(&staged.compared(Some(0.02)), 1.0));
        }
        println!(
            "  {:22} six blocks {by_blocks} ({claims} claims), precision 2 % {by_precision}",
            machine.name
        );
        assert!(by_blocks <= bound && by_precision <= bound && claims <= by_blocks);
    }
}

#[test]
fn simulated_intervals_cover_the_truth() {
    const TRIALS: u32 = 2000;
    println!("coverage of {TRIALS} comparisons, percent (true ratio: 4, 6, 10 blocks; precision)");
    for machine in MACHINES {
        for (place, truth) in (0..).zip([1.0, 0.98, 0.95, 0.8]) {
            let mut shares = Vec::new();
            for blocks in [4, 6, 10, 0] {
                let covered: u32 = (0..u64::from(TRIALS))
                    .map(|seed| {
                        let seed = seed + 1_000_000 * u64::from(blocks + 1) + 10_000 * place;
                        let new = Experiment::new(machine, truth, seed);
                        let of = match blocks {
                            0 => new.with_precision(0.02).compared(Some(0.02)),
                            blocks => new.blocks(blocks).compared(None),
                        };
                        u32::from(covers(&of, truth))
                    })
                    .sum();
                shares.push(f64::from(covered) / f64::from(TRIALS) * 100.0);
            }
            println!("  {:22} {truth:.2}: {shares:.1?}", machine.name);
            let holds = |share: &f64| (93.0..=97.0).contains(share);
            assert!(shares.iter().all(holds), "{shares:?}");
        }
    }
}

#[test]
fn simulated_gaps_are_decided_in_time() {
    const TRIALS: u32 = 400;
    println!("gaps decided of {TRIALS}, and blocks that it took (mean, 10th and 90th percentile):");
    for machine in MACHINES {
        for (truth, precision) in [(0.95, 0.02), (0.98, 0.01)] {
            let (mut decided, mut wrong, mut blocks) = (0, 0, Vec::new());
            for seed in 0..u64::from(TRIALS) {
                let played =
                    Experiment::new(machine, truth, 77_000 + seed).with_precision(precision);
                blocks.push(played.blocks.numbers.len());
                let of = played.compared(Some(precision));
                decided += u32::from(of.finding == Finding::First);
                wrong += u32::from(of.finding == Finding::Other);
            }
            blocks.sort_unstable();
            let mean = blocks.iter().sum::<usize>() as f64 / f64::from(TRIALS);
            println!(
                "  {:22} gap {:.0} %, precision {:.0} %: {decided} decided, {wrong} the wrong way; \
                 blocks {mean:.1} ({} to {})",
                machine.name,
                (1.0 - truth) * 100.0,
                precision * 100.0,
                blocks[40],
                blocks[360]
            );
            assert!(decided * 10 >= TRIALS * 9 && wrong == 0);
        }
    }
}

/// What the design cannot take: noise that outlives one play and not many. Blocks
/// that follow each other then share some luck, and intervals are too narrow by
/// a little. How much is known and bounded.
#[test]
fn simulated_luck_that_lasts_two_plays_costs_little() {
    let machine = Machine {
        name: "wander alone, stays 0.5",
        drift: 0.0,
        wander: 0.02,
        stays: 0.5,
        own: 0.0,
    };
    let covered = (0..4000_u64)
        .filter(|seed| {
            covers(
                &Experiment::new(machine, 0.95, *seed)
                    .blocks(6)
                    .compared(None),
                0.95,
            )
        })
        .count();
    let share = covered as f64 / 40.0;
    println!("{}: covered {share:.1} %", machine.name);
    assert!((90.0..=96.0).contains(&share), "{share}");
}
