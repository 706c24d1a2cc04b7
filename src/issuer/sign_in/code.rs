//! Authorization codes (RFC 6749, section 4.1): from the browser back to a terminal on the same host (RFC 8252).

use time::Duration;

use super::refusals::SignInRefused;
use super::session::SessionTokens;
use super::{check_client, is_device_name};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::SecretHash;
use crate::domain::id::{SessionId, UserUid};
use crate::domain::pkce::CodeChallenge;
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::{CLI_CLIENT_ID, SignedIn};
use crate::issuer::Issuer;
use crate::issuer::oauth::OAuthError;
use crate::issuer::oauth::refusals::GrantRefused;
use crate::issuer::refusals::Unavailable;
use crate::store::{ChangeError, CodeError, CodeShown, NewAuthorizationCode};

/// How long a code can be redeemed: the terminal is waiting for it.
pub const CODE_LIFE: Duration = Duration::seconds(60);

/// What a terminal asked for at the authorization endpoint, checked: what its code is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationAsked {
    /// `client_id`.
    pub client_id: String,
    /// `redirect_uri`, byte for byte; it must come again with the code.
    pub redirect_uri: String,
    /// `code_challenge`.
    pub code_challenge: CodeChallenge,
    /// What to call the device.
    pub device: Option<String>,
}

impl Issuer {
    /// A code for whoever has just signed in, to be sent to the terminal's redirect; the way of their browser ends with it.
    pub async fn issue_code(
        &self,
        asked: &AuthorizationAsked,
        signed_in: &SignedIn,
        browser: Option<&SecretHash>,
        origin: &Origin,
    ) -> Result<Secret, SignInRefused> {
        if asked.client_id != CLI_CLIENT_ID {
            return Err(SignInRefused::Client);
        }
        if !asked.device.as_deref().is_none_or(is_device_name) {
            return Err(SignInRefused::Device);
        }
        let code = Secret::random(self.entropy());
        let mut event = self.event(Action::DeviceApprove, Decision::Allowed, origin);
        event.principal = Some(Principal::User(signed_in.user.clone()));
        event.target = Some("authorization_code".to_owned());
        let new = NewAuthorizationCode {
            hash: SecretHash::of(code.expose()),
            client: asked.client_id.clone(),
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.code_challenge.clone(),
            device: asked.device.clone(),
            signed_in: signed_in.clone(),
            expires_at: event.at + CODE_LIFE,
        };
        let made = self.store().create_authorization_code(&new, browser, &event).await.map_err(Unavailable::from)?;
        if made { Ok(code) } else { Err(SignInRefused::Over) }
    }

    /// Redeems a code for a session, once. Shown again, it ends the session that came of it (RFC 6749, section 4.1.2):
    /// somebody else has it.
    pub async fn redeem_code(
        &self,
        code: &Secret,
        shown: CodeShown<'_>,
        origin: &Origin,
    ) -> Result<SessionTokens, OAuthError> {
        check_client(shown.client)?;
        self.count_limited(self.0.limits.anonymous(origin), Action::SessionOpen, origin)?;
        self.count_limited(self.0.limits.failing(origin), Action::SessionOpen, origin)?;
        let now = self.now();
        let (session, pair) = self.new_session(None, now);
        let mut event = self.event(Action::SessionOpen, Decision::Allowed, origin);
        event.target = Some(format!("session:{}", session.id));
        let hash = SecretHash::of(code.expose());
        let reason = match self.store().redeem_authorization_code(&hash, shown, &session, &event).await {
            Ok(opened) => return Ok(pair.given(opened, now)),
            Err(CodeError::Store(error)) => return Err(error.into()),
            Err(CodeError::Unknown) => "authorization_code_unknown",
            Err(CodeError::Expired) => "authorization_code_expired",
            Err(CodeError::Other(_)) => "authorization_code_mismatch",
            Err(CodeError::Refused(refused)) => refused.reason().unwrap_or("sign_in_withdrawn"),
            Err(CodeError::Reused(session)) => {
                self.count_sign_in(Action::SessionOpen, "authorization_code_reused", origin);
                // Counted before, so that whoever shows it again and again is stopped at the door; and ended all the same.
                let within = self.0.limits.failure(origin);
                if let Some((user, session)) = session {
                    self.end_of_code(&user, session, origin).await?;
                }
                within?;
                return Err(GrantRefused::Code.into());
            }
        };
        self.count_sign_in(Action::SessionOpen, reason, origin);
        self.0.limits.failure(origin)?;
        Err(GrantRefused::Code.into())
    }

    /// When it has returned, nothing is minted in the session.
    async fn end_of_code(&self, user: &UserUid, session: SessionId, origin: &Origin) -> Result<(), OAuthError> {
        // Ending one holds off every audit batch of the installation; a code that was used long ago must not.
        if self.store().session(session).await?.is_none_or(|session| session.ended_at.is_some()) {
            return Ok(());
        }
        let mut event = self.event(Action::SessionEnd, Decision::Allowed, origin);
        event.principal = Some(Principal::User(user.clone()));
        event.target = Some(format!("session:{session}"));
        match self.store().end_session(user, session, &event).await {
            // It had ended before.
            Ok(()) | Err(ChangeError::NotFound) => {}
            Err(error) => return Err(OAuthError::of_change(error)),
        }
        self.forget();
        Ok(())
    }
}
