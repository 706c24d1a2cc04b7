//! The token endpoint's use cases: which client asks, and the access token it gets (RFC 6749).
//!
//! Owns client authentication, one file per grant, and revocation. Does not own forms and error shapes
//! (`http::issuer::oauth`), nor what an access token may then do: it mints like the key it derives from.
//! May import: what its parent may.

pub mod access_token;
mod assertion;
pub mod client;
pub mod grant_type;
mod keys_at;
pub mod metadata;
pub mod refusals;
pub mod revocation;
pub mod token_exchange;

pub use access_token::IssuedToken;
pub use client::{Client, Presented};
pub use grant_type::GrantType;
pub use refusals::{ClientRefused, GrantRefused, OAuthError, SubjectTokenRefused};
pub use token_exchange::{Exchanged, Wanted};
