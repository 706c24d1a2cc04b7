//! Providers that say who has signed out there (OpenID Connect Back-Channel Logout 1.0).

use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::refusals::Unavailable;
use crate::limit::rate::Limited;
use crate::oidc::logout_token::UnverifiedLogout;
use crate::oidc::{ProviderFault, RedeemFault, TokenFault};
use crate::store::{ChangeError, StoreError, UpstreamLogout};

use super::upstream::registration;

/// Why a logout token ends nothing.
#[derive(Debug, thiserror::Error)]
pub enum LogoutRefused {
    /// It is no logout token of a provider here, or not for us.
    #[error("logout_token is refused: {0}")]
    Token(TokenFault),
    /// No provider is known by its issuer and audience.
    #[error("logout_token is refused: iss and aud must be those of a provider where people sign in")]
    Unknown,
    /// It has counted before.
    #[error("logout_token was presented before")]
    Replayed,
    /// The provider's keys cannot be read now.
    #[error("the provider's keys cannot be read now")]
    Provider(ProviderFault),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl LogoutRefused {
    /// The stable word of the audit row; `None` where nobody was refused.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Token(_) => Some("logout_token"),
            Self::Unknown => Some("logout_token_issuer"),
            Self::Replayed => Some("logout_token_replayed"),
            Self::Provider(_) => Some("upstream_unusable"),
            Self::Limited(_) | Self::Unavailable(_) => None,
        }
    }
}

impl From<StoreError> for LogoutRefused {
    fn from(error: StoreError) -> Self {
        Unavailable::from(error).into()
    }
}

impl Issuer {
    /// Ends the sessions that a provider's logout token names. When it has returned, nothing is minted in them. Also at
    /// a disabled provider: what ends is over, whatever is switched on again.
    pub async fn upstream_logout(&self, token: &Secret, origin: &Origin) -> Result<(), LogoutRefused> {
        self.0.limits.failing(origin)?;
        let done = self.logged_out(token, origin).await;
        if let Err(refused) = &done
            && let Some(reason) = refused.reason()
        {
            // Whether there is room left does not change that this one is refused.
            let _ = self.0.limits.failure(origin);
            self.count_sign_in(Action::UpstreamLogout, reason, origin);
        }
        done
    }

    async fn logged_out(&self, token: &Secret, origin: &Origin) -> Result<(), LogoutRefused> {
        let token = UnverifiedLogout::parse(token).map_err(LogoutRefused::Token)?;
        let (issuer, client_id) = token.claimed().map_err(LogoutRefused::Token)?;
        let provider = self.store().upstream_provider_of(issuer, client_id).await?;
        let provider = provider.ok_or(LogoutRefused::Unknown)?;
        let redirect = self.upstream_callback(&provider.uid)?;
        let asked = self.upstream().logout(&registration(&provider, None, &redirect), &token).await;
        let asked = asked.map_err(|fault| match fault {
            RedeemFault::Provider(fault) => LogoutRefused::Provider(fault),
            RedeemFault::IdToken(fault) => LogoutRefused::Token(fault),
            RedeemFault::AnswerIssuer | RedeemFault::Code | RedeemFault::Client | RedeemFault::Answer => {
                LogoutRefused::Token(TokenFault::Form)
            }
        })?;
        let event = self.about(Action::UpstreamLogout, Decision::Allowed, &provider.uid, origin);
        let logout = UpstreamLogout {
            provider: &provider.uid,
            subject: asked.subject.as_deref(),
            sid: asked.sid.as_deref(),
            token_id: &asked.token_id,
            remember_until: asked.refused_from,
        };
        match self.store().end_upstream_sessions(logout, &event).await {
            Ok(ended) => {
                self.forget();
                tracing::info!(provider = %provider.uid, ended, "a provider ended sessions");
                Ok(())
            }
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(
                ChangeError::Conflict(_)
                | ChangeError::NotFound
                | ChangeError::UidTaken
                | ChangeError::VersionMismatch { .. },
            ) => Err(LogoutRefused::Replayed),
        }
    }
}
