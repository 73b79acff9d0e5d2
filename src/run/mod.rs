//! Does the plan: sends each request when it is due, keeps what came, and
//! stops when told to. The only room with tasks, sleeps and the date. Knows
//! backends only by their trait, computes no metric.

mod cpu;
mod crew;
mod descriptors;
mod experiment;
#[cfg(test)]
mod experiment_tests;
mod flight;
mod gate;
mod host;
mod ids;
mod player;
mod progress;
mod runner;
mod silence;
mod slot;
mod steady;
mod stolen;
mod stop;
mod stretch;
mod team;
#[cfg(test)]
mod tests;
mod wall;
mod watch;

pub use crew::{Crew, Seat};
pub use descriptors::{make_all_room, make_room};
pub use experiment::{End, Experiment, Pace};
pub use host::host;
pub use ids::Ids;
pub use player::Player;
pub use progress::{Progress, Show, Steps};
pub use runner::Runner;
pub use silence::Limits;
pub use stop::Stop;
pub use wall::Wall;

/// Name of the client's threads: what the processor time of the client is
/// told by, apart from embedded servers and everything else in the process.
pub const CLIENT_THREAD: &str = "pb-client";
