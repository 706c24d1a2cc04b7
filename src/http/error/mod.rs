//! The error answers of `/v1` (and, in [`oauth`], of `/oauth2`): one exhaustive map from what the floors below refuse to problem details.
//!
//! Owns the catalogue of codes ([`code`]), the answer's shape ([`problem`]) and the maps. Bodies never print
//! a source; a 5xx is logged once, where the answer is written (`layer::answer`).

#![deny(clippy::wildcard_enum_match_arm)]

pub mod admin;
pub mod authenticate;
pub mod code;
pub mod exchange;
pub mod mint;
pub mod oauth;
pub mod page;
pub mod problem;
pub mod session;
pub mod unavailable;

pub use code::Code;
pub use problem::ProblemAnswer;
