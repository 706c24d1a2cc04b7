//! Signing in at a provider: where to send a person, and what the answer proves (OpenID Connect Core 1.0, section 3.1).

use std::sync::Arc;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreIdToken, CoreTokenResponse};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, TokenResponse as _,
};
use time::{Duration, OffsetDateTime};
use url::Url;

use super::cache::Cache;
use super::provider::{Http, Provider};
use super::upstream_claims;
use super::upstream_error::{ProviderFault, RedeemFault, TokenFault};
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::clock::Clock;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::secret::Secret;
use crate::domain::upstream::{UpstreamPerson, UpstreamSettings, Word};
use crate::fetch::{self, FetchError, Limits};

/// How far clocks may be apart.
pub(super) const LEEWAY: Duration = Duration::seconds(60);
/// Longest ID or logout token.
pub(super) const TOKEN_MAX: usize = 65_536;
/// A provider has so long for each answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What we are at a provider.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// The provider.
    pub issuer: &'a ForeignIssuer,
    /// What it knows us by.
    pub client_id: &'a Word,
    /// Our secret there; none for a public client.
    pub client_secret: Option<&'a Secret>,
    /// Where it sends people back to.
    pub redirect: &'a Url,
    /// How people sign in there.
    pub settings: &'a UpstreamSettings,
}

/// What a provider's answer brought to the redirect URI, beside the state.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The authorization code.
    pub code: &'a Secret,
    /// Who says that it answers (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// The relying party of every provider. One for the process.
pub struct RelyingParty {
    client: fetch::Client,
    clock: Arc<dyn Clock>,
    providers: Cache<ForeignIssuer, Provider, ProviderFault>,
}

impl RelyingParty {
    /// One that asks through `client`, whose guards decide what may be reached.
    pub fn new(client: &fetch::Client, clock: Arc<dyn Clock>) -> Self {
        let client = client.with_limits(Limits { total: PATIENCE, ..client.limits() });
        let unanswered = ProviderFault::Fetch(FetchError::Timeout);
        Self { client, providers: Cache::new(Arc::clone(&clock), unanswered), clock }
    }

    /// Where to send the person of `browser`: `state` comes back as it is, nonce and PKCE are the browser's.
    pub async fn authorization_url(
        &self,
        at: &Registration<'_>,
        browser: &BrowserSecret,
        state: &Secret,
    ) -> Result<Url, ProviderFault> {
        let provider = self.provider(at.issuer).await?;
        let client = client(&provider, at)?;
        let (state, nonce) = (state.clone(), browser.derive(Derived::Nonce));
        let verifier = PkceCodeVerifier::new(browser.derive(Derived::Verifier).expose().to_owned());
        let (url, _, _) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state.expose().to_owned()),
                move || Nonce::new(nonce.expose().to_owned()),
            )
            .add_scopes(at.settings.scopes.iter().map(|scope| Scope::new(scope.to_string())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url)
    }

    /// Redeems a code for an ID token, and tells what that says once it is verified.
    pub async fn redeem(
        &self,
        at: &Registration<'_>,
        browser: &BrowserSecret,
        answer: Answer<'_>,
    ) -> Result<UpstreamPerson, RedeemFault> {
        let provider = self.provider(at.issuer).await?;
        // Before the code goes anywhere: it may be another provider's (RFC 9207, section 2.4).
        match answer.issuer {
            Some(issuer) if issuer != at.issuer.as_str() => return Err(RedeemFault::AnswerIssuer),
            None if provider.names_itself() => return Err(RedeemFault::AnswerIssuer),
            _ => {}
        }
        let http = Http { client: &self.client, loopback: at.issuer.is_loopback() };
        let request = client(&provider, at)?;
        let request = request
            .exchange_code(AuthorizationCode::new(answer.code.expose().to_owned()))
            .map_err(|_| ProviderFault::Document)?
            .set_pkce_verifier(PkceCodeVerifier::new(browser.derive(Derived::Verifier).expose().to_owned()));
        let tokens = request.request_async(&http).await.map_err(|error| refused(&error))?;
        let id_token = tokens.id_token().ok_or(RedeemFault::Answer)?;
        let text = Secret::new(id_token.to_string());
        if text.expose().len() > TOKEN_MAX {
            return Err(TokenFault::Form.into());
        }
        let nonce = Nonce::new(browser.derive(Derived::Nonce).expose().to_owned());
        match self.verify(&provider, at, &tokens, id_token, &nonce) {
            Err(Unverified::UnknownKey) => {
                // The provider may have turned to a new key since it was asked.
                let newer = self.newer(at.issuer, &provider).await?;
                self.verify(&newer, at, &tokens, id_token, &nonce).map_err(Unverified::fault)?;
            }
            other => other.map_err(Unverified::fault)?,
        }
        Ok(upstream_claims::person(&text, at.settings)?)
    }

    /// What `issuer` publishes of itself, for its tokens to be verified with.
    pub(super) async fn provider(&self, issuer: &ForeignIssuer) -> Result<Arc<Provider>, ProviderFault> {
        self.providers.at(issuer, async || self.discover(issuer).await).await
    }

    /// The same read anew, at a bounded rate.
    pub(super) async fn newer(
        &self,
        issuer: &ForeignIssuer,
        seen: &Arc<Provider>,
    ) -> Result<Arc<Provider>, ProviderFault> {
        self.providers.newer(issuer, seen, async || self.discover(issuer).await).await
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    async fn discover(&self, issuer: &ForeignIssuer) -> Result<Provider, ProviderFault> {
        let read = Provider::discover(&self.client, issuer).await;
        let outcome = if read.is_ok() { "read" } else { "failed" };
        metrics::counter!("brevet_upstream_discovery_total", "outcome" => outcome).increment(1);
        if let Err(error) = &read {
            tracing::warn!(cause = %error, provider = %issuer, "a sign-in provider was not read");
        }
        read
    }

    /// Section 3.1.3.7 of OpenID Connect Core 1.0; the crate does all but `azp`, `at_hash` and a bound on `iat`.
    fn verify(
        &self,
        provider: &Provider,
        at: &Registration<'_>,
        tokens: &CoreTokenResponse,
        id_token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<(), Unverified> {
        // A client without its secret: no algorithm that would verify with one is taken.
        let client = client(provider, &Registration { client_secret: None, ..*at }).map_err(|_| TokenFault::Form)?;
        let now = self.now();
        let verifier = client
            .id_token_verifier()
            .set_time_fn(move || std::time::SystemTime::from(now.saturating_sub(LEEWAY)).into());
        let claims = id_token.claims(&verifier, nonce).map_err(|error| unverified(&error))?;
        if claims.authorized_party().is_some_and(|party| party.as_str() != at.client_id.as_str()) {
            return Err(TokenFault::AuthorizedParty.into());
        }
        if claims.issue_time().timestamp() > (now.saturating_add(LEEWAY)).unix_timestamp() {
            return Err(TokenFault::Time.into());
        }
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = id_token.signing_alg().map_err(|_| TokenFault::Algorithm)?;
            let key = id_token.signing_key(&verifier).map_err(|_| TokenFault::Signature)?;
            let actual = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
            if actual.map_err(|_| TokenFault::AccessToken)? != *expected {
                return Err(TokenFault::AccessToken.into());
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelyingParty")
    }
}

/// What keeps a token from being believed.
enum Unverified {
    /// Its key is not among those last read.
    UnknownKey,
    /// Something that no newer key cures.
    Fault(TokenFault),
}

impl Unverified {
    fn fault(self) -> TokenFault {
        match self {
            Self::UnknownKey => TokenFault::Signature,
            Self::Fault(fault) => fault,
        }
    }
}

impl From<TokenFault> for Unverified {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

fn client(provider: &Provider, at: &Registration<'_>) -> Result<Client, ProviderFault> {
    let secret = at.client_secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
    let auth =
        if secret.is_none() || provider.takes_secret_in_body() { AuthType::RequestBody } else { AuthType::BasicAuth };
    let redirect = RedirectUrl::new(at.redirect.to_string()).map_err(|_| ProviderFault::Endpoint)?;
    let id = ClientId::new(at.client_id.to_string());
    Ok(CoreClient::from_provider_metadata(provider.metadata.clone(), id, secret)
        .set_auth_type(auth)
        .set_redirect_uri(redirect))
}

/// What the token endpoint said, in our words: its own may repeat the code.
fn refused(
    error: &RequestTokenError<FetchError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>,
) -> RedeemFault {
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            CoreErrorResponseType::InvalidGrant => RedeemFault::Code,
            CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => RedeemFault::Client,
            _ => RedeemFault::Answer,
        },
        RequestTokenError::Request(error) => ProviderFault::Fetch(*error).into(),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => RedeemFault::Answer,
    }
}

/// What the crate found, in our words: its own repeat claims.
fn unverified(error: &ClaimsVerificationError) -> Unverified {
    Unverified::Fault(match error {
        ClaimsVerificationError::Expired(_) => TokenFault::Time,
        ClaimsVerificationError::InvalidAudience(_) => TokenFault::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => TokenFault::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => TokenFault::Nonce,
        ClaimsVerificationError::InvalidSubject(_) => TokenFault::Claim("sub"),
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::AmbiguousKeyId(_) => {
                return Unverified::UnknownKey;
            }
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::NoSignature
            | SignatureVerificationError::UnsupportedAlg(_) => TokenFault::Algorithm,
            _ => TokenFault::Signature,
        },
        _ => TokenFault::Form,
    })
}
