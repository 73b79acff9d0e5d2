//! Rust of `proto/`, as the build script makes it. Nothing is written by hand
//! here.
#![expect(
    unused_qualifications,
    unreachable_pub,
    clippy::enum_variant_names,
    clippy::too_many_lines,
    reason = "generated code: full paths, public within its module, names as published"
)]

tonic::include_proto!("inference");
