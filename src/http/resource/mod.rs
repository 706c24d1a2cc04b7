//! What every resource of `/v1` has alike, whichever listener serves it: its create, its version, its list.
//!
//! Owns the members of a request with each fault named, queries and pages of lists, `Idempotency-Key`, `If-Match` and
//! `ETag`. Does not own any one resource, nor who may have it (`http::admin`, `http::issuer`).
//! May import: every lower floor, and http's extractors, errors and state.

pub mod create;
pub(super) mod fields;
pub(super) mod models;
pub mod page;
pub(super) mod query;
pub(super) mod runs;
pub mod version;
