//! What principals ask the issuer for: tokens, who they are, their sessions.

use http::Method;

use super::call::{Client, ClientError};
use crate::domain::secret::Secret;
use crate::wire::mint::{MintRequest, MintedToken};
use crate::wire::secret_text::SecretText;
use crate::wire::session::{OpenSession, SessionList, SessionTokens};
use crate::wire::whoami::Whoami;

impl Client {
    /// Mints a token for the bearer's own principal.
    pub async fn mint(&self, bearer: &Secret, request: &MintRequest) -> Result<MintedToken, ClientError> {
        self.send(Method::POST, Some(bearer), "/v1/identity-tokens", request).await
    }

    /// Who the bearer is.
    pub async fn whoami(&self, bearer: &Secret) -> Result<Whoami, ClientError> {
        self.get(bearer, "/v1/whoami").await
    }

    /// Redeems an enrolment code for a session.
    pub async fn open_session(&self, code: Secret, device: Option<String>) -> Result<SessionTokens, ClientError> {
        self.send(Method::POST, None, "/v1/sessions", &OpenSession { code: SecretText(code), device }).await
    }

    /// The bearer's own sessions.
    pub async fn sessions(&self, bearer: &Secret) -> Result<SessionList, ClientError> {
        self.get(bearer, "/v1/sessions").await
    }

    /// Ends one of the bearer's own sessions.
    pub async fn end_session(&self, bearer: &Secret, session_id: &str) -> Result<(), ClientError> {
        self.delete(bearer, &format!("/v1/sessions/{session_id}")).await
    }
}
