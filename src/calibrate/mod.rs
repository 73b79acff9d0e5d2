//! The instrument measured by itself: our own servers in a process of their
//! own, whose book says when each message was handed over. Knows no server
//! but these, and subtracts nothing from anybody's figures.

mod arm;
pub mod cores;
mod experiment;
mod join;
mod ladder;
mod places;
pub mod process;
pub mod server;
mod settings;

pub use experiment::{Calibrated, calibrate};
pub use process::{YardOptions, YardProcess};
pub use settings::Settings;
