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
mod api_docs;
mod authorization;
mod cli;
mod cli_keys;
mod cli_postgres;
mod demo;
mod docs_commands;
mod drill_crash;
mod drill_rotation;
mod exchange;
mod harness;
mod interop;
mod interop_setup;
mod interop_verifiers;
mod mint;
mod oauth;
mod openapi;
mod ops;
mod papers;
mod private_issuers;
mod private_issuers_whole;
mod public_api;
mod reseal;
mod retention;
mod rotation;
mod rotation_jwks;
mod sandbox;
mod sessions;
mod store_contract;
mod tls;
mod tokens;
mod worker;
mod worker_whole;
