//! What every request passes through before a handler sees it.
//!
//! Does not own what a route does.
//! May import: every lower floor.

pub mod client_address;
