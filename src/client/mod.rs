//! The client of Brevet's own HTTP API, for the worker and the terminal: discovery, tokens, settings,
//! administration, and the saved session.
//!
//! Does not own the types that travel (`wire`) nor the connection (`fetch`).
//! May import: domain, wire, fetch.

pub mod admin;
mod call;
pub mod discovery;
pub mod exchange;
pub mod fresh_session;
pub mod os_keyring;
pub mod private_file;
pub mod runs;
pub mod saved_session;
pub mod sign_in;
mod signing_keys;
pub mod token;

pub use call::{Client, ClientError};
pub use signing_keys::KeysOf;
