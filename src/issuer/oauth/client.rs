//! Which client asks: a service account, and what it shows for itself (RFC 6749, section 2.3).

use crate::domain::access::{Caller, Identity};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::CredentialKind;
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::requester::Requester;
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::callers::about;
use crate::issuer::oauth::{ClientRefused, OAuthError};
use crate::store::DerivesFrom;

/// How a client may prove itself, in the words of RFC 8414.
pub const AUTHENTICATION_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// What a request shows of its client, read but not judged.
#[derive(Debug, Clone)]
pub enum Presented {
    /// A name and a secret (`client_secret_basic`, `client_secret_post`).
    Secret {
        /// `client_id`.
        client_id: Secret,
        /// `client_secret`.
        secret: Secret,
    },
    /// A signed assertion (`private_key_jwt`), and a name that may stand beside it.
    Assertion {
        /// `client_id`, if it is given.
        client_id: Option<Secret>,
        /// `client_assertion`.
        assertion: Secret,
    },
    /// A name alone: who that is must show by something else, such as the token of an exchange.
    Named {
        /// `client_id`.
        client_id: Secret,
    },
    /// Nothing.
    Nobody,
}

/// A live service account that has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its uid, which is its `client_id`.
    pub uid: ServiceAccountUid,
    /// Its team.
    pub team: TeamUid,
    /// What it showed; an access token lives only as long as that.
    pub from: DerivesFrom,
    /// When what it showed ends, if it does.
    pub until: Option<time::OffsetDateTime>,
    /// What else the audit row says of what it showed, such as whose the token was.
    pub shown: Option<String>,
}

impl Client {
    /// Who is counted for what it is refused.
    pub(in crate::issuer) fn requester(&self) -> Requester {
        Requester::Team(self.team.clone())
    }
}

impl Issuer {
    /// Which client presents this, for `action`.
    pub async fn client(&self, presented: &Presented, action: Action, origin: &Origin) -> Result<Client, OAuthError> {
        match presented {
            Presented::Secret { client_id, secret } => self.client_by_key(client_id, secret, action, origin).await,
            Presented::Assertion { client_id, assertion } => {
                self.client_by_assertion(client_id.as_ref(), assertion, action, origin).await
            }
            Presented::Named { .. } | Presented::Nobody => {
                let mut event = self.event(action, Decision::Refused, origin);
                let refused = ClientRefused::Nothing;
                event.reason = Some(refused.reason());
                self.audit().append_counted(event);
                Err(refused.into())
            }
        }
    }

    /// A service account's key is its secret. Whoever shows a live one is known; what is wrong beside it is a row.
    async fn client_by_key(
        &self,
        client_id: &Secret,
        secret: &Secret,
        action: Action,
        origin: &Origin,
    ) -> Result<Client, OAuthError> {
        let known = self.authenticate(secret.expose(), origin).await?;
        let refused = match (&known.caller.identity, known.caller.kind) {
            (Identity::ServiceAccount { uid, team }, CredentialKind::ServiceAccount) => {
                if uid.as_str() == client_id.expose() {
                    let from = DerivesFrom::Key(known.caller.credential);
                    return Ok(Client {
                        uid: uid.clone(),
                        team: team.clone(),
                        from,
                        until: known.expires_at,
                        shown: None,
                    });
                }
                ClientRefused::OtherClient
            }
            (_, kind) => ClientRefused::OtherKind(kind),
        };
        self.record_client(&known.caller, &refused, action, origin).await;
        Err(refused.into())
    }

    async fn record_client(&self, caller: &Caller, refused: &ClientRefused, action: Action, origin: &Origin) {
        let mut event = self.event(action, Decision::Refused, origin);
        event.reason = Some(refused.reason());
        about(&mut event, caller.kind, caller.credential, &caller.identity);
        self.record_refusal(event).await;
    }
}
