//! Signing in at a provider of the operator's choosing, and being somebody here for it.
//!
//! What comes back from a provider is believed in this order: it came to the address that only this provider sends people
//! to, in answer to this browser (state), from this issuer (RFC 9207), for this browser's challenge (PKCE) and in an ID
//! token for this sign-in (nonce). Which person its subject is, the store knows by provider and subject alone.

use url::Url;

use super::SIGN_IN_OVER;
use crate::crypto::seal::Sealing;
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::id::{TeamUid, UpstreamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::{SessionOrigin, SignedIn};
use crate::domain::team::User;
use crate::domain::upstream::{UpstreamPerson, UpstreamProvider};
use crate::issuer::Issuer;
use crate::issuer::refusals::Unavailable;
use crate::limit::rate::Limited;
use crate::oidc::{Answer, ProviderFault, RedeemFault, Registration, TokenFault};
use crate::store::{AdmitError, Arrival, SignInEvents};

/// The path, under the issuer URL, below which each provider has its redirect URI: `/oauth2/callback/<uid>`. One for
/// each, so that one provider's answer is never taken for another's (RFC 9700, section 2.1.2): also where it is a
/// provider that sends people on to another one, and the other does not name itself in its answers.
pub const CALLBACK: &str = "/oauth2/callback";

/// The path, under the issuer URL, at which every provider says that somebody has signed out there.
pub const LOGOUT: &str = "/oauth2/backchannel_logout";

/// Most characters that are told of what a provider says of its error.
const TOLD_MAX: usize = 200;

/// A provider that the sign-in page offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamChoice {
    /// Its uid.
    pub uid: UpstreamUid,
    /// What to call it.
    pub name: String,
}

/// What a provider sent a browser back with. Nothing of it is believed before [`Issuer::upstream_finish`].
#[derive(Debug, Clone, Default)]
pub struct UpstreamAnswer {
    /// The last segment of the path that was asked for: `/oauth2/callback/{provider}`.
    pub provider: Option<String>,
    /// `code`.
    pub code: Option<Secret>,
    /// `state`.
    pub state: Option<String>,
    /// `iss` (RFC 9207).
    pub iss: Option<String>,
    /// `error` (RFC 6749, section 4.1.2.1).
    pub error: Option<String>,
    /// `error_description`: for the operator's log; never shown, because anybody may have written it.
    pub error_description: Option<String>,
}

/// Why nobody is signed in. The words are for the person in front of the page.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamRefused {
    /// No such provider, or it is disabled.
    #[error("This way to sign in is not offered any more")]
    NotOffered,
    /// Another browser's answer, or one of a sign-in that is over.
    #[error("The answer does not belong to this sign-in")]
    State,
    /// It came to another provider's address, or names another issuer.
    #[error("The answer came from another provider than the one that was chosen")]
    OtherProvider,
    /// The person, or the provider, said no.
    #[error("The provider did not let you in, or you did not let it tell who you are")]
    Denied,
    /// The provider answered with another error, or with nothing.
    #[error("The provider answered with an error")]
    Answer,
    /// The code is over, used or made up.
    #[error("The provider’s answer has expired or was used before")]
    Code,
    /// The provider does not take our client id or secret: the operator must mend it.
    #[error("The provider does not take this service’s credentials: its operator must mend that")]
    Client,
    /// The provider cannot be used now.
    #[error("The provider cannot be reached, or what it publishes cannot be used")]
    Provider(ProviderFault),
    /// The ID token is refused.
    #[error("What the provider says about you cannot be verified")]
    IdToken(TokenFault),
    /// The provider must have verified the address, and has not.
    #[error("The provider has not verified your e-mail address")]
    EmailNotVerified,
    /// Nobody here is that subject, and no team takes it in.
    #[error("Nobody has let you in here yet: ask an administrator of your team")]
    NotAdmitted,
    /// The person is disabled or deleted.
    #[error("Your account here is switched off: ask an administrator of your team")]
    PersonOff,
    /// The browser's way ended while the provider was asked.
    #[error("This sign-in is over: start again")]
    Over,
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl UpstreamRefused {
    /// The stable word of the audit row; `None` where nobody was refused.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NotOffered => Some("provider_not_offered"),
            Self::State => Some("upstream_state"),
            Self::OtherProvider => Some("upstream_other_provider"),
            Self::Denied => Some("upstream_denied"),
            Self::Answer => Some("upstream_answer"),
            Self::Code => Some("upstream_code"),
            Self::Client => Some("upstream_client"),
            Self::Provider(_) => Some("upstream_unusable"),
            Self::IdToken(_) => Some("upstream_id_token"),
            Self::EmailNotVerified => Some("email_not_verified"),
            Self::NotAdmitted => Some("no_team_admits"),
            Self::PersonOff => Some("user_not_alive"),
            Self::Over => Some(SIGN_IN_OVER),
            Self::Limited(_) | Self::Unavailable(_) => None,
        }
    }
}

impl From<RedeemFault> for UpstreamRefused {
    fn from(fault: RedeemFault) -> Self {
        match fault {
            RedeemFault::Provider(fault) => Self::Provider(fault),
            RedeemFault::AnswerIssuer => Self::OtherProvider,
            RedeemFault::Code => Self::Code,
            RedeemFault::Client => Self::Client,
            RedeemFault::Answer => Self::Answer,
            RedeemFault::IdToken(fault) => Self::IdToken(fault),
        }
    }
}

impl Issuer {
    /// The providers that a sign-in page offers: those that `team` accepts, where it is there and accepts any that is
    /// on; every one that is on otherwise.
    pub async fn upstream_choices(&self, team: Option<&TeamUid>) -> Result<Vec<UpstreamChoice>, Unavailable> {
        let on = self.store().upstream_providers_on().await?;
        let team = match team {
            Some(team) => self.store().team(team).await?,
            None => None,
        };
        let accepted = |provider: &&UpstreamProvider| {
            team.as_ref().is_some_and(|team| team.policy.accepts(&SessionOrigin::Upstream(provider.uid.clone())))
        };
        let fit: Vec<_> = on.iter().filter(accepted).collect();
        let offered = if fit.is_empty() { on.iter().collect() } else { fit };
        let choice =
            |provider: &UpstreamProvider| UpstreamChoice { uid: provider.uid.clone(), name: provider.name.clone() };
        Ok(offered.into_iter().map(choice).collect())
    }

    /// Where a provider sends people back to.
    pub fn upstream_callback(&self, provider: &UpstreamUid) -> Result<Url, Unavailable> {
        Url::parse(&format!("{}{CALLBACK}/{provider}", self.url())).map_err(|_| Unavailable::Starting)
    }

    /// Where to send the person of `browser` for them to sign in at `provider`.
    pub async fn upstream_begin(
        &self,
        provider: &UpstreamUid,
        browser: &BrowserSecret,
    ) -> Result<Url, UpstreamRefused> {
        let provider = self.upstream_on(provider).await?;
        let (secret, redirect) = (self.upstream_secret(&provider)?, self.upstream_callback(&provider.uid)?);
        let at = registration(&provider, secret.as_ref(), &redirect);
        let browser = browser.at(&provider.uid);
        let state = browser.derive(Derived::State);
        self.upstream().authorization_url(&at, &browser, &state).await.map_err(UpstreamRefused::Provider)
    }

    /// Takes what `provider`, the one that was begun with, sent `browser` back with, and tells who has signed in. The
    /// browser is known by `fresh` from then on.
    pub async fn upstream_finish(
        &self,
        provider: &UpstreamUid,
        browser: &BrowserSecret,
        fresh: Option<&BrowserSecret>,
        answer: &UpstreamAnswer,
        origin: &Origin,
    ) -> Result<SignedIn, UpstreamRefused> {
        self.0.limits.failing(origin)?;
        let finished = self.finish(provider, browser, fresh, answer, origin).await;
        if let Err((refused, user)) = &finished
            && let Some(reason) = refused.reason()
        {
            self.sign_in_refused(provider, reason, user.clone(), origin).await;
        }
        finished.map_err(|(refused, _)| refused)
    }

    async fn finish(
        &self,
        uid: &UpstreamUid,
        browser: &BrowserSecret,
        fresh: Option<&BrowserSecret>,
        answer: &UpstreamAnswer,
        origin: &Origin,
    ) -> Result<SignedIn, (UpstreamRefused, Option<UserUid>)> {
        let refuse = |refused: UpstreamRefused| (refused, None);
        if answer.provider.as_deref() != Some(uid.as_str()) {
            return Err(refuse(UpstreamRefused::OtherProvider));
        }
        let sent = browser.at(uid);
        if !answer.state.as_deref().is_some_and(|state| sent.matches(Derived::State, state)) {
            return Err(refuse(UpstreamRefused::State));
        }
        let provider = self.upstream_on(uid).await.map_err(refuse)?;
        if let Some(error) = &answer.error {
            told(&provider, error, answer.error_description.as_deref());
            let denied = error == "access_denied";
            return Err(refuse(if denied { UpstreamRefused::Denied } else { UpstreamRefused::Answer }));
        }
        let code = answer.code.as_ref().ok_or_else(|| refuse(UpstreamRefused::Answer))?;
        let secret = self.upstream_secret(&provider).map_err(refuse)?;
        let redirect = self.upstream_callback(uid).map_err(|error| refuse(error.into()))?;
        let at = registration(&provider, secret.as_ref(), &redirect);
        let answered = Answer { code, issuer: answer.iss.as_deref() };
        let person = match self.upstream().redeem(&at, &sent, answered).await {
            Ok(person) => person,
            Err(fault) => {
                tracing::warn!(cause = %fault, provider = %uid, "a sign-in at a provider was not finished");
                return Err(refuse(fault.into()));
            }
        };
        let hashes = fresh.map(|fresh| (browser.hash(), fresh.hash()));
        let arrival = hashes.as_ref().map(|(browser, fresh)| Arrival { browser, fresh });
        self.admit(&provider, &person, arrival, origin).await
    }

    /// Finds who the provider's person is here, or makes them known.
    async fn admit(
        &self,
        provider: &UpstreamProvider,
        person: &UpstreamPerson,
        arrival: Option<Arrival<'_>>,
        origin: &Origin,
    ) -> Result<SignedIn, (UpstreamRefused, Option<UserUid>)> {
        let at = self.now();
        let newcomer = User {
            uid: UserUid::from_uuid(self.entropy().uuid_v7(at)),
            name: person.name.clone().or_else(|| person.email.clone()).unwrap_or_else(|| provider.name.clone()),
            email: person.email.clone(),
            created_at: at,
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        let sign_in = self.about(Action::SignIn, Decision::Allowed, &provider.uid, origin);
        let join = || self.about(Action::MemberJoin, Decision::Allowed, &provider.uid, origin);
        let events = SignInEvents { sign_in: &sign_in, join: &join };
        let admitted = self.store().admit(provider, person, &newcomer, arrival, events).await.map_err(refused)?;
        if !admitted.joined.is_empty() {
            self.forget();
        }
        Ok(admitted.signed_in)
    }

    /// A provider at which people may sign in now.
    async fn upstream_on(&self, uid: &UpstreamUid) -> Result<UpstreamProvider, UpstreamRefused> {
        let provider = self.store().upstream_provider(uid).await.map_err(Unavailable::from)?;
        provider.filter(|provider| provider.disabled_at.is_none()).ok_or(UpstreamRefused::NotOffered)
    }

    /// Our secret at a provider.
    fn upstream_secret(&self, provider: &UpstreamProvider) -> Result<Option<Secret>, UpstreamRefused> {
        let Some(sealed) = &provider.client_secret else { return Ok(None) };
        let sealing = Sealing::upstream_client_secret(&provider.uid);
        let opened = self.keys().kek().open(sealed, &sealing).map_err(Unavailable::from)?;
        let text = std::str::from_utf8(opened.expose()).map_err(|_| UpstreamRefused::Client)?;
        Ok(Some(Secret::new(text.to_owned())))
    }

    /// Writes or counts a refusal: a row where it is about somebody known, a count where anybody could have made it.
    async fn sign_in_refused(
        &self,
        provider: &UpstreamUid,
        reason: &'static str,
        user: Option<UserUid>,
        origin: &Origin,
    ) {
        let mut event = self.about(Action::SignIn, Decision::Refused, provider, origin);
        event.reason = Some(reason);
        // Whether there is room left does not change that this one is refused.
        let _ = self.0.limits.failure(origin);
        match user {
            Some(user) => {
                event.principal = Some(Principal::User(user));
                self.record_refusal(event).await;
            }
            None => self.audit().append_counted(event),
        }
    }

    /// A row about a sign-in at `provider`.
    pub(super) fn about(&self, action: Action, decision: Decision, provider: &UpstreamUid, origin: &Origin) -> Event {
        let mut event = self.event(action, decision, origin);
        event.target = Some(format!("upstream_provider:{provider}"));
        event
    }
}

pub(super) fn registration<'a>(
    provider: &'a UpstreamProvider,
    client_secret: Option<&'a Secret>,
    redirect: &'a Url,
) -> Registration<'a> {
    let (issuer, client_id, settings) = (&provider.issuer, &provider.client_id, &provider.settings);
    Registration { issuer, client_id, client_secret, redirect, settings }
}

fn refused(error: AdmitError) -> (UpstreamRefused, Option<UserUid>) {
    match error {
        AdmitError::ProviderOff => (UpstreamRefused::NotOffered, None),
        AdmitError::EmailNotVerified => (UpstreamRefused::EmailNotVerified, None),
        AdmitError::PersonOff(user) => (UpstreamRefused::PersonOff, Some(user)),
        AdmitError::NotAdmitted => (UpstreamRefused::NotAdmitted, None),
        AdmitError::Over => (UpstreamRefused::Over, None),
        AdmitError::Store(error) => (Unavailable::from(error).into(), None),
    }
}

/// What a provider says of its error, for whoever set it up: cut, and in characters that change no terminal.
fn told(provider: &UpstreamProvider, error: &str, description: Option<&str>) {
    let plain = |text: &str| text.chars().take(TOLD_MAX).filter(|c| matches!(c, ' '..='~')).collect::<String>();
    let (error, description) = (plain(error), plain(description.unwrap_or_default()));
    tracing::info!(provider = %provider.uid, error, description, "a sign-in provider answered with an error");
}
