//! Giving up an access token (RFC 7009).

use super::{Client, OAuthError};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::store::ChangeError;

impl Issuer {
    /// Ends an access token of `client`. One that is not known or has ended is as good as ended (RFC 7009, section
    /// 2.2); another client's is refused. When it has returned, nothing is minted with the token.
    pub async fn revoke_access_token(
        &self,
        client: &Client,
        token: &Secret,
        origin: &Origin,
    ) -> Result<(), OAuthError> {
        let Ok(credential) = OpaqueCredential::parse(token.expose()) else { return Ok(()) };
        if credential.kind() != CredentialKind::Access {
            return Err(OAuthError::TokenType(credential.kind()));
        }
        let Some(found) = self.store().access_token(&credential.hash(), self.now()).await? else { return Ok(()) };
        if found.account.as_ref() != Some(&client.uid) {
            return Err(OAuthError::OtherClientsToken);
        }
        // Revoking holds off every audit batch of the installation; what is over anyway must not.
        if found.ended {
            return Ok(());
        }
        let mut event = self.event(Action::AccessTokenRevoke, Decision::Allowed, origin);
        event.credential = Some((CredentialKind::Access, found.id));
        event.team = Some(client.team.clone());
        event.principal = Some(Principal::ServiceAccount(client.uid.clone()));
        match self.store().revoke_access_token(&client.uid, found.id, &event).await {
            // Another request has done it in the meantime.
            Err(ChangeError::NotFound) => Ok(()),
            done => {
                done.map_err(OAuthError::of_change)?;
                self.0.callers.forget_where(|known| known.caller.credential == found.id);
                Ok(())
            }
        }
    }
}
