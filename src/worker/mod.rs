//! The inference gateway's use cases: caller, exchange, credentials, signing, streaming.
//!
//! Does not own HTTP surfaces (`http::worker`) nor the AWS protocols (`aws`).
//! May import: domain, aws, client, wire, iam, limit, and `crypto`'s verifying half.
