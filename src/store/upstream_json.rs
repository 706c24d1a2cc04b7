//! A sign-in provider's settings as their column holds them: our own JSON, read back strictly.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::domain::upstream::{EmailDomain, SessionLength, UpstreamSettings, Word};

const CORRUPT: StoreError = StoreError::Corrupt("settings");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsJson {
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups_claim: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    email_domains: Vec<String>,
    session_seconds: u32,
    require_verified_email: bool,
}

pub(super) fn write(settings: &UpstreamSettings) -> Result<String, StoreError> {
    let json = SettingsJson {
        scopes: settings.scopes.iter().map(ToString::to_string).collect(),
        groups_claim: settings.groups_claim.as_ref().map(ToString::to_string),
        email_domains: settings.email_domains.iter().map(ToString::to_string).collect(),
        session_seconds: settings.session_length.seconds(),
        require_verified_email: settings.require_verified_email,
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

pub(super) fn read(text: &str) -> Option<UpstreamSettings> {
    let json: SettingsJson = serde_json::from_str(text).ok()?;
    Some(UpstreamSettings {
        scopes: json.scopes.iter().map(|scope| Word::parse(scope).ok()).collect::<Option<_>>()?,
        groups_claim: match &json.groups_claim {
            Some(claim) => Some(Word::parse(claim).ok()?),
            None => None,
        },
        email_domains: json.email_domains.iter().map(|text| EmailDomain::parse(text).ok()).collect::<Option<_>>()?,
        session_length: SessionLength::new(json.session_seconds).ok()?,
        require_verified_email: json.require_verified_email,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_went_and_what_is_none_is_corrupt() {
        let mut settings = UpstreamSettings::new_provider();
        for _ in 0..2 {
            let text = write(&settings).unwrap();
            assert_eq!(read(&text), Some(settings.clone()));
            for bad in ["", "{}", &text[1..], &text.replace("43200", "1"), &text.replace("scopes", "scope")] {
                assert_eq!(read(bad), None, "{bad}");
            }
            settings.groups_claim = Word::parse("groups").ok();
            settings.email_domains = vec![EmailDomain::parse("acme.example").unwrap()];
            settings.require_verified_email = true;
        }
    }
}
