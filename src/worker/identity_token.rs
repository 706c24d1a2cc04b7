//! What an identity token from the issuer says of itself, read without verifying: STS verifies it. Read so that a
//! mix-up is noticed before it is shown to anybody, and so that the cache key holds what STS will be told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::claims;
use crate::domain::secret::Secret;

/// The claims that decide the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatedClaims {
    /// `iss`.
    pub(super) iss: String,
    /// `sub`.
    pub(super) sub: String,
    /// `aud`.
    pub(super) aud: String,
    /// [`claims::TAGS`].
    pub(super) tags: Option<StatedTags>,
}

/// By hand, since a derived one would spell the name of [`claims::TAGS`] a second time.
impl<'de> Deserialize<'de> for StatedClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Takes the members one by one; those that decide nothing are passed over.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = StatedClaims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<StatedClaims, A::Error> {
        let (mut iss, mut sub, mut aud, mut tags) = (None, None, None, None);
        while let Some(name) = members.next_key::<String>()? {
            match &*name {
                "iss" => once("iss", &mut iss, &mut members)?,
                "sub" => once("sub", &mut sub, &mut members)?,
                "aud" => once("aud", &mut aud, &mut members)?,
                claims::TAGS => once(claims::TAGS, &mut tags, &mut members)?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(StatedClaims {
            iss: iss.ok_or_else(|| A::Error::missing_field("iss"))?,
            sub: sub.ok_or_else(|| A::Error::missing_field("sub"))?,
            aud: aud.ok_or_else(|| A::Error::missing_field("aud"))?,
            tags: tags.flatten(),
        })
    }
}

/// A claim that stands twice is refused: nobody can say which of the two STS would take.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    name: &'static str,
    claim: &mut Option<T>,
    members: &mut A,
) -> Result<(), A::Error> {
    if claim.replace(members.next_value()?).is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(payload: &str) -> Option<StatedClaims> {
        stated_claims(&Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))))
    }

    #[test]
    fn tags_are_read_by_the_name_they_are_minted_under() {
        let head = r#""jti":"1","iss":"https://i","sub":"s","aud":"a","act":{"sub":"x"}"#;
        let tags = r#"{"principal_tags":{"team":["t"]},"transitive_tag_keys":["team"]}"#;
        let tagged = stated(&format!(r#"{{{head},"{}":{tags}}}"#, claims::TAGS)).unwrap();
        assert_eq!((&*tagged.iss, &*tagged.sub, &*tagged.aud), ("https://i", "s", "a"));
        let read = tagged.tags.unwrap();
        assert_eq!(read.principal_tags["team"], ["t"]);
        assert!(read.transitive_tag_keys.contains("team"));
        assert_eq!(stated(&format!("{{{head}}}")).unwrap().tags, None);
        assert_eq!(stated(&format!(r#"{{{head},"{}":null}}"#, claims::TAGS)).unwrap().tags, None);
    }

    #[test]
    fn a_claim_that_is_missing_or_stands_twice_is_refused() {
        assert_eq!(stated(r#"{"iss":"i","sub":"s"}"#), None);
        assert_eq!(stated(r#"{"iss":"i","sub":"s","aud":"a","aud":"b"}"#), None);
    }
}
