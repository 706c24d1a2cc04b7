//! The admin part of `/v1`: one file per resource, request and answer types together.
//!
//! In a change, an omitted member keeps and `null` clears. Lists are pages with an opaque cursor. A secret
//! stands in the answer of the create that made it and nowhere else. Every versioned resource says its
//! `version`, which is also its `ETag`.

pub mod administrator;
pub mod audience;
pub mod audit;
pub mod effective_settings;
pub mod enrolment_code;
pub mod identity;
pub mod member;
pub mod page;
pub mod platform_key;
pub mod policy;
pub mod provider_settings;
pub mod public_key;
pub mod remaining_sessions;
pub mod role;
pub mod service_account;
pub mod session;
pub mod signing_key;
pub mod team;
pub mod team_issuer;
pub mod trust_rule;
pub mod upstream_provider;
pub mod user;
pub mod worker_key;
