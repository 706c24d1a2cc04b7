//! What is taken from an ID token that is verified, and how much of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::upstream_error::TokenFault;
use crate::crypto::strict_json;
use crate::domain::label;
use crate::domain::secret::Secret;
use crate::domain::upstream::{self, Group, UpstreamPerson, UpstreamSettings, Word};

/// Most groups of one person that are looked at; a provider that has more says so in other ways, or should filter.
const GROUPS_MAX: usize = 1000;
/// Most words of `amr`.
const AMR_MAX: usize = 10;
/// Most characters of a word of `amr`.
const AMR_WORD_MAX: usize = 40;

/// Reads what `token` says; it is verified by now, so that only its form is judged. What is only for people to
/// recognise each other by is left out where it is no label, what decides is refused.
pub(super) fn person(token: &Secret, settings: &UpstreamSettings) -> Result<UpstreamPerson, TokenFault> {
    let claims = claims(token.expose())?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let subject = text("sub").and_then(|sub| upstream::subject(sub).ok()).ok_or(TokenFault::Claim("sub"))?;
    let sid = match claims.get("sid") {
        None | Some(Value::Null) => None,
        Some(sid) => Some(sid.as_str().and_then(|sid| upstream::subject(sid).ok()).ok_or(TokenFault::Claim("sid"))?),
    };
    let names = ["name", "preferred_username", "nickname"].into_iter().filter_map(text);
    // Cognito writes the flag as a text.
    let verified = claims.get("email_verified").is_some_and(|flag| *flag == Value::Bool(true) || *flag == "true");
    Ok(UpstreamPerson {
        subject,
        sid,
        name: names.into_iter().find_map(|name| label::name(name).ok()),
        email: text("email").and_then(|email| label::email(email).ok()),
        email_verified: verified,
        hosted_domain: text("hd").map(str::to_owned),
        groups: settings.groups_claim.as_ref().map(|claim| groups(claims.get(claim.as_str()))).unwrap_or_default(),
        amr: amr(claims.get("amr")),
    })
}

/// The claims of a JWT, each name once at any depth.
pub(super) fn claims(token: &str) -> Result<Map<String, Value>, TokenFault> {
    let payload = token.split('.').nth(1).ok_or(TokenFault::Form)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenFault::Form)?;
    strict_json::object(&payload).ok_or(TokenFault::Form)
}

/// A list of texts, or one text.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let texts = match claim {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    texts.into_iter().take(GROUPS_MAX).filter(|text| Group::parse(text).is_ok()).map(str::to_owned).collect()
}

/// RFC 8176: a list of words. Some providers write one.
fn amr(claim: Option<&Value>) -> Vec<String> {
    let words = match claim {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let fits = |word: &&str| word.len() <= AMR_WORD_MAX && Word::parse(word).is_ok();
    words.into_iter().filter(fits).take(AMR_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(claims: &Value) -> Result<UpstreamPerson, TokenFault> {
        let settings =
            UpstreamSettings { groups_claim: Word::parse("groups").ok(), ..UpstreamSettings::new_provider() };
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        person(&Secret::new(token), &settings)
    }

    #[test]
    fn what_decides_is_taken_whole_or_refused() {
        for bad in
            [json!({}), json!({"sub": ""}), json!({"sub": 7}), json!({"sub": "a\nb"}), json!({"sub": "x".repeat(256)})]
        {
            assert_eq!(read(&bad), Err(TokenFault::Claim("sub")), "{bad}");
        }
        assert_eq!(read(&json!({"sub": "s", "sid": 7})), Err(TokenFault::Claim("sid")));
        let person = read(&json!({"sub": "s", "sid": "t", "email_verified": "yes", "email": "a@b.example"})).unwrap();
        assert_eq!((person.subject.as_str(), person.sid.as_deref(), person.email_verified), ("s", Some("t"), false));
        for verified in [json!(true), json!("true")] {
            assert!(read(&json!({"sub": "s", "email_verified": verified})).unwrap().email_verified);
        }
    }

    #[test]
    fn labels_that_are_none_are_left_out_and_lists_are_bounded() {
        let person =
            read(&json!({"sub": "s", "name": "\u{202e}x", "preferred_username": "ada", "email": "nobody"})).unwrap();
        assert_eq!((person.name.as_deref(), person.email), (Some("ada"), None));
        let person = read(&json!({
            "sub": "s", "groups": ["a", 7, "b\n", "c"], "amr": ["pwd", "x".repeat(41), "a b", "mfa", 1],
        }))
        .unwrap();
        assert_eq!(
            (person.groups, person.amr),
            (vec!["a".to_owned(), "c".to_owned()], vec!["pwd".to_owned(), "mfa".to_owned()])
        );
        let many: Vec<_> = (0..20).map(|n| format!("m{n}")).collect();
        assert_eq!(read(&json!({"sub": "s", "amr": many})).unwrap().amr.len(), AMR_MAX);
        assert_eq!(read(&json!({"sub": "s", "groups": "one"})).unwrap().groups, ["one"]);
    }

    #[test]
    fn threat_2_a_token_that_repeats_a_name_is_refused() {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"sub":"a","sub":"b"}"#));
        let read = person(&Secret::new(token), &UpstreamSettings::new_provider());
        assert_eq!(read, Err(TokenFault::Form));
    }
}
