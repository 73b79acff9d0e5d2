//! Arms compared: how large each ratio is, how sure that is, and which of the
//! four sentences follows. Knows figures of blocks and of requests; no server,
//! no file. What the experiment could not see it does not claim.

mod blocks;
mod stein;

pub use blocks::PairedBlocks;
pub use stein::{PILOT_BLOCKS, blocks_needed};
