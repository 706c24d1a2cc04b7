//! The `brevet` binary.

fn main() {}
