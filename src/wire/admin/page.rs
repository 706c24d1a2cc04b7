//! A page of a list, and a resource that came with a secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::secret_text::SecretText;

/// A page of a list, oldest first (audit rows: newest first).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// At most `limit` entries.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; absent on the last one. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A resource just made, with its key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WithKey<T> {
    /// The resource, as a later `GET` shows it.
    #[serde(flatten)]
    pub resource: T,
    /// The key, shown this once; absent where an `Idempotency-Key` was repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretText>,
}
