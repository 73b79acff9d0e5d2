//! What a client of Triton has to get right, one test for each point: against
//! a server that plays a script frame by frame, and against the simulated one.
#![expect(
    clippy::expect_used,
    reason = "a test's helpers may fail as the test does"
)]

mod counts;
mod ends;
mod frames;
mod probing;
mod scripted;
mod sent;
mod simulated;
mod texts;

/// The same Rust of `proto/` that the library has inside.
#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::enum_variant_names,
    clippy::too_many_lines,
    reason = "generated code: full paths, public within its module, names as published"
)]
mod proto {
    tonic::include_proto!("inference");
}
