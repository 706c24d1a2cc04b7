//! The worker's side of AWS: STS exchange, temporary credentials and their cache, SigV4, Bedrock's endpoints
//! and operations, and what their errors mean.
//!
//! Does not own whom a session is for (`worker`) nor what a role may be (`domain::role_arn`).
//! Reads nothing of the host: no variable, no profile, no metadata service.
//! May import: domain, fetch.

pub mod bedrock;
pub mod bedrock_client;
pub mod bedrock_fault;
mod connector;
pub mod credential;
pub mod credential_cache;
pub mod credential_key;
pub mod error;
pub mod explanation;
pub mod flight_cache;
pub mod sigv4;
mod slots;
pub mod sts;
pub mod sts_fault;
