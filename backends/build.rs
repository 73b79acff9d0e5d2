//! Makes Rust of `proto/` with protox, so that no protoc has to be installed.

fn main() {}
