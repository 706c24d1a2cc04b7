//! The access token of a service account: opaque, short, alive only while what it derives from is.

use time::{Duration, OffsetDateTime};

use super::{Client, OAuthError, SubjectTokenRefused};
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::CredentialId;
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::limits::Party;
use crate::issuer::refusals::Unavailable;
use crate::store::{ChangeError, DerivesFrom, NewCredential};

/// How long an access token lasts, unless what it derives from ends before.
pub const LIFE: Duration = Duration::minutes(15);

/// An access token just made.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token, shown once.
    pub token: Secret,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// How long that is from now, in whole seconds.
    pub expires_in: i64,
}

impl Issuer {
    /// Makes an access token for `client`. Its audit row commits with it and names both the token and what it
    /// derives from, so that every token minted with it leads back there.
    pub async fn issue_access_token(&self, client: &Client, origin: &Origin) -> Result<IssuedToken, OAuthError> {
        self.make_access_token(client, origin).await.map_err(|error| error.proven(client.requester()))
    }

    async fn make_access_token(&self, client: &Client, origin: &Origin) -> Result<IssuedToken, OAuthError> {
        let principal = Principal::ServiceAccount(client.uid.clone());
        let within = self.0.limits.principal(&principal).and_then(|()| self.0.limits.team(&client.team));
        self.count_limited(within, Action::AccessTokenIssue, origin)?;
        let place = self.0.admission.enter(&Party::Team(client.team.clone())).await.map_err(Unavailable::from)?;
        // Nothing is signed here: it waits for the store from the beginning.
        place.rest();
        let now = self.now();
        let expires_at = client.until.map_or(now + LIFE, |until| until.min(now + LIFE));
        let secret = OpaqueCredential::generate(CredentialKind::Access, self.entropy());
        let kept = NewCredential {
            id: CredentialId::new(self.entropy().uuid_v7(now)),
            hash: secret.hash(),
            name: String::new(),
            expires_at: Some(expires_at),
            created_at: now,
            created_by: None,
        };
        let mut event = self.event(Action::AccessTokenIssue, Decision::Allowed, origin);
        event.credential = Some((CredentialKind::Access, kept.id));
        event.team = Some(client.team.clone());
        event.principal = Some(principal);
        let from = match client.from {
            DerivesFrom::Key(id) => format!("service_account_key:{id}"),
            DerivesFrom::PublicKey(id) => format!("public_key:{id}"),
            DerivesFrom::TrustRule { id, .. } => format!("trust_rule:{id}"),
        };
        event.target = Some(client.shown.iter().fold(from, |from, shown| format!("{from} {shown}")));
        let made = self.store().create_access_token(&client.uid, &kept, client.from, &event).await;
        match made {
            Ok(()) => {}
            Err(ChangeError::Conflict("trust_rule_changed")) => return Err(self.no_longer_trusted(event).await),
            Err(error) => return Err(OAuthError::of_change(error)),
        }
        let expires_in = (expires_at - now).whole_seconds();
        Ok(IssuedToken { token: secret.secret().clone(), expires_at, expires_in })
    }

    /// Refuses what was judged by a trust rule that has changed since, or is off. `event` would have been the row of
    /// the access token, which was never made.
    async fn no_longer_trusted(&self, mut event: Event) -> OAuthError {
        let refused = SubjectTokenRefused::NotTrusted;
        (event.decision, event.reason, event.credential) = (Decision::Refused, Some(refused.reason()), None);
        self.record_refusal(event).await;
        refused.into()
    }
}
