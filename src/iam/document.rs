//! A policy document: its model, read strictly and written as JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::operator::Operator;

/// A policy document of IAM's JSON grammar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    /// The language version.
    pub version: Version,
    /// A free name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The statements, in order; never empty.
    pub statement: Vec<Statement>,
}

/// What a document is attached to, which decides which elements it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role's trust policy: `Principal`, no `Resource`.
    Trust,
    /// A role's permission policy, or a session policy: `Resource`, no `Principal`.
    Permission,
}

/// The policy language's version. Only the current one has policy variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Version {
    /// What a document without `Version` is.
    #[serde(rename = "2008-10-17")]
    V2008,
    /// The current language.
    #[default]
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// A free name of `[A-Za-z0-9]`, unique in the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Whom it is about; in trust policies only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principals>,
    /// What it is about.
    #[serde(flatten)]
    pub actions: Actions,
    /// On what; in permission policies only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Under which conditions, all of which must hold.
    #[serde(rename = "Condition", skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: Conditions,
}

/// Operator → condition key → values; within one key any value will do.
pub type Conditions = BTreeMap<Operator, BTreeMap<String, Values>>;

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// Permits what nothing denies.
    Allow,
    /// Forbids, whatever permits.
    Deny,
}

/// The `Principal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// `"*"`: everyone.
    Everyone,
    /// By kind.
    Listed {
        /// Identity providers: ARNs, or AWS's built-in provider names.
        federated: Values,
        /// Accounts (12 digits or their root's ARN), roles, users, sessions, or `*`.
        aws: Values,
        /// AWS services.
        service: Values,
    },
}

impl Principals {
    /// One identity provider.
    pub fn federated(provider_arn: &str) -> Self {
        Self::Listed { federated: Values::one(provider_arn), aws: Values::none(), service: Values::none() }
    }

    /// One AWS principal: an account, a role, a user.
    pub fn aws(principal: &str) -> Self {
        Self::Listed { federated: Values::none(), aws: Values::one(principal), service: Values::none() }
    }
}

impl Serialize for Principals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Everyone => serializer.serialize_str("*"),
            Self::Listed { federated, aws, service } => serializer.collect_map(
                [("Federated", federated), ("AWS", aws), ("Service", service)]
                    .into_iter()
                    .filter(|(_, values)| !values.is_empty()),
            ),
        }
    }
}

/// The `Action` or `NotAction` element: `service:Name`, without case, with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Actions {
    /// These.
    #[serde(rename = "Action")]
    Only(Values),
    /// All but these.
    #[serde(rename = "NotAction")]
    AllBut(Values),
}

/// The `Resource` or `NotResource` element: ARNs with wildcards and variables, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Resources {
    /// These.
    #[serde(rename = "Resource")]
    Only(Values),
    /// All but these.
    #[serde(rename = "NotResource")]
    AllBut(Values),
}

/// One text, or a list of texts; written as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    texts: Vec<String>,
    as_list: bool,
}

impl Values {
    /// No value.
    pub const fn none() -> Self {
        Self { texts: Vec::new(), as_list: true }
    }

    /// One text, written as a text.
    pub fn one(text: &str) -> Self {
        Self { texts: vec![text.to_owned()], as_list: false }
    }

    /// Several texts, written as a list.
    pub fn list<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self { texts: texts.into_iter().map(Into::into).collect(), as_list: true }
    }

    /// The texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.texts.as_slice() {
            [only] if !self.as_list => serializer.serialize_str(only),
            texts => serializer.collect_seq(texts),
        }
    }
}

impl Document {
    /// The document as compact JSON, its members in IAM's usual order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
