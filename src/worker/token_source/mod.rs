//! Who calls: where a request carries its token, and what the token says once it is verified.
//!
//! Does not own verification itself (`crypto::verify`) nor whether the caller is alive (`worker::exchange`).
//! May import: domain, aws, client, crypto::verify, crypto::jwk.

pub mod caller;
pub mod issuer_keys;
pub mod presented;
