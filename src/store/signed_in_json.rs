//! What a sign-in proved, as columns hold it between the browser and the tokens: our own JSON, read back strictly.

use serde::{Deserialize, Serialize};

use super::db::{Row, instant, millis};
use super::error::StoreError;
use crate::domain::id::{CredentialId, UserUid};
use crate::domain::session::{Authentication, SessionOrigin, SignedIn};

const CORRUPT: StoreError = StoreError::Corrupt("signed_in");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedInJson {
    user: String,
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    at: i64,
    ends_at: i64,
}

pub(super) fn write(signed_in: &SignedIn) -> Result<String, StoreError> {
    let json = SignedInJson {
        user: signed_in.user.to_string(),
        origin: signed_in.origin.to_string(),
        code: signed_in.code.map(|code| code.to_string()),
        subject: signed_in.subject.clone(),
        sid: signed_in.sid.clone(),
        amr: signed_in.amr.clone(),
        at: millis(signed_in.at),
        ends_at: millis(signed_in.ends_at),
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

pub(super) fn read(text: &str) -> Option<SignedIn> {
    let json: SignedInJson = serde_json::from_str(text).ok()?;
    let code = match json.code {
        Some(code) => Some(CredentialId::parse(&code)?),
        None => None,
    };
    Some(SignedIn {
        user: UserUid::parse(&json.user).ok()?,
        origin: SessionOrigin::parse(&json.origin)?,
        code,
        subject: json.subject,
        sid: json.sid,
        amr: json.amr,
        at: instant(json.at)?,
        ends_at: instant(json.ends_at)?,
    })
}

/// A list of words (RFC 8176), as `sessions.amr` holds it; no column where there is none.
pub(super) fn write_amr(amr: &[String]) -> Result<Option<String>, StoreError> {
    if amr.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(amr).map(Some).map_err(|_| StoreError::Corrupt("amr"))
}

fn read_amr(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// How the session of `row` was opened, from the columns `session_origin` and `session_amr`; `None` where it has none.
pub(super) fn authentication(row: &Row) -> Result<Option<Authentication>, StoreError> {
    let Some(origin) = row.optional_parsed("session_origin", SessionOrigin::parse)? else { return Ok(None) };
    let amr = row.optional_parsed("session_amr", read_amr)?.unwrap_or_default();
    Ok(Some(Authentication { origin, amr }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UpstreamUid;
    use time::macros::datetime;
    use uuid::Uuid;

    #[test]
    fn a_sign_in_comes_back_as_it_went() {
        let at = datetime!(2026-11-22 12:00:00.123 UTC);
        let by_code = SignedIn::by_code(UserUid::parse("person-1").unwrap(), CredentialId::new(Uuid::from_u128(7)), at);
        let upstream = SignedIn {
            origin: SessionOrigin::Upstream(UpstreamUid::parse("okta").unwrap()),
            code: None,
            subject: Some("sub \" {}".to_owned()),
            sid: Some("s".to_owned()),
            amr: vec!["mfa".to_owned(), "pwd".to_owned()],
            ..by_code.clone()
        };
        for signed_in in [by_code, upstream] {
            let text = write(&signed_in).unwrap();
            assert_eq!(read(&text), Some(signed_in));
            for wrong in [&text[1..], &text.replace("\"at\"", "\"when\""), &text.replace("person-1", "a/b")] {
                assert_eq!(read(wrong), None, "{wrong}");
            }
        }
    }
}
