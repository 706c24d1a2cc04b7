//! What the store promises, held on SQLite and on PostgreSQL alike.
//!
//! Every test runs its body once per database; without PostgreSQL that half says that it is skipped.

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a broken expectation is told")]

mod audit;
mod browsers;
mod derived;
mod files;
mod liveness;
mod patience;
mod people;
mod plans;
mod presented;
mod races;
mod rotation;
mod runs;
mod schema;
mod sign_in;
mod states;
mod tables;
mod upstream;
mod world;
