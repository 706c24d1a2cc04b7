//! The claims STS reads, each with its rule and its words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::not_validated;
use crate::domain::role_arn::RoleArn;
use crate::sandbox::account::Tags;
use crate::sandbox::error::AwsError;
use crate::sandbox::query::is_name;

/// AWS's tolerance for clocks, in seconds, in both directions.
const SKEW: i64 = 300;
const ROLES: &str = "https://aws.amazon.com/roles";
const TAGS: &str = "https://aws.amazon.com/tags";
const FLAT_TAG: &str = "https://aws.amazon.com/tags/principal_tags/";
const FLAT_TRANSITIVE: &str = "https://aws.amazon.com/tags/transitive_tag_keys";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// The claims of a token, read member by member.
pub(in crate::sandbox) struct Claims<'a>(&'a Map<String, Value>);

/// Which roles the issuer binds the token to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Roles {
    /// No claim: any.
    Unbound,
    /// These, at least one.
    Bound(Vec<String>),
}

impl<'a> Claims<'a> {
    pub(in crate::sandbox) fn new(claims: &'a Map<String, Value>) -> Self {
        Self(claims)
    }

    /// `iss`, and that the other required claims are there at all.
    pub(in crate::sandbox) fn issuer(&self) -> Result<String, AwsError> {
        for name in ["iss", "sub", "aud", "iat", "exp"] {
            if !self.0.contains_key(name) {
                return Err(AwsError::invalid_token(format!("Missing a required claim: {name}")));
            }
        }
        self.0["iss"].as_str().map(str::to_owned).ok_or_else(not_validated)
    }

    /// Who the token is for: `azp` where present, else the one `aud`.
    pub(in crate::sandbox) fn audience(&self) -> Result<String, AwsError> {
        let listed = self.listed_audiences();
        if listed.is_empty() {
            return Err(AwsError::invalid_token("Claim is not allowed to be empty: aud"));
        }
        match (self.0.get("azp").filter(|azp| !azp.is_null()), listed.as_slice()) {
            (Some(azp), _) => Ok(plain(azp)),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(AwsError::invalid_token(
                "Token audience contains more than one audience while authorized party is not present",
            )),
        }
    }

    /// `aud` as it stands, for the condition key `:oaud`.
    pub(in crate::sandbox) fn listed_audiences(&self) -> Vec<String> {
        match self.0.get("aud") {
            Some(Value::Array(list)) => list.iter().map(plain).collect(),
            Some(single) => vec![plain(single)],
            None => Vec::new(),
        }
    }

    /// `exp`, `nbf` and `iat` against AWS's clock.
    pub(in crate::sandbox) fn check_times(&self, now: i64) -> Result<(), AwsError> {
        let (exp, nbf, iat) = (self.time("exp")?, self.time("nbf")?, self.time("iat")?);
        if let Some(exp) = exp.filter(|exp| now - SKEW >= *exp) {
            let message = format!(
                "Token expired: current date/time {} must be before the expiration date/time {exp}",
                now - SKEW
            );
            return Err(AwsError::new(400, "ExpiredTokenException", message));
        }
        if let Some(nbf) = nbf.filter(|nbf| now + SKEW < *nbf) {
            return Err(AwsError::invalid_token(format!(
                "Token not yet valid: current date/time {} must be after or equal to the not-before date/time {nbf}",
                now + SKEW
            )));
        }
        if let Some(iat) = iat.filter(|iat| now + SKEW < *iat) {
            return Err(AwsError::invalid_token(format!("Token issued in the future: {iat}")));
        }
        Ok(())
    }

    /// A whole number of seconds, or its digits in a string.
    fn time(&self, name: &str) -> Result<Option<i64>, AwsError> {
        let read = match self.0.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(digits)) => digits.parse().ok(),
            Some(_) => None,
        };
        read.map(Some).ok_or_else(|| AwsError::invalid_token("Invalid timestamp in token claims."))
    }

    /// `sub`, any text; a number becomes its digits. A null trips the real service over, and so it does here.
    pub(in crate::sandbox) fn subject(&self) -> Result<String, AwsError> {
        match self.0.get("sub") {
            None | Some(Value::Null) => {
                Err(AwsError::new(500, "InternalFailure", "Unknown error validating third-party token"))
            }
            Some(sub) => Ok(plain(sub)),
        }
    }

    /// The claims that become condition keys beside `aud` and `sub`: `amr`, `email`.
    pub(in crate::sandbox) fn others(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(single)) => vec![single.clone()],
            _ => Vec::new(),
        }
    }

    /// The roles claim: a list of ARNs or one string divided by `;`. Members that are no role ARN are skipped.
    pub(in crate::sandbox) fn roles(&self) -> Result<Roles, AwsError> {
        let members: Vec<&str> = match self.0.get(ROLES) {
            None | Some(Value::Null) => return Ok(Roles::Unbound),
            Some(Value::String(text)) => text.split(';').collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(_) => return Err(AwsError::invalid_token("The roles claim is not in a supported format")),
        };
        let valid = members.into_iter().map(str::trim).filter(|arn| RoleArn::parse(arn).is_ok());
        let arns: Vec<String> = valid.map(str::to_owned).collect();
        if arns.is_empty() {
            return Err(AwsError::invalid_token("The roles claim contains no valid role ARNs"));
        }
        Ok(Roles::Bound(arns))
    }

    /// Session tags and the keys among them that travel on through role chains; nested or flattened.
    pub(in crate::sandbox) fn tags(&self) -> Result<(Tags, Vec<String>), AwsError> {
        let malformed =
            |what: &str| AwsError::invalid_token(format!("{what} passed in claim is not in correct format."));
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut transitive = Vec::new();
        let nested = match self.0.get(TAGS) {
            None | Some(Value::Null) => None,
            Some(Value::Object(nested)) => Some(nested),
            Some(_) => return Err(malformed("principal_tags")),
        };
        if let Some(tags) = nested.and_then(|nested| nested.get("principal_tags")) {
            for (key, value) in tags.as_object().ok_or_else(|| malformed("principal_tags"))? {
                let only = value.as_array().filter(|list| list.len() == 1).and_then(|list| list[0].as_str());
                pairs.push((key.clone(), only.ok_or_else(|| malformed("principal_tags"))?.to_owned()));
            }
        }
        for (name, value) in self.0 {
            if let Some(key) = name.strip_prefix(FLAT_TAG) {
                let only = value.as_str().ok_or_else(|| malformed("principal_tags"))?;
                pairs.push((key.to_owned(), only.to_owned()));
            }
        }
        for keys in [nested.and_then(|nested| nested.get("transitive_tag_keys")), self.0.get(FLAT_TRANSITIVE)]
            .into_iter()
            .flatten()
        {
            let list = keys.as_array().ok_or_else(|| malformed("transitive_tag_keys"))?;
            for key in list {
                transitive.push(key.as_str().ok_or_else(|| malformed("transitive_tag_keys"))?.to_owned());
            }
        }
        Ok((check_tags(pairs, &transitive)?, transitive))
    }

    pub(in crate::sandbox) fn source_identity(&self) -> Result<Option<String>, AwsError> {
        match self.0.get(SOURCE_IDENTITY) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if (2..=64).contains(&text.len()) && is_name(text) => Ok(Some(text.clone())),
            Some(_) => Err(AwsError::invalid_token("source_identity passed in claim is not in correct format.")),
        }
    }
}

/// The rules every session's tags keep, wherever they come from.
pub(in crate::sandbox) fn check_tags(pairs: Vec<(String, String)>, transitive: &[String]) -> Result<Tags, AwsError> {
    let invalid = |message: &str| AwsError::new(400, "InvalidParameterValue", message);
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    if pairs.len() > 50 {
        return Err(AwsError::constraint("", "tags", "Member must have length less than or equal to 50"));
    }
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        let lengths = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !lengths || !key.chars().chain(value.chars()).all(allowed) {
            return Err(AwsError::constraint(
                &key,
                "tags",
                "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
            ));
        }
        if key.to_lowercase().starts_with("aws:") || value.to_lowercase().starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester"));
        }
        if tags.keys().any(|known: &String| known.to_lowercase() == key.to_lowercase()) {
            return Err(invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        tags.insert(key, value);
    }
    let known = |key: &String| tags.keys().any(|tag| tag.to_lowercase() == key.to_lowercase());
    if !transitive.iter().all(known) {
        return Err(invalid("The specified transitive tag key must be included in the requested tags."));
    }
    Ok(tags)
}

/// A claim as text: a string as it is, anything else as its JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
