//! Integration tests, in one binary so that they link once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a panic is how a broken expectation is told"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin_api;
mod authorization;
mod harness;
mod interop_verifiers;
mod interop_verifiers;
mod tls;
mod papers;
mod store_contract;
mod openapi;
mod exchange;
mod harness;
mod interop_verifiers;
mod mint;
mod public_api;
mod sessions;
mod sandbox;
mod tls;
mod tokens;
mod tokens;
mod papers;
mod store_contract;
mod tls;
mod tokens;
