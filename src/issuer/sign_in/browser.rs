//! A browser on its way from whoever asks to a decision: begin, sign in, be asked, decide.
//!
//! Every step takes the secret of the browser's cookie, and the store has its hash alone. Signing in gives the browser
//! another one. What it decides about is what it began with: a new wish begins a new way, under a new secret.

use std::net::IpAddr;

use time::OffsetDateTime;
use url::Url;

use super::SIGN_IN_OVER;
use super::code::AuthorizationAsked;
use super::refusals::{DeviceRefused, SignInRefused};
use super::upstream::{UpstreamAnswer, UpstreamRefused};
use crate::domain::audit::{Action, Decision as Decided, Origin};
use crate::domain::authorization::{Authorization, AuthorizationCode};
use crate::domain::browser::BrowserSecret;
use crate::domain::credential::SecretHash;
use crate::domain::id::{DeviceGrantId, TeamUid, UpstreamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::{CLI_CLIENT_ID, SessionOrigin, SignedIn};
use crate::domain::sign_in::{Asker, SignIn};
use crate::issuer::Issuer;
use crate::issuer::refusals::{OpenSessionError, Unavailable};
use crate::limit::network::network;
use crate::limit::rate::Limited;
use crate::store::{Arrival, RedeemError, StoreError};

/// Who asks, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// What it calls itself: no proof of anything.
    pub device: Option<String>,
    /// From where it asked.
    pub address: Option<IpAddr>,
    /// For which team: its uid, and its name too for people who are in it.
    pub team: Option<String>,
    /// When.
    pub asked_at: OffsetDateTime,
}

impl Asking {
    /// Whether it asks from where the browser is: the same address, or the same /64 of IPv6.
    pub fn is_from(&self, browser: Option<IpAddr>) -> bool {
        self.address.map(network) == browser.map(network)
    }
}

/// How far a browser is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Who asks.
    pub asking: Asking,
    /// The team that it asks for, which may narrow down where one signs in.
    pub team: Option<TeamUid>,
    /// Who the browser turned out to be.
    pub person: Option<Person>,
}

/// Whoever has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What they are called here.
    pub name: String,
    /// What the provider is called at which they signed in; none with an enrolment code.
    pub provider: Option<String>,
    /// When every session of this sign-in ends.
    pub ends_at: OffsetDateTime,
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Let it act as me.
    Approve,
    /// It is not mine.
    Deny,
}

/// What came of a decision.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The device learns of it when it asks next.
    Device,
    /// The terminal learns of it at this URL, which may hold a code.
    Terminal(Secret),
    /// Nothing: only whoever has signed in can approve.
    SignInFirst,
}

/// Why a browser gets no further.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// It is on no way, has decided, or took too long.
    #[error("this browser is on no way")]
    Over,
    /// The device was decided on, or has waited too long.
    #[error("the device waits no more")]
    DeviceGone,
    /// Whoever has signed in is not alive any more.
    #[error("the person is not alive any more")]
    PersonGone,
    /// The provider said no, or what it said does not hold.
    #[error(transparent)]
    Upstream(UpstreamRefused),
    /// The enrolment code opens nothing.
    #[error(transparent)]
    Code(OpenSessionError),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<StoreError> for BrowserError {
    fn from(error: StoreError) -> Self {
        Unavailable::from(error).into()
    }
}

impl From<OpenSessionError> for BrowserError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Limited(limited) => limited.into(),
            OpenSessionError::Unavailable(unavailable) => unavailable.into(),
            OpenSessionError::Malformed(_)
            | OpenSessionError::OtherKind
            | OpenSessionError::Device
            | OpenSessionError::Refused => Self::Code(error),
        }
    }
}

impl From<UpstreamRefused> for BrowserError {
    fn from(refused: UpstreamRefused) -> Self {
        match refused {
            UpstreamRefused::Over => Self::Over,
            refused => Self::Upstream(refused),
        }
    }
}

impl From<DeviceRefused> for BrowserError {
    fn from(refused: DeviceRefused) -> Self {
        match refused {
            DeviceRefused::Form(_) | DeviceRefused::Unknown | DeviceRefused::Undecidable(_) => Self::DeviceGone,
            DeviceRefused::Over => Self::Over,
            DeviceRefused::Limited(limited) => limited.into(),
            DeviceRefused::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl Issuer {
    /// A browser begins on behalf of `asker`. Whatever it was on before is as if it had never been: it forgets that
    /// secret.
    pub async fn browser_begin(&self, asker: &Asker, origin: &Origin) -> Result<BrowserSecret, BrowserError> {
        self.count_limited(self.0.limits.browser(origin), Action::SignIn, origin)?;
        let secret = BrowserSecret::generate(self.entropy());
        self.store().begin_sign_in(&secret.hash(), asker, origin.address, self.now()).await?;
        Ok(secret)
    }

    /// How far the browser is, and what its person is shown.
    pub async fn browser_way(&self, secret: &BrowserSecret) -> Result<Way, BrowserError> {
        let sign_in = self.on_the_way(secret).await?;
        let person = match &sign_in.signed_in {
            Some(signed_in) => Some(self.person_of(signed_in).await?),
            None => None,
        };
        let mut asking = match &sign_in.asker {
            Asker::Device { grant, .. } => self.asking_device(*grant).await?,
            Asker::Terminal(authorization) => asking_terminal(authorization, &sign_in),
        };
        if let (Some(team), Some(signed_in)) = (sign_in.asker.team(), &sign_in.signed_in) {
            asking.team = Some(self.team_told(team, &signed_in.user).await?);
        }
        Ok(Way { asking, team: sign_in.asker.team().cloned(), person })
    }

    /// Sends the browser to a provider: what it is called, and the URL there.
    pub async fn browser_leaves(
        &self,
        secret: &BrowserSecret,
        provider: &UpstreamUid,
    ) -> Result<(String, Url), BrowserError> {
        let sign_in = self.on_the_way(secret).await?;
        let offered = self.upstream_choices(sign_in.asker.team()).await?;
        let name = offered.into_iter().find(|choice| choice.uid == *provider).ok_or(BrowserError::Over)?.name;
        if !self.store().choose_provider(&secret.hash(), provider, self.now()).await? {
            return Err(BrowserError::Over);
        }
        let url = self.upstream_begin(provider, secret).await?;
        Ok((name, url))
    }

    /// Takes what the provider sent the browser back with; the browser's secret from now on.
    pub async fn browser_returns(
        &self,
        secret: &BrowserSecret,
        answer: &UpstreamAnswer,
        origin: &Origin,
    ) -> Result<BrowserSecret, BrowserError> {
        let sign_in = self.on_the_way(secret).await?;
        let provider = sign_in.provider.filter(|_| sign_in.signed_in.is_none()).ok_or(BrowserError::Over)?;
        let fresh = BrowserSecret::generate(self.entropy());
        self.upstream_finish(&provider, secret, Some(&fresh), answer, origin).await?;
        Ok(fresh)
    }

    /// Redeems an enrolment code in the browser; the browser's secret from now on. A browser that is on no way, or is
    /// signed in, leaves the code unused.
    pub async fn browser_redeems(
        &self,
        secret: &BrowserSecret,
        code: &Secret,
        origin: &Origin,
    ) -> Result<BrowserSecret, BrowserError> {
        let sign_in = self.on_the_way(secret).await?;
        if sign_in.signed_in.is_some() {
            return Err(BrowserError::Over);
        }
        let fresh = BrowserSecret::generate(self.entropy());
        let arrival = Arrival { browser: &secret.hash(), fresh: &fresh.hash() };
        self.sign_in_with_code(code, Some(arrival), origin).await?;
        Ok(fresh)
    }

    /// The person decides, once. Denying takes no sign-in: whoever was led here may turn the device away.
    pub async fn browser_decides(
        &self,
        secret: &BrowserSecret,
        decision: Decision,
        origin: &Origin,
    ) -> Result<Outcome, BrowserError> {
        let sign_in = self.on_the_way(secret).await?;
        let approving = match (decision, &sign_in.signed_in) {
            (Decision::Approve, None) => return Ok(Outcome::SignInFirst),
            (Decision::Approve, Some(signed_in)) => {
                self.person_of(signed_in).await?;
                Some(signed_in)
            }
            (Decision::Deny, _) => None,
        };
        let browser = &secret.hash();
        match (&sign_in.asker, approving) {
            (Asker::Device { grant, .. }, Some(signed_in)) => {
                self.approve_device(*grant, signed_in, Some(browser), origin).await?;
                Ok(Outcome::Device)
            }
            (Asker::Device { grant, .. }, None) => {
                self.deny_device(*grant, sign_in.signed_in.as_ref(), Some(browser), origin).await?;
                Ok(Outcome::Device)
            }
            (Asker::Terminal(authorization), Some(signed_in)) => {
                let code = self.code_for(authorization, signed_in, browser, origin).await?;
                Ok(Outcome::Terminal(Secret::new(authorization.back.with_code(code.expose(), self.url()))))
            }
            (Asker::Terminal(authorization), None) => {
                self.deny_terminal(sign_in.signed_in.as_ref(), browser, origin).await?;
                let words = "the person turned the program away";
                let url = authorization.back.with_error(AuthorizationCode::AccessDenied, words, self.url());
                Ok(Outcome::Terminal(Secret::new(url)))
            }
        }
    }

    /// Redeems `code`, once, in a browser: whoever typed it is its person. The session comes later, for a device or a
    /// terminal, and stays tied to the code.
    pub async fn sign_in_with_code(
        &self,
        code: &Secret,
        arrival: Option<Arrival<'_>>,
        origin: &Origin,
    ) -> Result<SignedIn, BrowserError> {
        let code = self.read_code(code, origin)?;
        let event = self.event(Action::SignIn, Decided::Allowed, origin);
        match self.store().redeem_enrolment_code_in_browser(&code.hash(), arrival, event.at, &event).await {
            Ok(signed_in) => Ok(signed_in),
            Err(RedeemError::Over) => {
                self.count_sign_in(Action::SignIn, SIGN_IN_OVER, origin);
                Err(BrowserError::Over)
            }
            Err(error) => Err(self.redeem_refused(error, Action::SignIn, origin)?.into()),
        }
    }

    async fn on_the_way(&self, secret: &BrowserSecret) -> Result<SignIn, BrowserError> {
        self.store().sign_in(&secret.hash(), self.now()).await?.ok_or(BrowserError::Over)
    }

    async fn asking_device(&self, grant: DeviceGrantId) -> Result<Asking, BrowserError> {
        let waiting = self.device_by_id(grant).await?;
        Ok(Asking {
            device: waiting.device,
            address: waiting.from.address,
            team: waiting.team.map(|team| team.to_string()),
            asked_at: waiting.created_at,
        })
    }

    /// Only people of a team learn what it is called, or that there is one of that uid.
    async fn team_told(&self, team: &TeamUid, user: &UserUid) -> Result<String, BrowserError> {
        let teams = self.store().memberships_of(user).await?;
        let name = teams.into_iter().find(|one| one.uid == *team).map(|one| one.name);
        Ok(name.map_or_else(|| format!("{team}, which you are not in"), |name| format!("{name} ({team})")))
    }

    async fn person_of(&self, signed_in: &SignedIn) -> Result<Person, BrowserError> {
        let user = self.store().user(&signed_in.user).await?.filter(|user| user.disabled_at.is_none());
        let user = user.ok_or(BrowserError::PersonGone)?;
        let provider = match &signed_in.origin {
            SessionOrigin::EnrolmentCode => None,
            SessionOrigin::Upstream(uid) => {
                let known = self.upstream_choices(None).await?;
                Some(known.into_iter().find(|choice| choice.uid == *uid).ok_or(BrowserError::PersonGone)?.name)
            }
        };
        Ok(Person { name: user.name, provider, ends_at: signed_in.ends_at })
    }

    async fn code_for(
        &self,
        authorization: &Authorization,
        signed_in: &SignedIn,
        browser: &SecretHash,
        origin: &Origin,
    ) -> Result<Secret, BrowserError> {
        let asked = AuthorizationAsked {
            client_id: CLI_CLIENT_ID.to_owned(),
            redirect_uri: authorization.back.redirect.to_string(),
            code_challenge: authorization.code_challenge.clone(),
            device: authorization.device.clone(),
        };
        self.issue_code(&asked, signed_in, Some(browser), origin).await.map_err(|refused| match refused {
            // The request was checked for client and device when it was parsed.
            SignInRefused::Over | SignInRefused::Device | SignInRefused::Client => BrowserError::Over,
            SignInRefused::Unavailable(unavailable) => unavailable.into(),
        })
    }

    /// A terminal's wish has no row of its own that could be denied, so the denial is told here: as a row where it is
    /// known who denied, counted where anybody could have.
    async fn deny_terminal(
        &self,
        signed_in: Option<&SignedIn>,
        browser: &SecretHash,
        origin: &Origin,
    ) -> Result<(), BrowserError> {
        let mut event = self.event(Action::DeviceDeny, Decided::Allowed, origin);
        event.target = Some("authorization_request".to_owned());
        event.principal = signed_in.map(|signed_in| Principal::User(signed_in.user.clone()));
        let row = signed_in.map(|_| &event);
        if !self.store().finish_sign_in(browser, event.at, row).await? {
            return Err(BrowserError::Over);
        }
        if signed_in.is_none() {
            self.audit().append_counted(event);
        }
        Ok(())
    }
}

fn asking_terminal(authorization: &Authorization, sign_in: &SignIn) -> Asking {
    Asking {
        device: authorization.device.clone(),
        address: sign_in.address,
        team: authorization.team.as_ref().map(ToString::to_string),
        asked_at: sign_in.created_at,
    }
}
