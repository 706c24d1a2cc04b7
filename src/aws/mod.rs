//! The worker's side of AWS: STS exchange, temporary credentials and their cache, SigV4, Bedrock's endpoints
//! and event streams, and what their errors mean.
//!
//! Does not own whom a session is for (`worker`) nor what a role may be (`domain::role_arn`).
//! May import: domain, fetch.
