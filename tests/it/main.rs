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
mod authorization_codes;
mod canary;
mod cli;
mod cli_keys;
mod cli_postgres;
mod demo;
mod deploy;
mod device_grants;
mod docs_commands;
mod drill_crash;
mod drill_database;
mod drill_disable;
mod drill_disk;
mod drill_fairness;
mod drill_overload;
mod drill_rolling;
mod drill_rotation;
mod drill_soak;
mod exchange;
mod failover;
mod federation;
mod federation_keys;
mod fuzz_corpus;
mod group_commit;
mod harness;
mod held_open;
mod interop;
mod interop_api;
mod interop_oauth;
mod interop_people;
mod interop_setup;
mod interop_upstream;
mod interop_verifiers;
mod kept_session;
mod key_life;
mod key_schedule;
#[cfg(feature = "keyring")]
mod keyring;
mod liveness_lock;
mod login;
mod mint;
mod moved_to_a_cdn;
mod oauth;
mod oauth_assertions;
mod openapi;
mod ops;
mod origins;
mod pages;
mod pages_chromium;
mod papers;
mod platforms;
mod private_issuers;
mod private_issuers_whole;
mod public_api;
mod reasons;
mod refresh;
mod remaining_sessions;
mod replay;
mod reseal;
mod restore;
mod retention;
mod rotation;
mod rotation_jwks;
mod runs;
mod sandbox;
mod sessions;
mod sign_in_upstream;
mod signing_keys;
mod store_contract;
mod terminal;
mod tls;
mod tokens;
mod trust_rules;
mod upstream_chromium;
mod worker;
mod worker_whole;
