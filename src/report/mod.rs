//! Figures for people and for spreadsheets: makes text of what [`crate::stats`]
//! found and computes nothing of its own. Knows no backend, no flag and no
//! clock; the only file it touches is the CSV that it is told to append to.

mod asked;
pub mod calibrate;
pub mod csv;
pub mod dataset;
mod format;
mod histogram;
mod profile;
#[cfg(test)]
mod samples;
mod side_by_side;
pub mod text;
