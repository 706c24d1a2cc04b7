//! A refresh token shown: the next pair of tokens, or the end of the session.

use super::SessionTokens;
use super::check_client;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::oauth::OAuthError;
use crate::issuer::oauth::refusals::GrantRefused;
use crate::store::{ChangeError, RefreshError, RefreshToken};

impl Issuer {
    /// Rotates a refresh token of `client`. One that was used up and is shown again ends its session: two parties hold
    /// the family then, and one of them is a thief.
    pub async fn refresh_session(
        &self,
        client: &str,
        token: &Secret,
        origin: &Origin,
    ) -> Result<SessionTokens, OAuthError> {
        check_client(client)?;
        self.count_limited(self.0.limits.anonymous(origin), Action::SessionRefresh, origin)?;
        self.count_limited(self.0.limits.failing(origin), Action::SessionRefresh, origin)?;
        let parsed =
            OpaqueCredential::parse(token.expose()).ok().filter(|token| token.kind() == CredentialKind::Refresh);
        let Some(parsed) = parsed else { return Err(self.unknown_refresh_token("malformed_credential", origin)) };
        let now = self.now();
        let pair = self.new_pair(now);
        let event = self.event(Action::SessionRefresh, Decision::Allowed, origin);
        let refreshed = self.store().refresh(&parsed.hash(), &pair.kept_access, &pair.kept_refresh, now, &event).await;
        let (token, reason) = match refreshed {
            Ok(opened) => return Ok(pair.given(opened, now)),
            Err(RefreshError::Store(error)) => return Err(error.into()),
            Err(RefreshError::Unknown) => return Err(self.unknown_refresh_token("unknown_credential", origin)),
            Err(RefreshError::Dead(token, reason)) => (token, reason.as_str()),
            Err(RefreshError::Reused(token)) => {
                self.end_reused(&token, origin).await?;
                (token, "refresh_token_reused")
            }
        };
        let mut event = token.named_in(self.event(Action::SessionRefresh, Decision::Refused, origin));
        event.reason = Some(reason);
        // Whoever holds a dead token must not fill the disk with its rows (threat 41).
        if self.0.limits.credential(token.id).and_then(|()| self.0.limits.failure(origin)).is_err() {
            self.audit().append_counted(event);
        } else {
            self.record_refusal(event).await;
        }
        Err(GrantRefused::RefreshToken.into())
    }

    /// When it has returned, nothing is minted in the session.
    async fn end_reused(&self, token: &RefreshToken, origin: &Origin) -> Result<(), OAuthError> {
        let event = token.named_in(self.event(Action::SessionEnd, Decision::Allowed, origin));
        match self.store().end_session(&token.user, token.session, &event).await {
            // Another request has done it in the meantime.
            Ok(()) | Err(ChangeError::NotFound) => {}
            Err(error) => return Err(OAuthError::of_change(error)),
        }
        self.forget();
        Ok(())
    }

    fn unknown_refresh_token(&self, reason: &'static str, origin: &Origin) -> OAuthError {
        self.count_sign_in(Action::SessionRefresh, reason, origin);
        self.0.limits.failure(origin).map_or_else(OAuthError::from, |()| GrantRefused::RefreshToken.into())
    }
}
