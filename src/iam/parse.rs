//! JSON into a [`Document`], with the place and the reason of every fault.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::document::{Actions, Conditions, Document, Effect, Kind, Principals, Resources, Statement, Values, Version};
use super::operator::Operator;

/// A document that IAM would refuse as `MalformedPolicyDocument`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct DocumentError {
    /// Where, as a path such as `Statement[0].Effect`.
    pub at: String,
    /// Why.
    pub reason: Reason,
}

/// Why a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not JSON, or a member twice in one object.
    #[error("this policy contains invalid JSON")]
    Json,
    /// Another JSON type than the element has.
    #[error("has the wrong JSON type")]
    Type,
    /// No element of this name.
    #[error("is not an element of the policy grammar")]
    Unknown,
    /// An element this kind of policy must not have.
    #[error("is prohibited in this kind of policy")]
    Prohibited,
    /// An element this kind of policy must have.
    #[error("is required")]
    Missing,
    /// An element and its negation.
    #[error("stands beside its negation")]
    Both,
    /// An empty list or text.
    #[error("must not be empty")]
    Empty,
    /// `Version` is neither of the two there are.
    #[error("must be 2012-10-17 or 2008-10-17")]
    Version,
    /// `Effect` is neither of the two there are.
    #[error("must be Allow or Deny")]
    Effect,
    /// `Sid` holds another character, or stands twice.
    #[error("must be letters and digits, and unique in the policy")]
    Sid,
    /// An action without its service.
    #[error("must be * or prefaced by a vendor, as in sts:AssumeRole")]
    Action,
    /// A resource that is no ARN.
    #[error("must be * or in ARN format")]
    Resource,
    /// A principal that cannot be.
    #[error("is not a principal that a trust policy can name")]
    Principal,
    /// No operator of this name.
    #[error("is not a condition operator")]
    Operator,
    /// A condition key without its service.
    #[error("must be a condition key prefaced by a vendor, as in aws:SourceIp")]
    Key,
}

type Result<T> = std::result::Result<T, DocumentError>;

impl Document {
    /// Reads a document strictly: an unknown element, a wrong type, a repeated member or a missing part is an error
    /// that says where.
    pub fn parse(text: &str, kind: Kind) -> std::result::Result<Self, DocumentError> {
        document(text, kind)
    }
}

/// JSON that remembers order and refuses repeated members, which readers resolve differently.
#[derive(Debug)]
enum Json {
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    // IAM takes `"Bool": {"aws:SecureTransport": true}` and numbers for their texts.
    fn visit_bool<E>(self, value: bool) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("repeated member"));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

fn document(text: &str, kind: Kind) -> Result<Document> {
    let json: Json = serde_json::from_str(text).map_err(|_| fault("policy", Reason::Json))?;
    let (mut version, mut id, mut statement) = (Version::V2008, None, None);
    for (name, value) in object(json, "policy")? {
        match name.as_str() {
            "Version" => {
                version = match one(value, &name)?.as_str() {
                    "2012-10-17" => Version::V2012,
                    "2008-10-17" => Version::V2008,
                    _ => return Err(fault("Version", Reason::Version)),
                }
            }
            "Id" => id = Some(one(value, &name)?),
            "Statement" => statement = Some(statements(value, kind)?),
            _ => return Err(fault(&name, Reason::Unknown)),
        }
    }
    let statement = statement.ok_or_else(|| fault("Statement", Reason::Missing))?;
    Ok(Document { version, id, statement })
}

fn statements(json: Json, kind: Kind) -> Result<Vec<Statement>> {
    let list = match json {
        Json::List(list) => list,
        single => vec![single],
    };
    if list.is_empty() {
        return Err(fault("Statement", Reason::Empty));
    }
    let mut read: Vec<Statement> = Vec::with_capacity(list.len());
    for (index, json) in list.into_iter().enumerate() {
        let at = format!("Statement[{index}]");
        let statement = self::statement(json, kind, &at)?;
        if statement.sid.is_some() && read.iter().any(|earlier| earlier.sid == statement.sid) {
            return Err(fault(&format!("{at}.Sid"), Reason::Sid));
        }
        read.push(statement);
    }
    Ok(read)
}

fn statement(json: Json, kind: Kind, at: &str) -> Result<Statement> {
    let (mut sid, mut effect, mut principal, mut actions, mut resources) = (None, None, None, None, None);
    let mut conditions = Conditions::new();
    for (name, value) in object(json, at)? {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "Sid" => sid = Some(one(value, &at)?),
            "Effect" => {
                effect = Some(match one(value, &at)?.as_str() {
                    "Allow" => Effect::Allow,
                    "Deny" => Effect::Deny,
                    _ => return Err(fault(&at, Reason::Effect)),
                });
            }
            "Principal" if kind == Kind::Trust => principal = Some(principals(value, &at)?),
            "Resource" | "NotResource" if kind == Kind::Permission => {
                let texts = checked(values(value, &at)?, &at, is_resource, Reason::Resource)?;
                let element = if name == "Resource" { Resources::Only(texts) } else { Resources::AllBut(texts) };
                once(&mut resources, element, &at)?;
            }
            "Principal" | "NotPrincipal" | "Resource" | "NotResource" => return Err(fault(&at, Reason::Prohibited)),
            "Action" | "NotAction" => {
                let texts = checked(values(value, &at)?, &at, is_action, Reason::Action)?;
                let element = if name == "Action" { Actions::Only(texts) } else { Actions::AllBut(texts) };
                once(&mut actions, element, &at)?;
            }
            "Condition" => conditions = self::conditions(value, &at)?,
            _ => return Err(fault(&at, Reason::Unknown)),
        }
    }
    if sid.as_deref().is_some_and(|sid: &str| !sid.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err(fault(&format!("{at}.Sid"), Reason::Sid));
    }
    let missing = |name: &str| fault(&format!("{at}.{name}"), Reason::Missing);
    match kind {
        Kind::Trust if principal.is_none() => return Err(missing("Principal")),
        Kind::Permission if resources.is_none() => return Err(missing("Resource")),
        Kind::Trust | Kind::Permission => {}
    }
    Ok(Statement {
        sid,
        effect: effect.ok_or_else(|| missing("Effect"))?,
        principal,
        actions: actions.ok_or_else(|| missing("Action"))?,
        resources,
        conditions,
    })
}

fn principals(json: Json, at: &str) -> Result<Principals> {
    let members = match json {
        Json::Text(text) if text == "*" => return Ok(Principals::Everyone),
        Json::Object(members) => members,
        Json::Text(_) | Json::List(_) | Json::Other => return Err(fault(at, Reason::Principal)),
    };
    if members.is_empty() {
        return Err(fault(at, Reason::Empty));
    }
    let (mut federated, mut aws, mut service) = (Values::none(), Values::none(), Values::none());
    for (name, value) in members {
        let at = format!("{at}.{name}");
        let texts = values(value, &at)?;
        match name.as_str() {
            "Federated" => federated = checked(texts, &at, is_federated, Reason::Principal)?,
            "AWS" => aws = checked(texts, &at, is_aws_principal, Reason::Principal)?,
            "Service" => service = checked(texts, &at, |text| !text.contains('*'), Reason::Principal)?,
            _ => return Err(fault(&at, Reason::Unknown)),
        }
    }
    Ok(Principals::Listed { federated, aws, service })
}

fn conditions(json: Json, at: &str) -> Result<Conditions> {
    let mut conditions = Conditions::new();
    for (name, keys) in object(json, at)? {
        let at = format!("{at}.{name}");
        let operator = Operator::parse(&name).ok_or_else(|| fault(&at, Reason::Operator))?;
        let mut compared = BTreeMap::new();
        for (key, value) in object(keys, &at)? {
            let at = format!("{at}.{key}");
            if !key.contains(':') {
                return Err(fault(&at, Reason::Key));
            }
            compared.insert(key, values(value, &at)?);
        }
        conditions.insert(operator, compared);
    }
    Ok(conditions)
}

fn is_action(text: &str) -> bool {
    text == "*" || text.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
}

fn is_resource(text: &str) -> bool {
    text == "*" || (text.starts_with("arn:") && text.splitn(6, ':').count() == 6)
}

/// An OIDC or SAML provider's ARN, or one of the providers AWS knows by name. Wildcards are not allowed.
fn is_federated(text: &str) -> bool {
    let by_arn = |text: &str| {
        let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
        text.starts_with("arn:") && (resource.starts_with("oidc-provider/") || resource.starts_with("saml-provider/"))
    };
    let built_in = ["accounts.google.com", "www.amazon.com", "graph.facebook.com", "cognito-identity.amazonaws.com"];
    !text.contains(['*', '?']) && (by_arn(text) || built_in.contains(&text))
}

/// `*` alone, an account, or an IAM or STS ARN without wildcards.
fn is_aws_principal(text: &str) -> bool {
    let by_arn = |text: &str| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        matches!(parts[..], ["arn", _, "iam" | "sts", "", account, resource] if is_account(account) && !resource.is_empty())
    };
    text == "*" || is_account(text) || (!text.contains(['*', '?']) && by_arn(text))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn once<T>(slot: &mut Option<T>, element: T, at: &str) -> Result<()> {
    match slot.replace(element) {
        Some(_) => Err(fault(at, Reason::Both)),
        None => Ok(()),
    }
}

fn checked(values: Values, at: &str, ok: impl Fn(&str) -> bool, reason: Reason) -> Result<Values> {
    if values.iter().all(ok) { Ok(values) } else { Err(fault(at, reason)) }
}

fn values(json: Json, at: &str) -> Result<Values> {
    match json {
        Json::Text(text) => Ok(Values::one(&text)),
        Json::List(list) if list.is_empty() => Err(fault(at, Reason::Empty)),
        Json::List(list) => Ok(Values::list(list.into_iter().map(|item| one(item, at)).collect::<Result<Vec<_>>>()?)),
        Json::Object(_) | Json::Other => Err(fault(at, Reason::Type)),
    }
}

fn one(json: Json, at: &str) -> Result<String> {
    match json {
        Json::Text(text) => Ok(text),
        Json::List(_) | Json::Object(_) | Json::Other => Err(fault(at, Reason::Type)),
    }
}

fn object(json: Json, at: &str) -> Result<Vec<(String, Json)>> {
    match json {
        Json::Object(members) => Ok(members),
        Json::Text(_) | Json::List(_) | Json::Other => Err(fault(at, Reason::Type)),
    }
}

fn fault(at: &str, reason: Reason) -> DocumentError {
    DocumentError { at: at.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/issuer.example"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"issuer.example:aud":"sts.amazonaws.com","issuer.example:sub":["a","b"]},"Bool":{"sts:RoleAuthorizedByIdp":"true"}}}]}"#;

    #[test]
    fn what_is_read_is_written_again() {
        let written = Document::parse(TRUST, Kind::Trust).unwrap().to_json();
        let (written, read): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&written).unwrap(), serde_json::from_str(TRUST).unwrap());
        assert_eq!(written, read);
        let permission = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"s3:*","NotResource":"*","Condition":{"Bool":{"aws:SecureTransport":false}}}}"#;
        let document = Document::parse(permission, Kind::Permission).unwrap();
        assert_eq!(
            document.to_json(),
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":"s3:*","NotResource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#
        );
    }

    #[test]
    fn every_fault_has_its_place_and_reason() {
        let trust = |from: &str, to: &str| TRUST.replacen(from, to, 1);
        for (text, at, reason) in [
            (String::new(), "policy", Reason::Json),
            ("[]".to_owned(), "policy", Reason::Type),
            ("{}".to_owned(), "Statement", Reason::Missing),
            (trust("2012-10-17", "2012-10-18"), "Version", Reason::Version),
            (trust("\"Version\"", "\"Versio\""), "Versio", Reason::Unknown),
            (trust("\"Sid\":\"A\"", "\"Effect\":\"Deny\""), "policy", Reason::Json),
            (trust("\"A\"", "\"a b\""), "Statement[0].Sid", Reason::Sid),
            (trust("Allow", "allow"), "Statement[0].Effect", Reason::Effect),
            (trust("\"Effect\":\"Allow\",", ""), "Statement[0].Effect", Reason::Missing),
            (trust("\"Effect\"", "\"Resource\":\"*\",\"Effect\""), "Statement[0].Resource", Reason::Prohibited),
            (trust("Principal", "NotPrincipal"), "Statement[0].NotPrincipal", Reason::Prohibited),
            (trust("Federated", "federated"), "Statement[0].Principal.federated", Reason::Unknown),
            (
                trust("oidc-provider/issuer.example", "oidc-provider/*"),
                "Statement[0].Principal.Federated",
                Reason::Principal,
            ),
            (trust("\"Federated\":\"arn", "\"AWS\":\"urn"), "Statement[0].Principal.AWS", Reason::Principal),
            (trust("sts:TagSession", "TagSession"), "Statement[0].Action", Reason::Action),
            (trust("\"Condition\"", "\"NotAction\":\"sts:*\",\"Condition\""), "Statement[0].NotAction", Reason::Both),
            (trust("StringEquals", "StringIs"), "Statement[0].Condition.StringIs", Reason::Operator),
            (trust("issuer.example:aud", "aud"), "Statement[0].Condition.StringEquals.aud", Reason::Key),
            (trust("[\"a\",\"b\"]", "[]"), "Statement[0].Condition.StringEquals.issuer.example:sub", Reason::Empty),
            (trust("[\"a\",\"b\"]", "null"), "Statement[0].Condition.StringEquals.issuer.example:sub", Reason::Type),
        ] {
            let error = Document::parse(&text, Kind::Trust).unwrap_err();
            assert_eq!((error.at.as_str(), error.reason), (at, reason), "{text}");
        }
        for (text, at, reason) in [
            (r#"{"Statement":[]}"#, "Statement", Reason::Empty),
            (r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, "Statement[0].Resource", Reason::Missing),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}"#,
                "Statement[0].Resource",
                Reason::Resource,
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#,
                "Statement[0].Principal",
                Reason::Prohibited,
            ),
        ] {
            let error = Document::parse(text, Kind::Permission).unwrap_err();
            assert_eq!((error.at.as_str(), error.reason), (at, reason), "{text}");
        }
    }
}
