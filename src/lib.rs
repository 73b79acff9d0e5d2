//! pairbench compares the two ways of serving a large language model with
//! LMDeploy: Triton Inference Server and `api_server`.
//!
//! Data goes one way through these rooms:
//! `cli -> config -> workload -> plan -> run -> record -> stats -> report`.
//!
//! - [`cli`]: the flags as typed. No side effects.
//! - [`config`]: what they mean, checked and complete.
//! - [`workload`]: dataset, tokenizer, sampling; made once, before any clock.
//! - [`plan`]: who is asked what, in which order. Pure.
//! - [`run`]: does it. The only room with tasks and sleeps.
//! - [`record`]: what a run leaves behind; raw files in and out. The narrow
//!   waist: the rooms after it see no backend, no flag and no clock.
//! - [`stats`]: figures and the verdict. Pure.
//! - [`calibrate`]: the instrument against its own servers and their book.
//! - [`report`]: text and CSV. Pure, but for appending rows.
//!
//! The crate `backends` is the side door: it knows wires and nothing of this
//! house. [`sim`] starts its simulated servers, [`commands`] walks through the
//! rooms, one file per verb.

pub mod calibrate;
pub mod cli;
pub mod commands;
pub mod config;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod sim;
pub mod stats;
pub mod workload;
