//! `/oauth2`: the token endpoint and revocation.
//!
//! Owns forms, how clients name themselves, and the shapes of answers. Does not own what is granted
//! (`issuer::oauth`) nor the shape of errors (`http::error::oauth`).
//! May import: what its parent may.

mod client;
pub mod form;
pub mod revoke;
pub mod token;
