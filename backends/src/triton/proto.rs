//! Rust of `proto/`, as the build script makes it. Nothing is written by hand
//! here.
#![expect(
    unused_qualifications,
    unreachable_pub,
    reason = "generated code writes full paths and is public within its module"
)]

tonic::include_proto!("inference");
