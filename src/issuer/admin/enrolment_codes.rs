//! Enrolment codes: each signs one person in, once.

use time::Duration;

use super::repeat::First;
use super::{AdminError, Administration, Made, Repeatable};
use crate::domain::audit::Action;
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, UserUid};
use crate::domain::principal::Principal;
use crate::store::{EnrolmentCode, NewEnrolmentCode, StoreError};

/// How long a code can be redeemed.
const LIFE: Duration = Duration::minutes(10);

impl Administration {
    /// Makes a code for a person. Codes come from the operator of the installation alone, so that nobody who rules
    /// one team can sign in as a person who is also in another (threat 38).
    pub async fn create_enrolment_code(
        &self,
        user: &UserUid,
        request: Option<Repeatable>,
    ) -> Result<Made<EnrolmentCode>, AdminError> {
        if self.store().user(user).await?.is_none() {
            return Err(AdminError::field("user_uid", "must be the uid of a person who exists"));
        }
        let now = self.now();
        let entropy = self.issuer.entropy();
        let secret = OpaqueCredential::generate(CredentialKind::Enrolment, entropy);
        let code = NewEnrolmentCode {
            id: CredentialId::new(entropy.uuid_v7(now)),
            hash: secret.hash(),
            user: user.clone(),
            created_by: Some(self.operator.credential),
            created_at: now,
            expires_at: now + LIFE,
        };
        let mut event = self.event(Action::AdminCreate, None, format!("enrolment_code:{}", code.id));
        event.principal = Some(Principal::User(user.clone()));
        let earlier = match self.first(request.as_ref(), code.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_enrolment_code(&code, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "user").await?
            }
        };
        let (id, secret) = match earlier {
            None => (code.id, Some(secret.secret().clone())),
            Some(id) => (CredentialId::parse(&id).ok_or(StoreError::Corrupt("resource"))?, None),
        };
        let resource = self.store().enrolment_code(id).await?.ok_or(AdminError::NotFound("enrolment code"))?;
        Ok(Made { resource, key: secret })
    }
}
