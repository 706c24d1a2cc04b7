//! Creates that may be repeated: the same `Idempotency-Key` with the same request makes nothing twice.

use super::{AdminError, Administration};
use crate::domain::credential::SecretHash;
use crate::domain::id::CredentialId;
use crate::issuer::Issuer;
use crate::store::{ChangeError, Remember, Remembered};

/// A create that its caller may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeatable {
    key: String,
    request_sha256: String,
}

impl Repeatable {
    /// The create under `key` at the path `at`, with what was understood of its body.
    pub fn new(key: String, at: &str, body: &str) -> Self {
        Self { key, request_sha256: SecretHash::of(&format!("POST {at}\n{body}")).to_hex() }
    }
}

/// Whether a create is the first under its key.
pub(in crate::issuer) enum First {
    /// It is: what to remember with it.
    Yes(Option<Remember>),
    /// It is a repeat: the name of what the first one made.
    No(String),
}

impl Issuer {
    /// Asks whether this is the first create of `credential` under its key, which would make `resource`. What is
    /// remembered is the resource's name alone: a repeat shows it as it is now, and a secret is never kept.
    pub(in crate::issuer) async fn first_of(
        &self,
        credential: CredentialId,
        request: Option<&Repeatable>,
        resource: String,
    ) -> Result<First, AdminError> {
        let Some(request) = request else { return Ok(First::Yes(None)) };
        if let Some(earlier) = self.store().remembered(credential, &request.key).await? {
            return same(request, earlier).map(First::No);
        }
        let Repeatable { key, request_sha256 } = request.clone();
        Ok(First::Yes(Some(Remember { credential, key, request_sha256, resource, at: self.now() })))
    }

    /// What became of a create: `None` if it was done, or the name of what a parallel request under the same key
    /// has made in the meantime. That one may also be why the create was refused.
    pub(in crate::issuer) async fn settled(
        &self,
        credential: CredentialId,
        done: Result<(), ChangeError>,
        request: Option<&Repeatable>,
        kind: &'static str,
    ) -> Result<Option<String>, AdminError> {
        match (done, request) {
            (Ok(()), _) => Ok(None),
            (Err(error), Some(request)) => match self.store().remembered(credential, &request.key).await? {
                Some(earlier) => same(request, earlier).map(Some),
                None => Err(AdminError::of(kind)(error)),
            },
            (Err(error), None) => Err(AdminError::of(kind)(error)),
        }
    }
}

impl Administration {
    /// [`Issuer::first_of`] of the operator's creates.
    pub(super) async fn first(&self, request: Option<&Repeatable>, resource: String) -> Result<First, AdminError> {
        self.issuer.first_of(self.created_by(), request, resource).await
    }

    /// [`Issuer::settled`] of the operator's creates; this replica decides on the new state from now on.
    pub(super) async fn settle(
        &self,
        done: Result<(), ChangeError>,
        request: Option<&Repeatable>,
        kind: &'static str,
    ) -> Result<Option<String>, AdminError> {
        let made = self.issuer.settled(self.created_by(), done, request, kind).await?;
        Ok(if made.is_none() { self.changed(None) } else { made })
    }
}

fn same(request: &Repeatable, earlier: Remembered) -> Result<String, AdminError> {
    if earlier.request_sha256 == request.request_sha256 { Ok(earlier.resource) } else { Err(AdminError::KeyReused) }
}
