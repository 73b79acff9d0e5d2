//! Makes Rust of `proto/` with protox, so that no protoc has to be installed.

#![forbid(unsafe_code)]

use std::error::Error;

const FOLDER: &str = "../proto";
const SERVICE: &str = "../proto/grpc_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let descriptors = protox::compile([SERVICE], [FOLDER])?;
    tonic_prost_build::configure()
        // Tensors are passed on as they came off the wire, not copied.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
