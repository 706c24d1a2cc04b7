//! What both ways of assuming a role have in common: parameters, session policies, new credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::PACKED_LIMIT;
use crate::domain::entropy::Entropy;
use crate::domain::role_arn::RoleArn;
use crate::domain::secret::Secret;
use crate::iam::document::{Document, Kind};
use crate::iam::evaluate::Context;
use crate::sandbox::account::{Role, Session, Tags};
use crate::sandbox::error::AwsError;
use crate::sandbox::identifier::{random_text, unique_id};
use crate::sandbox::query::{Query, is_name};

/// The parameters of both calls, each within its own rule.
pub(super) struct Parameters {
    pub(super) role_arn: RoleArn,
    pub(super) session_name: String,
    pub(super) duration_seconds: Option<i64>,
    pub(super) policy: Option<Arc<Document>>,
    pub(super) policy_length: usize,
}

impl Parameters {
    pub(super) fn read(query: &Query) -> Result<Self, AwsError> {
        let role_arn = query.required("RoleArn", 20, 2048)?;
        let session_name = query.required("RoleSessionName", 2, 64)?;
        if !is_name(session_name) {
            let rule = "Member must satisfy regular expression pattern: [\\w+=,.@-]*";
            return Err(AwsError::constraint(session_name, "roleSessionName", rule));
        }
        let duration_seconds = query.number("DurationSeconds", 900, 43200)?;
        let policy = query.optional("Policy", 1, 2048)?;
        if query.get("PolicyArns.member.1.arn").is_some() {
            return Err(AwsError::validation("PolicyArns: the stand-in has no managed policies"));
        }
        let document = policy
            .map(|text| Document::parse(text, Kind::Permission))
            .transpose()
            .map_err(|error| AwsError::malformed_policy(error.to_string()))?;
        Ok(Self {
            role_arn: RoleArn::parse(role_arn).map_err(|_| AwsError::validation(format!("{role_arn} is invalid")))?,
            session_name: session_name.to_owned(),
            duration_seconds,
            policy: document.map(Arc::new),
            policy_length: policy.map_or(0, str::len),
        })
    }

    /// How long the session lasts. `role` has been found and has admitted the caller.
    pub(super) fn seconds(&self, role: &Role) -> Result<i64, AwsError> {
        let seconds = self.duration_seconds.unwrap_or(3600);
        if seconds > role.max_session_seconds {
            return Err(AwsError::validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        Ok(seconds)
    }
}

/// What a session is made of, beside its fresh key.
pub(super) struct Content {
    pub(super) tags: Tags,
    pub(super) transitive: Vec<String>,
    pub(super) source_identity: Option<String>,
    pub(super) federated: BTreeMap<String, Vec<String>>,
}

impl Content {
    /// Percent of the session token that policies, tags and context fill. `context` is how many characters the
    /// identity takes; the constants fit the recorded percentages.
    pub(super) fn packed(&self, context: usize, policy_length: usize) -> Result<usize, AwsError> {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let transitive: usize = self.transitive.iter().map(String::len).sum();
        let source_identity = self.source_identity.as_ref().map_or(0, |text| text.len() + 12);
        let packed = context + tags + transitive + source_identity + policy_length;
        let percent = packed * 100 / PACKED_LIMIT;
        if percent > 100 {
            let message = format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.");
            return Err(AwsError::new(400, "PackedPolicyTooLarge", message));
        }
        Ok(percent)
    }

    pub(super) fn into_session(
        self,
        role: &Role,
        parameters: Parameters,
        seconds: i64,
        now: OffsetDateTime,
        entropy: &dyn Entropy,
    ) -> Session {
        Session {
            access_key_id: unique_id("ASIA", entropy),
            secret: Secret::new(random_text(entropy, 30)),
            token: Secret::new(random_text(entropy, 300)),
            issued_at: now,
            expires_at: now + Duration::seconds(seconds),
            role_arn: role.arn.clone(),
            role_id: role.id.clone(),
            name: parameters.session_name,
            tags: self.tags,
            transitive: self.transitive,
            source_identity: self.source_identity,
            policy: parameters.policy,
            federated: self.federated,
        }
    }
}

/// Adds the keys that both calls have: names, tags and source identity of the session to be.
pub(super) fn describe_session(context: &mut Context, content: &Content, parameters: &Parameters) {
    context.set("sts:RoleSessionName", parameters.session_name.as_str());
    context.set_all("sts:SourceIdentity", content.source_identity.as_deref());
    context.set_all("sts:TransitiveTagKeys", content.transitive.iter().map(String::as_str));
    context.set_all("aws:TagKeys", content.tags.keys().map(String::as_str));
    for (key, value) in &content.tags {
        context.set(&format!("aws:RequestTag/{key}"), value.as_str());
    }
}
