//! The experiment's order: which jobs make a block, what leads it in, and who
//! plays first. Pure, and the same for every arm; knows no time.

use super::{Placed, Plan};

/// Requests of a block for every slot: what a block needs, lest its start and
/// its end are most of it (rule 5).
pub const REQUESTS_PER_SLOT: u32 = 2;

/// Blocks that say something, where nobody says how many.
const USUAL_BLOCKS: u32 = 6;

/// Blocks of which each of `arms` arms has each turn equally often: `blocks`, or
/// the next larger number.
#[must_use]
pub fn balanced(blocks: u32, arms: u32) -> u32 {
    let arms = arms.max(1);
    blocks.div_ceil(arms).saturating_mul(arms)
}

/// Blocks for `jobs` jobs where nobody says how many: six, or the balanced number
/// above it; the one below where blocks would else have fewer than
/// `block_requests` requests, as that would cost the comparison its validity.
#[must_use]
pub fn usual_blocks(jobs: u32, arms: u32, block_requests: u32) -> u32 {
    let above = balanced(USUAL_BLOCKS, arms);
    let below = USUAL_BLOCKS / arms.max(1) * arms;
    let is_short = jobs / above < block_requests;
    if is_short && below > 0 { below } else { above }
}

/// How a plan is cut into blocks, and the order of the arms in each.
///
/// Of a plan of N jobs and B slices each slice has N / B; what is left over is
/// played by nobody, as blocks of unequal size would weigh alike. Block `k` is
/// slice `k mod B`, so that there may be more blocks than slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    arms: u32,
    /// Places by which the first block's order is rotated.
    first: u32,
    slices: u32,
    requests: u32,
}

impl Schedule {
    /// Cuts `jobs` jobs into `slices` slices for `arms` arms; `seed` draws who
    /// plays first. `None`: there are fewer jobs than slices, or nobody to play.
    #[must_use]
    pub fn new(jobs: u32, slices: u32, arms: u32, seed: u64) -> Option<Self> {
        let requests = jobs.checked_div(slices).filter(|requests| *requests > 0)?;
        let first = scattered(seed).checked_rem(u64::from(arms))?;
        Some(Self {
            arms,
            first: u32::try_from(first).ok()?,
            slices,
            requests,
        })
    }

    /// Requests of each block, without its lead-in.
    #[must_use]
    pub fn block_requests(&self) -> u32 {
        self.requests
    }

    /// Jobs of the plan that are in some slice.
    #[must_use]
    pub fn used_jobs(&self) -> u32 {
        self.requests * self.slices
    }

    /// Slots that a block keeps busy at `concurrency`: no more than it has
    /// requests.
    #[must_use]
    pub fn slots(&self, concurrency: u32) -> u32 {
        self.requests.min(concurrency)
    }

    /// The arms in the order in which they play block `number`: rotated by one
    /// place from block to block, so that two arms go A B, B A, ... and each of
    /// n arms has each turn once in n blocks. What drifts meanwhile does so for
    /// all alike.
    #[must_use]
    pub fn order(&self, number: u32) -> Vec<usize> {
        let shift = (u64::from(number) + u64::from(self.first)) % u64::from(self.arms);
        let arms = (0..u64::from(self.arms)).map(|place| (place + shift) % u64::from(self.arms));
        arms.filter_map(|arm| usize::try_from(arm).ok()).collect()
    }

    /// The requests of block `number`, the lead-in first.
    ///
    /// The lead-in has one request per slot: the jobs before the block in the
    /// cyclic order of the plan, the one of slot `s` of `n` cut to (s + 1) / n of
    /// its length. A closed loop starts with a burst of prefills, and its slots
    /// stay in step for long; after the lead-in they come to the block's own
    /// requests one by one, all others busy.
    #[must_use]
    pub fn block(&self, plan: &Plan, number: u32) -> Vec<Placed> {
        let begin = (number % self.slices) * self.requests;
        let slots = self.slots(plan.concurrency);
        let used = self.used_jobs();
        let job = |index: u32| plan.jobs.get(usize::try_from(index).ok()?).cloned();
        let lead_in = (0..slots).filter_map(|slot| {
            let index = (begin + used - slots + slot) % used;
            let mut job = job(index)?;
            job.request.output_tokens = share(job.request.output_tokens, slot + 1, slots);
            Some(Placed {
                index,
                lead_in: true,
                job,
            })
        });
        let own = (begin..begin + self.requests).filter_map(|index| {
            Some(Placed {
                index,
                lead_in: false,
                job: job(index)?,
            })
        });
        lead_in.chain(own).collect()
    }
}

/// `part` / `of` of a length, rounded up: at least one token of any answer.
fn share(tokens: u32, part: u32, of: u32) -> u32 {
    let share = (u64::from(tokens) * u64::from(part)).div_ceil(u64::from(of.max(1)));
    u32::try_from(share).unwrap_or(tokens)
}

/// Seeds that follow each other, all over the place: one step of SplitMix64
/// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA
/// 2014).
fn scattered(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
