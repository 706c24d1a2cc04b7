//! Routers, extractors, layers and error shapes.
//!
//! Does not own use cases: a handler parses, calls floor 2 once, and shapes the answer.
//! May import: every lower floor.

pub mod admin;
pub mod error;
pub mod extract;
pub mod issuer;
pub mod layer;
pub mod loopback;
pub mod ops;
pub mod pages;
pub mod paths;
pub mod resource;
pub mod serve;
pub mod state;
pub mod tls;
pub mod whole;
pub mod worker;
