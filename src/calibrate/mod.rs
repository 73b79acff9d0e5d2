//! The instrument measured by itself: our own servers in a process of their
//! own, whose book says when each message was handed over. Knows no server
//! but these, and subtracts nothing from anybody's figures.

mod arm;
pub mod cores;
mod experiment;
mod join;
mod ladder;
pub mod process;
pub mod server;

pub use experiment::{Calibrated, Settings, calibrate};
pub use process::{YardOptions, YardProcess};
