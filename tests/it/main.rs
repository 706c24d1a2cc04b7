//! Integration tests, in one binary so that they link once.

#![expect(clippy::expect_used, clippy::panic, reason = "in a test a panic is how a broken expectation is told")]

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod interop_verifiers;
mod papers;
mod store_contract;
mod tls;
mod tokens;
mod worker;
