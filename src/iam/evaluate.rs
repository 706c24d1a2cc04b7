//! What policies decide about a request: an explicit deny wins, then an allow, else the answer is no.

use std::collections::BTreeMap;
use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::{Actions, Conditions, Document, Effect, Principals, Resources, Statement, Values, Version};
use super::operator::{Comparison, Operator, Quantifier};
use super::pattern::Pattern;

/// What a policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks, for trust policies; a permission policy has no principal and is not asked about one.
    pub caller: Caller<'a>,
    /// `service:Name`; compared without case.
    pub action: &'a str,
    /// The ARN acted on; trust policies have none.
    pub resource: Option<&'a str>,
    /// What the conditions may ask about.
    pub context: &'a Context,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// Whoever the policy is attached to.
    Holder,
    /// A person or workload that an identity provider vouches for. `{"AWS": "*"}` does not admit it.
    Federated {
        /// The provider's ARN.
        provider: &'a str,
    },
    /// An AWS principal, under every name that a policy may give it: its ARN, its role's ARN, its account and the
    /// account's root ARN.
    Aws {
        /// The names.
        names: &'a [&'a str],
    },
}

/// What policies decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows, none denies.
    Allow,
    /// A statement denies.
    ExplicitDeny,
    /// No statement fits.
    ImplicitDeny,
}

/// Condition keys with their values. Names are compared without case, values with.
#[derive(Debug, Clone, Default)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// An empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, [value.into()]);
    }

    /// Sets `key` to these values; to none, which counts as absent, for an empty list.
    pub fn set_all<T: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        self.0.insert(key.to_ascii_lowercase(), values.into_iter().map(Into::into).collect());
    }

    /// The values of `key`, empty where it is absent.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value a policy variable brings: a key with exactly one.
    fn variable(&self, key: &str) -> Option<String> {
        match self.get(key) {
            [only] => Some(only.clone()),
            _ => None,
        }
    }
}

/// Decides `request` by all of `documents` together.
pub fn evaluate<'d>(documents: impl IntoIterator<Item = &'d Document>, request: &Request<'_>) -> Verdict {
    let mut verdict = Verdict::ImplicitDeny;
    for document in documents {
        let asked = Asked { request, variables: document.version == Version::V2012 };
        for statement in &document.statement {
            if asked.fits(statement) {
                match statement.effect {
                    Effect::Deny => return Verdict::ExplicitDeny,
                    Effect::Allow => verdict = Verdict::Allow,
                }
            }
        }
    }
    verdict
}

/// A request as one document reads it.
struct Asked<'a> {
    request: &'a Request<'a>,
    variables: bool,
}

impl Asked<'_> {
    fn fits(&self, statement: &Statement) -> bool {
        self.is_by(statement.principal.as_ref())
            && self.does(&statement.actions)
            && self.is_on(statement.resources.as_ref())
            && self.meets(&statement.conditions)
    }

    fn is_by(&self, principals: Option<&Principals>) -> bool {
        match (principals, self.request.caller) {
            (None, Caller::Holder) | (Some(Principals::Everyone), Caller::Aws { .. }) => true,
            (Some(Principals::Listed { federated, .. }), Caller::Federated { provider }) => {
                federated.iter().any(|listed| listed == provider)
            }
            (Some(Principals::Listed { aws, .. }), Caller::Aws { names }) => {
                aws.iter().any(|listed| listed == "*" || names.contains(&listed))
            }
            // A star of principals is a star of AWS principals: it admits nobody that a provider vouches for.
            (Some(Principals::Everyone), Caller::Federated { .. })
            | (Some(_), Caller::Holder)
            | (None, Caller::Federated { .. } | Caller::Aws { .. }) => false,
        }
    }

    fn does(&self, actions: &Actions) -> bool {
        let action = self.request.action.to_ascii_lowercase();
        let among =
            |values: &Values| values.iter().any(|text| Pattern::wild(&text.to_ascii_lowercase()).matches(&action));
        match actions {
            Actions::Only(values) => among(values),
            Actions::AllBut(values) => !among(values),
        }
    }

    fn is_on(&self, resources: Option<&Resources>) -> bool {
        let Some(resources) = resources else { return true };
        let Some(resource) = self.request.resource else { return false };
        let among = |values: &Values| {
            values.iter().any(|text| self.pattern(text).is_some_and(|pattern| pattern.matches(resource)))
        };
        match resources {
            Resources::Only(values) => among(values),
            Resources::AllBut(values) => !among(values),
        }
    }

    fn meets(&self, conditions: &Conditions) -> bool {
        conditions.iter().all(|(operator, keys)| keys.iter().all(|(key, values)| self.holds(*operator, key, values)))
    }

    /// One condition. An absent key fails it, unless it is negated, says `IfExists`, or asks about all of no values.
    fn holds(&self, operator: Operator, key: &str, wanted: &Values) -> bool {
        let found = self.request.context.get(key);
        if operator.comparison == Comparison::Null {
            return wanted.iter().any(|text| text.eq_ignore_ascii_case("true") == found.is_empty());
        }
        if found.is_empty() {
            return operator.if_exists
                || match operator.quantifier {
                    Some(Quantifier::ForAllValues) => true,
                    Some(Quantifier::ForAnyValue) => false,
                    None => operator.comparison.is_negated(),
                };
        }
        let negated = operator.comparison.is_negated();
        let matches_one = |value: &String| wanted.iter().any(|text| self.compares(operator.comparison, value, text));
        match operator.quantifier {
            Some(Quantifier::ForAllValues) => found.iter().all(|value| matches_one(value) != negated),
            Some(Quantifier::ForAnyValue) => found.iter().any(|value| matches_one(value) != negated),
            // Several values under a plain operator: a match of any of them counts as the match.
            None => found.iter().any(matches_one) != negated,
        }
    }

    /// Whether `found` stands in the relation to `wanted` that the comparison, or the one it negates, names. A value
    /// that is no number, date or address stands in none.
    fn compares(&self, comparison: Comparison, found: &str, wanted: &str) -> bool {
        let Some(pattern) = self.pattern(wanted) else { return false };
        let wanted = pattern.literal();
        match comparison {
            Comparison::StringEquals | Comparison::StringNotEquals | Comparison::BinaryEquals => found == wanted,
            Comparison::StringEqualsIgnoreCase | Comparison::StringNotEqualsIgnoreCase => {
                found.to_lowercase() == wanted.to_lowercase()
            }
            Comparison::StringLike | Comparison::StringNotLike => pattern.matches(found),
            Comparison::ArnEquals | Comparison::ArnLike | Comparison::ArnNotEquals | Comparison::ArnNotLike => {
                let (patterns, parts): (Vec<_>, Vec<_>) = (pattern.arn_parts(), found.splitn(6, ':').collect());
                patterns.len() == parts.len() && patterns.iter().zip(parts).all(|(pattern, part)| pattern.matches(part))
            }
            Comparison::Bool => found.eq_ignore_ascii_case(&wanted),
            Comparison::IpAddress | Comparison::NotIpAddress => is_within(found, &wanted),
            Comparison::NumericEquals
            | Comparison::NumericNotEquals
            | Comparison::NumericLessThan
            | Comparison::NumericLessThanEquals
            | Comparison::NumericGreaterThan
            | Comparison::NumericGreaterThanEquals => relates(comparison, number(found), number(&wanted)),
            Comparison::DateEquals
            | Comparison::DateNotEquals
            | Comparison::DateLessThan
            | Comparison::DateLessThanEquals
            | Comparison::DateGreaterThan
            | Comparison::DateGreaterThanEquals => relates(comparison, instant(found), instant(&wanted)),
            Comparison::Null => false,
        }
    }

    fn pattern(&self, text: &str) -> Option<Pattern> {
        if self.variables {
            Pattern::with_variables(text, |key| self.request.context.variable(key))
        } else {
            Some(Pattern::wild(text))
        }
    }
}

fn relates<T: PartialOrd>(comparison: Comparison, found: Option<T>, wanted: Option<T>) -> bool {
    let (Some(found), Some(wanted)) = (found, wanted) else { return false };
    match comparison {
        Comparison::NumericLessThan | Comparison::DateLessThan => found < wanted,
        Comparison::NumericLessThanEquals | Comparison::DateLessThanEquals => found <= wanted,
        Comparison::NumericGreaterThan | Comparison::DateGreaterThan => found > wanted,
        Comparison::NumericGreaterThanEquals | Comparison::DateGreaterThanEquals => found >= wanted,
        _ => found == wanted,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// RFC 3339, a date alone, or seconds since 1970.
fn instant(text: &str) -> Option<i128> {
    let written = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339));
    let epoch = || text.parse::<i64>().ok().map(|seconds| i128::from(seconds) * 1_000_000_000);
    written.ok().map(OffsetDateTime::unix_timestamp_nanos).or_else(epoch)
}

/// Whether an address lies in an address or CIDR range of the same family.
fn is_within(address: &str, range: &str) -> bool {
    let (network, length) = range.split_once('/').map_or((range, None), |(network, length)| (network, Some(length)));
    let (Ok(address), Ok(network)) = (address.parse::<IpAddr>(), network.parse::<IpAddr>()) else { return false };
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let Ok(length) = length.map_or(Ok(width), str::parse::<u32>) else { return false };
    length <= width && (address ^ network).checked_shr(width - length).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::super::document::Kind;
    use super::*;

    const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/issuer.example/path/";

    fn context() -> Context {
        let mut context = Context::new();
        context.set("issuer.example/path/:sub", "scoped_principal:T/user:U");
        context.set("issuer.example/path/:aud", "sts.amazonaws.com");
        context.set_all("issuer.example/path/:amr", ["pwd", "mfa"]);
        context.set("aws:CurrentTime", "2026-11-21T22:00:00Z");
        context.set("aws:SourceIp", "10.1.2.3");
        context.set("aws:FederatedProvider", PROVIDER);
        context.set("aws:PrincipalTag/team", "T");
        context.set("n", "5");
        context.set("sts:RoleAuthorizedByIdp", "true");
        context
    }

    fn trust(condition: &str) -> Verdict {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{condition}}}}}"#
        );
        let document = Document::parse(&text, Kind::Trust).unwrap_or_else(|error| panic!("{error}: {text}"));
        let context = context();
        let request = Request {
            caller: Caller::Federated { provider: PROVIDER },
            action: "sts:AssumeRoleWithWebIdentity",
            resource: None,
            context: &context,
        };
        evaluate([&document], &request)
    }

    #[test]
    fn conditions() {
        let long = |operator: &str, key: &str, value: &str| format!(r#"{{"{operator}":{{"{key}":{value}}}}}"#);
        let sub = "issuer.example/path/:sub";
        let amr = "issuer.example/path/:amr";
        for (operator, key, value, holds) in [
            ("StringEquals", sub, r#""scoped_principal:T/user:U""#, true),
            ("StringEquals", sub, r#"["x","scoped_principal:T/user:U"]"#, true),
            ("StringEquals", sub, r#""scoped_principal:T/*""#, false),
            ("StringEquals", sub, r#""SCOPED_principal:T/user:U""#, false),
            ("StringEqualsIgnoreCase", sub, r#""SCOPED_principal:T/user:U""#, true),
            ("StringEquals", "ISSUER.example/path/:SUB", r#""scoped_principal:T/user:U""#, true),
            ("StringEquals", "issuer.example/path:sub", r#""scoped_principal:T/user:U""#, false),
            ("StringLike", sub, r#""scoped_principal:T/*""#, true),
            ("StringLike", sub, r#""scoped_principal:?/user:?""#, true),
            ("StringLike", sub, r#""scoped_principal:S/*""#, false),
            ("StringLike", sub, r#""scoped_principal:${aws:PrincipalTag/team}/*""#, true),
            ("StringLike", sub, r#""scoped_principal:${aws:PrincipalTag/none}/*""#, false),
            ("StringNotLike", sub, r#""scoped_principal:S/*""#, true),
            ("StringNotEquals", sub, r#"["x","scoped_principal:T/user:U"]"#, false),
            ("StringEquals", "a:absent", r#""x""#, false),
            ("StringNotEquals", "a:absent", r#""x""#, true),
            ("StringEqualsIfExists", "a:absent", r#""x""#, true),
            ("StringEqualsIfExists", sub, r#""x""#, false),
            ("Null", "a:absent", r#""true""#, true),
            ("Null", "a:absent", "false", false),
            ("Null", sub, r#""false""#, true),
            ("ForAnyValue:StringEquals", amr, r#""mfa""#, true),
            ("ForAnyValue:StringEquals", amr, r#""otp""#, false),
            ("ForAnyValue:StringEquals", "a:absent", r#""x""#, false),
            ("ForAllValues:StringEquals", amr, r#""mfa""#, false),
            ("ForAllValues:StringEquals", amr, r#"["mfa","pwd"]"#, true),
            ("ForAllValues:StringEquals", "a:absent", r#""x""#, true),
            ("ForAnyValue:StringNotEquals", amr, r#""mfa""#, true),
            ("ForAllValues:StringNotEquals", amr, r#""mfa""#, false),
            ("Bool", "sts:RoleAuthorizedByIdp", r#""True""#, true),
            ("Bool", "sts:RoleAuthorizedByIdp", "false", false),
            ("Bool", "a:absent", "false", false),
            ("ArnLike", "aws:FederatedProvider", r#""arn:aws:iam::*:oidc-provider/issuer.example/*""#, true),
            ("ArnEquals", "aws:FederatedProvider", r#""arn:*:oidc-provider/issuer.example/path/""#, false),
            ("ArnNotLike", "aws:FederatedProvider", r#""arn:aws:iam::444455556666:*""#, true),
            ("IpAddress", "aws:SourceIp", r#""10.0.0.0/8""#, true),
            ("IpAddress", "aws:SourceIp", r#""10.1.2.4""#, false),
            ("IpAddress", "aws:SourceIp", r#""0.0.0.0/0""#, true),
            ("IpAddress", "aws:SourceIp", r#""::/0""#, false),
            ("NotIpAddress", "aws:SourceIp", r#""192.168.0.0/16""#, true),
            ("DateLessThan", "aws:CurrentTime", r#""2026-11-21T22:00:01Z""#, true),
            ("DateGreaterThan", "aws:CurrentTime", r#""2026-11-21""#, true),
            ("DateEquals", "aws:CurrentTime", r#""1795298400""#, true),
            ("DateLessThan", "aws:CurrentTime", r#""soon""#, false),
        ] {
            let expected = if holds { Verdict::Allow } else { Verdict::ImplicitDeny };
            assert_eq!(trust(&long(operator, key, value)), expected, "{operator} {key} {value}");
        }
    }

    #[test]
    fn numbers() {
        let context = context();
        let request = Request { caller: Caller::Holder, action: "a:b", resource: Some("arn"), context: &context };
        let asked = Asked { request: &request, variables: true };
        for (operator, value, holds) in [
            ("NumericEquals", "5.0", true),
            ("NumericNotEquals", "5", false),
            ("NumericLessThan", "5", false),
            ("NumericLessThanEquals", "5", true),
            ("NumericGreaterThan", "4.9", true),
            ("NumericGreaterThanEquals", "six", false),
        ] {
            assert_eq!(asked.holds(Operator::parse(operator).unwrap(), "n", &Values::one(value)), holds, "{operator}");
        }
    }

    #[test]
    fn several_conditions_must_all_hold() {
        let both = r#"{"StringEquals":{"issuer.example/path/:sub":"scoped_principal:T/user:U","issuer.example/path/:aud":"other"}}"#;
        assert_eq!(trust(both), Verdict::ImplicitDeny);
    }

    #[test]
    fn principals() {
        let context = Context::new();
        let verdict = |principal: &str, caller: Caller<'_>| {
            let text = format!(r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:*"}}}}"#);
            let document = Document::parse(&text, Kind::Trust).unwrap();
            evaluate([&document], &Request { caller, action: "sts:assumerole", resource: None, context: &context })
        };
        let federated = Caller::Federated { provider: PROVIDER };
        let role = ["arn:aws:iam::111122223333:role/x", "arn:aws:iam::111122223333:root", "111122223333"];
        let aws = Caller::Aws { names: &role };
        let named = format!(r#"{{"Federated":["accounts.google.com","{PROVIDER}"]}}"#);
        for (principal, caller, allowed) in [
            (named.as_str(), federated, true),
            (named.as_str(), aws, false),
            (r#"{"AWS":"*"}"#, federated, false),
            (r#""*""#, federated, false),
            (r#"{"AWS":"*"}"#, aws, true),
            (r#""*""#, aws, true),
            (r#"{"AWS":"111122223333"}"#, aws, true),
            (r#"{"AWS":"arn:aws:iam::111122223333:role/x"}"#, aws, true),
            (r#"{"AWS":"arn:aws:iam::111122223333:role/y"}"#, aws, false),
            (r#"{"Service":"ec2.amazonaws.com"}"#, aws, false),
        ] {
            let expected = if allowed { Verdict::Allow } else { Verdict::ImplicitDeny };
            assert_eq!(verdict(principal, caller), expected, "{principal}");
        }
    }

    #[test]
    fn a_deny_wins_and_nothing_fits_by_default() {
        let read = |text: &str| Document::parse(text, Kind::Permission).unwrap();
        let allow = read(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock:Invoke*","Resource":"arn:aws:bedrock:*::foundation-model/*"}}"#,
        );
        let deny = read(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"sts:*","NotResource":"arn:aws:bedrock:eu-*::*"}}"#,
        );
        let context = Context::new();
        let verdict = |documents: &[&Document], action: &str, resource: &str| {
            let request = Request { caller: Caller::Holder, action, resource: Some(resource), context: &context };
            evaluate(documents.iter().copied(), &request)
        };
        let (eu, us) =
            ("arn:aws:bedrock:eu-west-1::foundation-model/m", "arn:aws:bedrock:us-east-1::foundation-model/m");
        assert_eq!(verdict(&[&allow], "bedrock:invokemodel", us), Verdict::Allow);
        assert_eq!(verdict(&[&allow, &deny], "bedrock:InvokeModel", us), Verdict::ExplicitDeny);
        assert_eq!(verdict(&[&deny, &allow], "bedrock:InvokeModel", eu), Verdict::Allow);
        assert_eq!(verdict(&[&allow, &deny], "sts:AssumeRole", us), Verdict::ImplicitDeny);
        assert_eq!(verdict(&[], "bedrock:InvokeModel", us), Verdict::ImplicitDeny);
    }
}
