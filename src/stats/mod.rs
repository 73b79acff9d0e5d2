//! What the records say: figures, and whether they count. Pure: integers of a
//! run in, numbers and sentences out. Knows [`crate::record`] and nothing
//! else: no backend, no flag, no file, no clock. Subtracts no overhead, spreads
//! no tokens over time and assumes no count that nobody counted.

mod client;
mod comparison;
mod condition;
mod distribution;
mod ending;
#[cfg(test)]
pub(crate) mod fixture;
mod floor;
mod instrument;
mod interval;
mod metric;
mod order;
mod paired;
mod prompts;
mod reason;
mod sentence;
mod server;
mod start;
mod steady;
mod student;
mod summary;
#[cfg(test)]
mod summary_properties;
#[cfg(test)]
mod summary_tests;
mod together;
#[cfg(test)]
mod together_tests;
mod tokens;
mod verdict;
#[cfg(test)]
mod verdict_tests;
mod waterfall;
mod way;
pub(crate) mod words;
mod work;

pub use client::Client;
pub use comparison::{
    ArmPair, Basis, Compared, Comparison, Estimate, Finding, Part, PartKind, Ratio, Time, Waterfall,
};
pub use condition::{Bounded, Condition, Holds, Outcome, Unit, evaluate};
pub use distribution::Distribution;
pub use floor::{
    Circumstances, Noise, delay, difference, floor_for, is_taken, is_well_known, noise,
    taken_percent, uncertainty,
};
pub use instrument::floor_difference;
pub use interval::Interval;
pub use metric::{COMPARED, Metric, ratio};
pub use order::{OutOfOrder, order_may_be_lost, out_of_order};
pub use paired::{
    DEFAULT_MARGIN, Options, PILOT_BLOCKS, PairedBlocks, blocks_needed, compare_apart,
    compare_blocks,
};
pub use reason::Reason;
pub use sentence::{caveats, headline, noun, sentence};
pub use server::{HistogramFigures, ModelFigures, ServerFigures};
pub use start::Start;
pub use student::quantile as student_quantile;
pub use summary::{Counts, Latencies, Summary, summarize};
pub use together::{Arm, judge_together, labels, labels_of, one_experiment};
pub use tokens::{Messages, ServerPrompts, TextCheck, TokenSource, Tokens};
pub use verdict::{Verdict, arms_missing, judge};
pub use waterfall::waterfalls;
pub use way::{HopMean, Way};
pub use work::work_differs;
