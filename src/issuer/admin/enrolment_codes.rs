//! Enrolment codes: each signs one person in, once.

use time::Duration;

use super::repeat::First;
use super::{AdminError, Administration, Made, Repeatable};
use crate::domain::audit::Action;
use crate::domain::authority::{Office, Seat};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, SessionId, TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::store::{EnrolmentCode, NewEnrolmentCode, StoreError};

/// How long a code can be redeemed.
const LIFE: Duration = Duration::minutes(10);

impl Administration {
    /// Makes a code for a person. An operator makes one for anyone; an admin of a team for a person who is in that
    /// team alone, so that nobody who rules one team can sign in as a person who is also in another (threat 38).
    pub async fn create_enrolment_code(
        &self,
        user: &UserUid,
        request: Option<Repeatable>,
    ) -> Result<Made<EnrolmentCode>, AdminError> {
        let unknown = || AdminError::field("user_uid", "must be the uid of a person who exists");
        if self.store().user(user).await?.is_none() {
            return Err(unknown());
        }
        let team = match self.authority.office() {
            Office::Operator(_) => None,
            // Whether there is such a person elsewhere is not theirs to know.
            Office::Member { user: admin, session, .. } => {
                Some(self.enrols(admin, *session, user).await?.ok_or_else(unknown)?)
            }
            Office::Auditor(_) | Office::Platform { .. } => return Err(unknown()),
        };
        let now = self.now();
        let entropy = self.issuer.entropy();
        let secret = OpaqueCredential::generate(CredentialKind::Enrolment, entropy);
        let code = NewEnrolmentCode {
            id: CredentialId::new(entropy.uuid_v7(now)),
            hash: secret.hash(),
            user: user.clone(),
            created_by: Some(self.created_by()),
            team: team.clone(),
            created_at: now,
            expires_at: now + LIFE,
        };
        let mut event = self.event(Action::AdminCreate, team.as_ref(), format!("enrolment_code:{}", code.id));
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

    /// The one team of a person, where `admin` rules it.
    async fn enrols(&self, admin: &UserUid, session: SessionId, user: &UserUid) -> Result<Option<TeamUid>, AdminError> {
        let teams = self.store().teams_with(user).await?;
        let [only] = &*teams else { return Ok(None) };
        let seat = self.store().seat(only, admin, session).await?;
        Ok(seat.is_some_and(Seat::rules).then(|| only.clone()))
    }
}
