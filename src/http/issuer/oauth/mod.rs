//! `/oauth2`: the token endpoint, device authorization, revocation, logout by providers, and the document that tells of them.
//!
//! Owns forms, how clients name themselves, and the shapes of answers. Does not own what is granted
//! (`issuer::oauth`) nor the shape of errors (`http::error::oauth`).
//! May import: what its parent may.

mod asked;
pub mod backchannel_logout;
pub mod client;
pub mod device;
pub mod form;
pub mod metadata;
pub(in crate::http::issuer) mod person;
pub mod revoke;
pub mod token;
pub mod token_exchange;
