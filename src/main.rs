//! pairbench.

fn main() {}
