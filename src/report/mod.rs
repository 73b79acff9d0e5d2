//! Figures for people and for spreadsheets: makes text of what [`crate::stats`]
//! found and computes nothing of its own. Knows no backend, no flag and no
//! clock; the only file it touches is the CSV that it is told to append to.

#[cfg(test)]
mod agreement_tests;
mod asked;
pub mod calibrate;
mod chart;
pub mod csv;
pub mod dataset;
mod drawings;
mod findings;
mod format;
mod histogram;
pub mod html;
pub mod json;
pub mod markdown;
#[cfg(test)]
mod page_tests;
mod profile;
#[cfg(test)]
mod samples;
mod sentences;
mod series;
mod side_by_side;
mod tables;
pub mod text;

pub use findings::Findings;
