//! Floor 0: what Brevet means by its words.
//!
//! Owns the identity grammar, claims, policy decisions, key states, settings and the closed lists of
//! reasons, all as pure functions over plain values. Does not own any I/O: no clock, no randomness, no
//! SQL, no HTTP; `now` is a parameter and random bytes come in through [`entropy::Entropy`].
//! May import nothing else of this crate.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod address_range;
pub mod audience;
pub mod audit;
pub mod authority;
pub mod authorization;
pub mod browser;
pub mod claim_condition;
pub mod claims;
pub mod client_key;
pub mod clock;
pub mod credential;
pub mod device_grant;
pub mod endpoint;
pub mod entropy;
pub mod foreign_issuer;
pub mod id;
pub mod issuer_url;
pub mod key_schedule;
pub mod label;
pub mod lifetime;
pub mod pkce;
pub mod platform;
pub mod policy;
pub mod principal;
pub mod refresh;
pub mod region;
pub mod requester;
pub mod role;
pub mod role_arn;
pub mod rotation;
pub mod run;
pub mod sealed;
pub mod secret;
pub mod session;
pub mod session_name;
pub mod session_tag;
pub mod settings;
pub mod sign_in;
pub mod signing_key;
pub mod subject;
pub mod team;
pub mod trust;
pub mod trust_template;
pub mod upstream;
pub mod user_code;
