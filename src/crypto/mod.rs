//! Keys: making, sealing, signing, verifying, publishing.
//!
//! Opens and signs with what `store` keeps sealed; cannot save anything itself. The only place that names
//! jsonwebtoken. The crate `rsa` judges the self-test of a key that is opened, and keys that are imported, off the signing path.
//! May import: domain.

pub mod certificate;
pub mod client_assertion;
pub mod client_key;
pub mod foreign_keys;
pub mod foreign_token;
mod hex;
mod import;
pub mod jwk;
pub mod keypair;
pub mod new_key;
pub mod seal;
mod second_opinion;
pub mod signer;
pub(crate) mod strict_json;
pub mod verify;
pub mod verifying_key;

pub use import::{ImportError, KEY_FILE_MAX};
