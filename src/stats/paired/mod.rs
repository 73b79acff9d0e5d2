//! Arms compared: how large each ratio is, how sure that is, and which of the
//! four sentences follows. Knows figures of blocks and of requests; no server,
//! no file. What the experiment could not see it does not claim.

mod blocks;
mod judgement;
mod stein;
mod together;

pub use blocks::PairedBlocks;
pub use stein::{PILOT_BLOCKS, blocks_needed};
pub use together::{DEFAULT_MARGIN, Options, compare_blocks};
