//! What handlers take from a request; every rejection is problem+json.
//!
//! Owns parsing of headers, bodies and paths. Does not own what they mean.

pub mod bearer;
pub mod json;
pub mod origin;
pub mod path;
pub mod query;

pub use bearer::{Bearer, Capability, LivenessAsker};
pub use json::Json;
pub use origin::ClientOrigin;
pub use path::Segments;
pub use query::Query;
