//! The relying party: keys of foreign issuers, found and kept.
//!
//! Owns discovery documents and JWKS of others, and how often they are asked for. Does not own which issuer may be
//! asked (`domain::trust`: only one that a live rule names), what a token must say, nor the guards of the connection
//! (`fetch`). Nothing here is decided by anything that stands in a token.
//! May import: domain, fetch, crypto.

pub mod discovery;
pub mod error;
mod fair;
pub mod key_cache;

pub use error::KeysError;
pub use key_cache::{KeyCache, KeyPlace};
