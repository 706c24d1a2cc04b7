//! Brevet: an OIDC token issuer and inference gateway that gives agents a cloud identity without keys.
//!
//! One package, five floors; imports go downward only, and `tests/floors.rs` is the wall.
//! `ARCHITECTURE.md` tells who may see whom and where to find what.

// Floor 0: what the words mean.
pub mod domain;

// Floor 1: one tool each.
pub mod aws;
pub mod client;
pub mod config;
pub mod crypto;
pub mod fetch;
pub mod iam;
pub mod limit;
pub mod oidc;
pub mod store;
pub mod wire;

// Floor 2: what it does.
pub mod issuer;
pub mod sandbox;
pub mod worker;

// Floor 3: how it is spoken to.
pub mod http;

// Floor 4: how it is put together and run.
pub mod cli;
