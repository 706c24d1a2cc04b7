//! Settings: the one list of environment variables, and typed values made of flags and variables.
//!
//! Does not own the flags themselves (`cli`). Floor 2 never sees this module: it receives typed values.
//! May import: domain.

pub mod client;
pub mod database;
pub mod development;
pub mod env;
pub mod host;
pub mod issuer;
pub mod listener;
mod network;
pub mod outbound;
pub mod setting;
pub mod telemetry;
pub mod worker;
