//! The device grant (RFC 8628): a device without a browser asks, a person with one approves.
//!
//! Whoever started the device chose its name; nothing on the page proves more than the address it asked from. So a page
//! that approves says both, and asks whether the person has just started that themselves (RFC 8628, section 5.4).

use time::OffsetDateTime;

use super::refusals::DeviceRefused;
use super::session::SessionTokens;
use super::{check_client, is_device_name};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::SecretHash;
use crate::domain::device_grant::{DEVICE_GRANT_LIFE, Decided, POLL_INTERVAL, Polled};
use crate::domain::id::{DeviceGrantId, TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::SignedIn;
use crate::domain::user_code::UserCode;
use crate::issuer::Issuer;
use crate::issuer::oauth::OAuthError;
use crate::issuer::oauth::refusals::GrantRefused;
use crate::issuer::refusals::Unavailable;
use crate::store::{DevicePoll, NewDeviceGrant, WaitingDevice};

/// How often a user code is drawn before we give up; that of a waiting device is hit once in millions.
const DRAWS: usize = 4;

/// What a device gets to begin with.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    /// What it polls with, shown once.
    pub device_code: Secret,
    /// What its person types.
    pub user_code: UserCode,
    /// How long both last, in seconds.
    pub expires_in: i64,
    /// How many seconds must pass between two polls.
    pub interval: u32,
}

/// A device that waits, as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAsked {
    /// Its id, for the decision.
    pub id: DeviceGrantId,
    /// What it calls itself: no proof of anything.
    pub device: Option<String>,
    /// From where it asked.
    pub from: Origin,
    /// For which team, where it said.
    pub team: Option<TeamUid>,
    /// What that team is called; only for people who are in it ([`Issuer::device_for`]).
    pub team_name: Option<String>,
    /// When it asked.
    pub created_at: OffsetDateTime,
    /// Until when it can be approved.
    pub expires_at: OffsetDateTime,
}

impl From<WaitingDevice> for DeviceAsked {
    fn from(waiting: WaitingDevice) -> Self {
        let WaitingDevice { id, device, from, team, created_at, expires_at } = waiting;
        Self { id, device, from, team, team_name: None, created_at, expires_at }
    }
}

impl Issuer {
    /// A device asks to be let in. It is nobody yet: so many wait from one address, and in all.
    pub async fn device_authorization(
        &self,
        client: &str,
        device: Option<&str>,
        team: Option<&TeamUid>,
        origin: &Origin,
    ) -> Result<DeviceAuthorization, OAuthError> {
        check_client(client)?;
        if !device.is_none_or(is_device_name) {
            return Err(GrantRefused::Device.into());
        }
        self.count_limited(self.0.limits.device(origin), Action::SessionOpen, origin)?;
        let key = self.user_code_key().await?;
        let now = self.now();
        for _ in 0..DRAWS {
            let (device_code, user_code) = (Secret::random(self.entropy()), UserCode::generate(self.entropy()));
            let new = NewDeviceGrant {
                id: DeviceGrantId::new(self.entropy().uuid_v7(now)),
                device_code: SecretHash::of(device_code.expose()),
                user_code_mac: user_code.mac(key),
                client: client.to_owned(),
                device: device.map(str::to_owned),
                from: origin.clone(),
                team: team.cloned(),
            };
            if self.store().create_device_grant(&new, now).await? {
                let expires_in = DEVICE_GRANT_LIFE.whole_seconds();
                return Ok(DeviceAuthorization { device_code, user_code, expires_in, interval: POLL_INTERVAL });
            }
        }
        Err(Unavailable::Changing.into())
    }

    /// The device that waits under a user code. Few are looked up for one address and few in all, so that the 20^8 there
    /// are cannot be searched within the ten minutes that one of them means anything.
    pub async fn device_asked(&self, user_code: &str, origin: &Origin) -> Result<DeviceAsked, DeviceRefused> {
        let code = UserCode::parse(user_code)?;
        self.count_limited(self.0.limits.guess(origin), Action::SignIn, origin)?;
        let mac = code.mac(self.user_code_key().await?);
        if let Some(waiting) = self.store().device_of_code(&mac, self.now()).await? {
            return Ok(waiting.into());
        }
        self.count_sign_in(Action::SignIn, "user_code_unknown", origin);
        Err(DeviceRefused::Unknown)
    }

    /// A device that waits, by the id that [`Issuer::device_asked`] gave.
    pub async fn device_by_id(&self, id: DeviceGrantId) -> Result<DeviceAsked, DeviceRefused> {
        self.store().waiting_device(id, self.now()).await?.map(DeviceAsked::from).ok_or(DeviceRefused::Unknown)
    }

    /// The same for a person who has signed in, with the team's name if they are in it: whoever asks for a team learns
    /// nothing about it.
    pub async fn device_for(&self, id: DeviceGrantId, user: &UserUid) -> Result<DeviceAsked, DeviceRefused> {
        let mut asked = self.device_by_id(id).await?;
        if let Some(uid) = &asked.team {
            let teams = self.store().memberships_of(user).await?;
            asked.team_name = teams.into_iter().find(|team| team.uid == *uid).map(|team| team.name);
        }
        Ok(asked)
    }

    /// Lets a device in as whoever has just signed in; the way of their browser ends with it.
    pub async fn approve_device(
        &self,
        id: DeviceGrantId,
        signed_in: &SignedIn,
        browser: Option<&SecretHash>,
        origin: &Origin,
    ) -> Result<(), DeviceRefused> {
        let mut event = self.event(Action::DeviceApprove, Decision::Allowed, origin);
        event.principal = Some(Principal::User(signed_in.user.clone()));
        event.target = Some(target(id));
        Ok(self.store().decide_device_grant(id, Decided::Approve(signed_in.clone()), browser, &event).await?)
    }

    /// Denies a device; whoever has its user code may, signed in or not.
    pub async fn deny_device(
        &self,
        id: DeviceGrantId,
        signed_in: Option<&SignedIn>,
        browser: Option<&SecretHash>,
        origin: &Origin,
    ) -> Result<(), DeviceRefused> {
        let mut event = self.event(Action::DeviceDeny, Decision::Allowed, origin);
        event.principal = signed_in.map(|signed_in| Principal::User(signed_in.user.clone()));
        event.target = Some(target(id));
        Ok(self.store().decide_device_grant(id, Decided::Deny, browser, &event).await?)
    }

    /// A device asks whether it is let in; once, it gets its tokens.
    pub async fn redeem_device(
        &self,
        client: &str,
        device_code: &Secret,
        origin: &Origin,
    ) -> Result<SessionTokens, OAuthError> {
        check_client(client)?;
        self.count_limited(self.0.limits.anonymous(origin), Action::SessionOpen, origin)?;
        self.count_limited(self.0.limits.failing(origin), Action::SessionOpen, origin)?;
        let now = self.now();
        let (session, pair) = self.new_session(None, now);
        let mut event = self.event(Action::SessionOpen, Decision::Allowed, origin);
        event.target = Some(format!("session:{}", session.id));
        let hash = SecretHash::of(device_code.expose());
        let refused = match self.store().poll_device_grant(&hash, client, &session, &event).await? {
            DevicePoll::Opened(opened) => return Ok(pair.given(opened, now)),
            DevicePoll::No(Polled::Pending) => return Err(GrantRefused::Pending.into()),
            DevicePoll::No(Polled::SlowDown) => {
                // Each poll is written down. Who does not slow down is stopped at the door for a while.
                self.count_limited(self.0.limits.failure(origin), Action::SessionOpen, origin)?;
                return Err(GrantRefused::SlowDown.into());
            }
            DevicePoll::No(Polled::Denied) => return Err(GrantRefused::Denied.into()),
            DevicePoll::No(Polled::Expired) => return Err(GrantRefused::DeviceExpired.into()),
            DevicePoll::No(Polled::Redeemed | Polled::Approved(())) => "device_code_used",
            DevicePoll::Refused(refused) => {
                self.count_sign_in(Action::SessionOpen, refused.reason().unwrap_or("sign_in_withdrawn"), origin);
                return Err(GrantRefused::Denied.into());
            }
            DevicePoll::Unknown => "device_code_unknown",
        };
        self.count_sign_in(Action::SessionOpen, refused, origin);
        self.0.limits.failure(origin)?;
        Err(GrantRefused::DeviceCode.into())
    }
}

fn target(id: DeviceGrantId) -> String {
    format!("device:{id}")
}
