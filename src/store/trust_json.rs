//! A trust rule as its column holds it: our own JSON, read back strictly and through the rule's own checks.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::domain::audience::Audience;
use crate::domain::claim_condition::{ClaimPath, Condition, Expected, Pattern};
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::trust::{KeySource, Reuse, TrustRule};

const CORRUPT: StoreError = StoreError::Corrupt("rule");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleJson {
    audience: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks: Option<String>,
    conditions: Vec<ConditionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reuse: Option<ReuseJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionJson {
    claim: String,
    is: ExpectedJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpectedJson {
    Text(String),
    Integer(i64),
    Flag(bool),
    Pattern(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReuseJson {
    uses: u32,
    per_minute: u32,
}

pub(super) fn write(rule: &TrustRule) -> Result<String, StoreError> {
    let json = RuleJson {
        audience: rule.audience().to_string(),
        jwks: match rule.keys() {
            KeySource::Discovery => None,
            KeySource::Fixed(jwks) => Some(jwks.clone()),
        },
        conditions: rule.conditions().iter().map(write_condition).collect(),
        reuse: match rule.reuse() {
            Reuse::Once => None,
            Reuse::Bounded { uses, per_minute } => Some(ReuseJson { uses, per_minute }),
        },
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

fn write_condition(condition: &Condition) -> ConditionJson {
    let is = match &condition.expected {
        Expected::Text(text) => ExpectedJson::Text(text.clone()),
        Expected::Integer(number) => ExpectedJson::Integer(*number),
        Expected::Flag(flag) => ExpectedJson::Flag(*flag),
        Expected::Pattern(pattern) => ExpectedJson::Pattern(pattern.as_str().to_owned()),
    };
    ConditionJson { claim: condition.claim.as_str().to_owned(), is }
}

pub(super) fn read(issuer: ForeignIssuer, text: &str) -> Result<TrustRule, StoreError> {
    let json: RuleJson = serde_json::from_str(text).map_err(|_| CORRUPT)?;
    let audience = Audience::parse(&json.audience).map_err(|_| CORRUPT)?;
    let conditions = json.conditions.iter().map(read_condition).collect::<Option<_>>().ok_or(CORRUPT)?;
    let keys = json.jwks.map_or(KeySource::Discovery, KeySource::Fixed);
    let reuse = json.reuse.map_or(Reuse::Once, |ReuseJson { uses, per_minute }| Reuse::Bounded { uses, per_minute });
    TrustRule::new(issuer, audience, keys, conditions, reuse).map_err(|_| CORRUPT)
}

fn read_condition(json: &ConditionJson) -> Option<Condition> {
    let expected = match &json.is {
        ExpectedJson::Text(text) => Expected::text(text).ok()?,
        ExpectedJson::Integer(number) => Expected::Integer(*number),
        ExpectedJson::Flag(flag) => Expected::Flag(*flag),
        ExpectedJson::Pattern(pattern) => Expected::Pattern(Pattern::parse(pattern).ok()?),
    };
    Some(Condition { claim: ClaimPath::parse(&json.claim).ok()?, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;

    #[test]
    fn a_rule_comes_back_as_it_went() {
        let issuer = || ForeignIssuer::parse("https://ci.example.com", Development::Off).unwrap();
        let condition = |claim: &str, expected| Condition { claim: ClaimPath::parse(claim).unwrap(), expected };
        let conditions = vec![
            condition("/kubernetes.io/namespace", Expected::text("prod").unwrap()),
            condition("run", Expected::Integer(-7)),
            condition("fork", Expected::Flag(false)),
            condition("ref", Expected::Pattern(Pattern::parse("refs/*").unwrap())),
        ];
        let audience = || Audience::parse("brevet").unwrap();
        for (keys, reuse) in [
            (KeySource::Discovery, Reuse::Once),
            (KeySource::Fixed("{}".to_owned()), Reuse::Bounded { uses: 10, per_minute: 2 }),
        ] {
            let rule = TrustRule::new(issuer(), audience(), keys, conditions.clone(), reuse).unwrap();
            assert_eq!(read(issuer(), &write(&rule).unwrap()), Ok(rule));
        }
        for bad in [
            "",
            "{}",
            r#"{"audience":"brevet","conditions":[]}"#,
            r#"{"audience":"brevet","conditions":[{"claim":"sub","is":{"text":"x"}}],"more":1}"#,
            r#"{"audience":"sts.amazonaws.com","conditions":[{"claim":"sub","is":{"text":"x"}}]}"#,
        ] {
            assert_eq!(read(issuer(), bad), Err(CORRUPT), "{bad}");
        }
    }
}
