//! The relying party: keys of foreign issuers, found and kept, and providers at which people sign in.
//!
//! Owns discovery documents and JWKS of others, how often they are asked for, and what answers and ID tokens of
//! sign-in providers prove. Does not own which issuer may be asked (`domain::trust`: only one that a live rule names;
//! `domain::upstream`: only one that the operator set up), who a provider's subject is here, nor the guards of the
//! connection (`fetch`). The only place that names openidconnect.
//! May import: domain, fetch, crypto.

mod cache;
pub mod discovery;
pub mod error;
mod fair;
pub mod key_cache;
pub mod logout_token;
mod provider;
pub mod upstream;
mod upstream_claims;
pub mod upstream_error;

pub use error::KeysError;
pub use key_cache::{KeyCache, KeyPlace};
pub use upstream::{Answer, Registration, RelyingParty};
pub use upstream_error::{ProviderFault, RedeemFault, TokenFault};
