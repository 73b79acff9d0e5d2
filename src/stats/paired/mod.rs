//! Arms compared: how large each ratio is, how sure that is, and which of the
//! four sentences follows. Knows figures of blocks and of requests; no server,
//! no file. What the experiment could not see it does not claim.

mod apart;
mod blocks;
mod judgement;
#[cfg(test)]
mod simulated;
mod stein;
#[cfg(test)]
mod tests;
mod together;

pub use apart::compare_apart;
pub use blocks::PairedBlocks;
pub(super) use judgement::Spread;
pub use stein::{PILOT_BLOCKS, blocks_needed};
#[cfg(test)]
pub(super) use together::compare_figures;
pub use together::{DEFAULT_MARGIN, Options, compare_blocks};
