//! The experiment: block after block, every arm in its turn, or all at the same
//! moment. Knows whose turn it is and when it has to be over; no figure.

use std::time::Duration;

use anyhow::Result;
use backends::Clock;
use futures_util::future::join_all;

use super::cpu::ThreadTimes;
use super::watch::Watch;
use super::{Player, Progress, Show, Stop};
use crate::plan::Schedule;

/// How a series of blocks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All were played.
    Done,
    /// The user wanted no more.
    Stopped,
    /// Another block would have ended too late.
    OutOfTime,
}

/// The arms, and the order in which they play.
#[derive(Debug)]
pub struct Experiment {
    /// The arms, in the order of the command line.
    pub players: Vec<Player>,
    /// What a block is, and who begins.
    pub schedule: Schedule,
    /// All arms play a block at the same moment. They share the client's
    /// threads, so that nothing but their servers differs.
    pub duet: bool,
    /// No block begins that would end later than this after the first began.
    pub max_time: Option<Duration>,
    /// The one clock.
    pub clock: Clock,
    /// The wish to stop.
    pub stop: Stop,
    /// Servers run in this process: its threads then wait for each other.
    pub embedded: bool,
    /// Hears that the client falls behind while blocks are played.
    pub warn: fn(&str),
    /// What has been played.
    pub pace: Pace,
}

/// How fast blocks have been played so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// When the first block began.
    began_ns: Option<u64>,
    /// Blocks that all arms have played.
    blocks: u32,
    /// How long they took, with what lies between them.
    took_ns: u64,
}

impl Pace {
    /// Blocks that all arms have played.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// All arms have played another block.
    pub(super) fn add(&mut self, began_ns: u64, ended_ns: u64) {
        self.began_ns.get_or_insert(began_ns);
        self.blocks += 1;
        self.took_ns += ended_ns.saturating_sub(began_ns);
    }

    /// How long `blocks` more will take, if all goes on like this; `None` before
    /// the first.
    #[must_use]
    pub fn forecast(&self, blocks: u32) -> Option<Duration> {
        let each_ns = self.took_ns.checked_div(u64::from(self.blocks))?;
        Some(Duration::from_nanos(each_ns.saturating_mul(blocks.into())))
    }

    /// How many blocks more will end within `limit` of the first one's start;
    /// `None` before the first.
    #[must_use]
    pub fn blocks_within(&self, limit: Duration, now_ns: u64) -> Option<u32> {
        let each_ns = self.forecast(1)?.as_nanos().max(1);
        let since_ns = now_ns.saturating_sub(self.began_ns?);
        let left = limit.saturating_sub(Duration::from_nanos(since_ns));
        Some(u32::try_from(left.as_nanos() / each_ns).unwrap_or(u32::MAX))
    }
}

impl Experiment {
    /// Plays until `blocks` blocks have been played in all.
    ///
    /// # Errors
    /// When records cannot be written. A server that fails is no error here: it
    /// is what the records say, and the other arms go on.
    pub async fn play(&mut self, blocks: u32) -> Result<End> {
        let progress = Progress::default();
        let left = u64::from(blocks.saturating_sub(self.pace.blocks));
        let arms = u64::try_from(self.players.len()).unwrap_or(u64::MAX);
        let show = Show::start("", left * arms * self.requests_of_a_block(), &progress);
        let watch = Watch::start(self.clock, &progress, self.embedded, self.warn);
        let mut end = End::Done;
        while self.pace.blocks < blocks {
            if self.would_be_late() {
                end = End::OutOfTime;
                break;
            }
            if !self.block(blocks, &progress, &show).await? {
                end = End::Stopped;
                break;
            }
        }
        drop((watch, show));
        Ok(end)
    }

    /// Ends every arm's records. `settle` enters into their headers what was
    /// settled meanwhile.
    ///
    /// # Errors
    /// The first trouble; every arm is ended all the same.
    pub async fn finish(self, settle: impl Fn(&mut crate::record::Experiment)) -> Result<()> {
        let stopped = self.stop.is_wished();
        let requests = self.schedule.block_requests();
        let mut all = Ok(());
        for player in self.players {
            all = all.and(player.finish(requests, stopped, &settle).await);
        }
        all
    }

    /// Says that there will be so many blocks.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub async fn plans(&mut self, blocks: u32) -> Result<()> {
        let requests = blocks.saturating_mul(self.schedule.block_requests());
        for player in &mut self.players {
            player.plans(requests, blocks).await?;
        }
        Ok(())
    }

    fn would_be_late(&self) -> bool {
        let within = |limit| self.pace.blocks_within(limit, self.clock.now_ns());
        self.max_time.and_then(within) == Some(0)
    }

    /// Requests that a block costs an arm, lead-in and all.
    fn requests_of_a_block(&self) -> u64 {
        let concurrency = self.players.first().map_or(0, Player::concurrency);
        let lead_in = self.schedule.slots(concurrency);
        u64::from(lead_in) + u64::from(self.schedule.block_requests())
    }

    /// Plays the next block, the `of`-th being the last. False: the user did not
    /// want its end, or any after it.
    async fn block(&mut self, of: u32, progress: &Progress, show: &Show) -> Result<bool> {
        let number = self.pace.blocks;
        let began_ns = self.clock.now_ns();
        let order: Vec<(u32, usize)> = (0..).zip(self.schedule.order(number)).collect();
        let at_once = if self.duet { order.len() } else { 1 };
        for group in order.chunks(at_once.max(1)) {
            if self.stop.is_wished() {
                return Ok(false);
            }
            let names = group.iter().filter_map(|(_, arm)| self.players.get(*arm));
            let names: Vec<&str> = names.map(Player::name).collect();
            show.say(&format!("block {}/{of} {}", number + 1, names.join(", ")));
            self.together(number, group, progress).await?;
        }
        self.pace.add(began_ns, self.clock.now_ns());
        Ok(!self.stop.is_wished())
    }

    /// Lets the arms of `group`, each with its turn, play a block at one moment.
    async fn together(
        &mut self,
        number: u32,
        group: &[(u32, usize)],
        progress: &Progress,
    ) -> Result<()> {
        let mut lined = Vec::new();
        for (_, arm) in group {
            if let Some(player) = self.players.get(*arm) {
                let line = player.line_up(&self.schedule, number, progress).await;
                lined.push((&player.runner, line));
            }
        }
        let before = ThreadTimes::now();
        let gone = lined.into_iter().map(|(runner, line)| line.go(runner));
        let gone = join_all(gone).await;
        let threads = ThreadTimes::now().since(&before);
        for ((turn, arm), gone) in group.iter().zip(gone) {
            if let Some(player) = self.players.get_mut(*arm) {
                player.keep(gone, *turn, &threads).await?;
            }
        }
        Ok(())
    }
}
