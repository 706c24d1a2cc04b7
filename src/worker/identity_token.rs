//! What an identity token from the issuer says of itself, read without verifying: STS verifies it. Read so that a
//! mix-up is noticed before it is shown to anybody, and so that the cache key holds what STS will be told.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::domain::secret::Secret;

/// The claims that decide the session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct StatedClaims {
    /// `iss`.
    pub(super) iss: String,
    /// `sub`.
    pub(super) sub: String,
    /// `aud`.
    pub(super) aud: String,
    /// `https://aws.amazon.com/tags`.
    #[serde(rename = "https://aws.amazon.com/tags")]
    pub(super) tags: Option<StatedTags>,
}

/// Session tags in the nested form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct StatedTags {
    /// Each value is a list of one.
    pub(super) principal_tags: BTreeMap<String, [String; 1]>,
    /// Which of them stay through role chaining.
    pub(super) transitive_tag_keys: BTreeSet<String>,
}

/// The claims of `token`, or nothing where it is no token.
pub(super) fn stated_claims(token: &Secret) -> Option<StatedClaims> {
    let mut parts = token.expose().split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
