//! Why a request to the admin API was not done.

use crate::crypto::new_key::NewKeyError;
use crate::crypto::seal::SealError;
use std::borrow::Cow;

use crate::domain::access::Denied;
use crate::store::{ChangeError, StoreError};

/// Why a request to the admin API was not done; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such thing, or it is a tombstone.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// `If-Match` named another version.
    #[error("it has changed since: its version is {current} now")]
    VersionMismatch {
        /// The version it has.
        current: i64,
    },
    /// The uid is in use or was, in whatever case.
    #[error("uid is taken, or was in use before; uids are never reused, also in other case")]
    UidTaken,
    /// The `Idempotency-Key` came with another request before.
    #[error("Idempotency-Key came with another request before; take a new one")]
    KeyReused,
    /// Nobody could administer any more.
    #[error("the last operator cannot be deleted or made an auditor; make another one first")]
    LastAdministrator,
    /// What it would contradict, in words that name the field and the rule.
    #[error("{0}")]
    Conflict(&'static str),
    /// A member of the request breaks a rule that only the state can tell.
    #[error("{field} {rule}")]
    Field {
        /// The member, as a dotted path.
        field: String,
        /// The rule.
        rule: Cow<'static, str>,
    },
    /// The caller may do the operation, but not this part of it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A key could not be made.
    #[error("a signing key could not be made: {0}")]
    NewKey(#[from] NewKeyError),
    /// A secret could not be sealed.
    #[error("a secret could not be sealed: {0}")]
    Seal(#[from] SealError),
    /// The caller was switched off before the change was made.
    #[error("the credential has lost the right meanwhile; nothing was changed")]
    AskerEnded,
    /// A page cursor that no page gave out.
    #[error("after must be the next of an earlier page")]
    Cursor,
}

impl AdminError {
    /// What the store says of a change of a `kind`.
    pub(in crate::issuer) fn of(kind: &'static str) -> impl Fn(ChangeError) -> Self {
        move |error| match error {
            ChangeError::Store(StoreError::Cursor) => Self::Cursor,
            ChangeError::Store(StoreError::AskerEnded) => Self::AskerEnded,
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::NotFound => Self::NotFound(kind),
            ChangeError::VersionMismatch { current } => Self::VersionMismatch { current },
            ChangeError::UidTaken => Self::UidTaken,
            ChangeError::Conflict(word) => Self::conflict(word),
        }
    }

    /// What each word of the store's conflicts means here.
    fn conflict(word: &'static str) -> Self {
        match word {
            "last_administrator" => Self::LastAdministrator,
            "idempotency_key" => Self::KeyReused,
            "audience_of_worker" => Self::field("items", "must not hold the audience of a worker"),
            "audience_of_team" => Self::field("audience", "must not stand on the list of a team"),
            "issuer_missing" => Self::field("issuer", "must be shared while the team has no private issuer"),
            "issuer_mints" => {
                Self::Conflict("the private issuer mints for the team: set the policy's issuer to shared first")
            }
            "issuer_was_deleted" => Self::Conflict("the team's private issuer was destroyed, which is for ever"),
            "too_many_issuers" => Self::Conflict("an installation has at most 1000 private issuers"),
            "upstream_client" => Self::Conflict(
                "a provider with this issuer and client_id is there; each client there is one provider here",
            ),
            "no_such_provider" => Self::field("provider_uid", "must be the uid of an upstream provider"),
            "subject_linked" => Self::Conflict("the provider's subject is linked to a person; unlink it there first"),
            "identities_max" => Self::Conflict("a person has at most 50 identities"),
            "public_keys_max" => Self::Conflict("a service account has at most 20 live public keys; revoke one first"),
            "trust_rules_max" => Self::Conflict("the service account has 20 trust rules, and no more are taken"),
            _ => Self::Conflict(word),
        }
    }

    pub(super) fn field(field: impl Into<String>, rule: &'static str) -> Self {
        Self::Field { field: field.into(), rule: rule.into() }
    }

    /// The same with a rule that is put together.
    pub(super) fn rule(field: impl Into<String>, rule: String) -> Self {
        Self::Field { field: field.into(), rule: rule.into() }
    }
}
