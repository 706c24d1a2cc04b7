//! `/oauth2`: the token endpoint, revocation, and the document that tells of both.
//!
//! Owns forms, how clients name themselves, and the shapes of answers. Does not own what is granted
//! (`issuer::oauth`) nor the shape of errors (`http::error::oauth`).
//! May import: what its parent may.

mod asked;
pub mod client;
pub mod form;
pub mod metadata;
pub mod revoke;
pub mod token;
pub mod token_exchange;
