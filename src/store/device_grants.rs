//! Devices that wait for a person's approval (RFC 8628). What each step means is `domain::device_grant`'s to say.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};

use super::db::{Row, Tx};
use super::error::StoreError;
use super::sessions::{self, NewSession, OpenError, OpenedSession};
use super::{Store, sign_ins, signed_in_json};
use crate::domain::audit::{Event, Origin};
use crate::domain::credential::SecretHash;
use crate::domain::device_grant::{Decided, DeviceGrant, DeviceState, Polled, UndecidableGrant};
use crate::domain::id::{DeviceGrantId, TeamUid};
use crate::domain::principal::Principal;
use crate::domain::session::SignedIn;

/// How long a grant that is over is still known: so long its device is told why.
const REMEMBERED: Duration = Duration::hours(1);
/// Most old grants that one new one takes with it: two, so that no flood leaves more rows than an hour of it makes.
const SWEPT: i64 = 20;

/// A device's wish to be saved; of its codes only what cannot be turned back.
#[derive(Debug, Clone)]
pub struct NewDeviceGrant {
    /// Its id.
    pub id: DeviceGrantId,
    /// The hash of the device code.
    pub device_code: SecretHash,
    /// The user code under the installation's key.
    pub user_code_mac: String,
    /// Which client asks.
    pub client: String,
    /// What it calls the device.
    pub device: Option<String>,
    /// From where it asks.
    pub from: Origin,
    /// For which team, where it said.
    pub team: Option<TeamUid>,
}

/// What a person is shown of a device that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDevice {
    /// Its id.
    pub id: DeviceGrantId,
    /// What it calls itself: words of whoever asks, and no proof of anything.
    pub device: Option<String>,
    /// From where it asked.
    pub from: Origin,
    /// For which team, where it said.
    pub team: Option<TeamUid>,
    /// When it asked.
    pub created_at: OffsetDateTime,
    /// Until when it can be approved.
    pub expires_at: OffsetDateTime,
}

/// Why a decision changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// There is no such device.
    #[error("no device waits for this")]
    NotFound,
    /// It cannot be decided any more.
    #[error(transparent)]
    Undecidable(#[from] UndecidableGrant),
    /// The browser that decides has decided before, took too long, or its sign-in was ended.
    #[error("the browser's sign-in is over")]
    Over,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevicePoll {
    /// There is no such device code of this client.
    Unknown,
    /// No tokens, now or ever.
    No(Polled<()>),
    /// It was approved, but the sign-in behind the approval holds no more.
    Refused(OpenError),
    /// Its session.
    Opened(OpenedSession),
}

macro_rules! grant {
    () => {
        "id, device, address, user_agent, team_uid, created_at, expires_at, interval_seconds, polled_at, signed_in,
            approved_at, denied_at, redeemed_at"
    };
}

/// The device that waits at `$2`, by the column that is `$1`.
macro_rules! waiting {
    ($by:literal) => {
        concat!(
            "SELECT ",
            grant!(),
            " FROM device_grants WHERE ",
            $by,
            " = $1 AND approved_at IS NULL AND denied_at IS NULL AND redeemed_at IS NULL AND expires_at > $2"
        )
    };
}

impl Store {
    /// Saves a device's wish; `false` where its user code is another's, and then nothing is saved.
    pub async fn create_device_grant(&self, new: &NewDeviceGrant, now: OffsetDateTime) -> Result<bool, StoreError> {
        let grant = DeviceGrant::<SignedIn>::new(now);
        let mut tx = self.db.begin().await?;
        let sweep = "DELETE FROM device_grants WHERE id IN
            (SELECT id FROM device_grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
        tx.execute(sweep, [(now - REMEMBERED).into(), SWEPT.into()]).await?;
        let inserted = tx
            .execute(
                "INSERT INTO device_grants (id, device_code_hash, user_code_mac, client_id, device, address, user_agent,
                    team_uid, created_at, expires_at, interval_seconds)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
                [
                    new.id.into(),
                    new.device_code.to_hex().into(),
                    new.user_code_mac.as_str().into(),
                    new.client.as_str().into(),
                    new.device.as_deref().into(),
                    new.from.address.map(|address| address.to_string()).into(),
                    new.from.user_agent.as_deref().into(),
                    new.team.as_ref().map(TeamUid::as_str).into(),
                    now.into(),
                    grant.expires_at.into(),
                    grant.interval.into(),
                ],
            )
            .await?;
        tx.commit().await?;
        Ok(inserted == 1)
    }

    /// The device that waits under a user code; decided and late ones wait no more.
    pub async fn device_of_code(&self, mac: &str, now: OffsetDateTime) -> Result<Option<WaitingDevice>, StoreError> {
        let sql = waiting!("user_code_mac");
        self.db.fetch_optional(sql, [mac.into(), now.into()]).await?.as_ref().map(waiting).transpose()
    }

    /// The same by its id.
    pub async fn waiting_device(
        &self,
        id: DeviceGrantId,
        now: OffsetDateTime,
    ) -> Result<Option<WaitingDevice>, StoreError> {
        let sql = waiting!("id");
        self.db.fetch_optional(sql, [id.into(), now.into()]).await?.as_ref().map(waiting).transpose()
    }

    /// A person decides on a device, once; of any number of tries exactly one wins. The way of the browser that they decide
    /// in ends in the same transaction: what ends their sign-ins comes before and nothing is approved, or after and ends
    /// the approval.
    pub async fn decide_device_grant(
        &self,
        id: DeviceGrantId,
        decided: Decided<SignedIn>,
        browser: Option<&SecretHash>,
        event: &Event,
    ) -> Result<(), DecideError> {
        let mut tx = self.db.change(event).await?;
        if let Some(browser) = browser
            && !sign_ins::finish(&mut tx, browser, event.at).await?
        {
            return Err(DecideError::Over);
        }
        let sql = concat!("UPDATE device_grants SET polled_at = polled_at WHERE id = $1 RETURNING ", grant!());
        let row = tx.fetch_optional(sql, [id.into()]).await?.ok_or(DecideError::NotFound)?;
        let decided = grant(&row)?.decide(event.at, decided)?;
        match &decided.state {
            DeviceState::Approved(signed_in) => {
                let sql = "UPDATE device_grants SET approved_at = $2, user_uid = $3, signed_in = $4 WHERE id = $1";
                let text = signed_in_json::write(signed_in)?;
                tx.execute(sql, [id.into(), event.at.into(), (&signed_in.user).into(), text.into()]).await?;
            }
            DeviceState::Denied | DeviceState::Pending | DeviceState::Redeemed => {
                let sql = "UPDATE device_grants SET denied_at = $2 WHERE id = $1";
                tx.execute(sql, [id.into(), event.at.into()]).await?;
            }
        }
        Ok(tx.commit_with(event).await?)
    }

    /// The device asks; where it was approved, `session` is opened, once, and its audit row gets the person.
    pub async fn poll_device_grant(
        &self,
        code: &SecretHash,
        client: &str,
        session: &NewSession,
        event: &Event,
    ) -> Result<DevicePoll, StoreError> {
        let mut tx = self.db.begin_beside().await?;
        let sql = concat!(
            "UPDATE device_grants SET polled_at = polled_at WHERE device_code_hash = $1 AND client_id = $2 RETURNING ",
            grant!()
        );
        let Some(row) = tx.fetch_optional(sql, [code.to_hex().into(), client.into()]).await? else {
            return Ok(DevicePoll::Unknown);
        };
        let (id, now): (DeviceGrantId, _) = (row.handle("id")?, event.at);
        let (polled, answer) = grant(&row)?.poll(now);
        let sql = "UPDATE device_grants SET polled_at = $2, interval_seconds = $3 WHERE id = $1";
        tx.execute(sql, [id.into(), now.into(), polled.interval.into()]).await?;
        let signed_in = match answer {
            Polled::Approved(signed_in) => signed_in,
            Polled::Pending => return no(tx, Polled::Pending).await,
            Polled::SlowDown => return no(tx, Polled::SlowDown).await,
            Polled::Denied => return no(tx, Polled::Denied).await,
            Polled::Expired => return no(tx, Polled::Expired).await,
            Polled::Redeemed => return no(tx, Polled::Redeemed).await,
        };
        let sql = "UPDATE device_grants SET redeemed_at = $2, signed_in = NULL WHERE id = $1";
        tx.execute(sql, [id.into(), now.into()]).await?;
        let session = NewSession { device: row.optional_text("device")?, ..session.clone() };
        match sessions::open(&mut tx, &signed_in, &session, &event.origin, now).await {
            Ok(opened) => {
                tx.note(&opened_by(event, &signed_in)).await?;
                tx.commit().await?;
                Ok(DevicePoll::Opened(opened))
            }
            Err(OpenError::Store(error)) => Err(error),
            // It is used up all the same: an approval that did not hold once is not tried again.
            Err(refused) => {
                tx.commit().await?;
                Ok(DevicePoll::Refused(refused))
            }
        }
    }
}

async fn no(tx: Tx, answer: Polled<()>) -> Result<DevicePoll, StoreError> {
    tx.commit().await?;
    Ok(DevicePoll::No(answer))
}

/// The row of a session that was opened with a sign-in.
pub(super) fn opened_by(event: &Event, signed_in: &SignedIn) -> Event {
    let mut event = event.clone();
    event.principal = Some(Principal::User(signed_in.user.clone()));
    event
}

fn grant(row: &Row) -> Result<DeviceGrant<SignedIn>, StoreError> {
    let set = |column| Ok::<_, StoreError>(row.optional_int(column)?.is_some());
    let state = match (set("redeemed_at")?, set("denied_at")?, set("approved_at")?) {
        (true, ..) => DeviceState::Redeemed,
        (false, true, _) => DeviceState::Denied,
        (false, false, true) => DeviceState::Approved(row.parsed("signed_in", signed_in_json::read)?),
        (false, false, false) => DeviceState::Pending,
    };
    Ok(DeviceGrant {
        expires_at: row.time("expires_at")?,
        interval: row.number("interval_seconds")?,
        polled_at: row.optional_time("polled_at")?,
        state,
    })
}

fn waiting(row: &Row) -> Result<WaitingDevice, StoreError> {
    Ok(WaitingDevice {
        id: row.handle("id")?,
        device: row.optional_text("device")?,
        from: Origin {
            address: row.optional_parsed("address", |text| text.parse::<IpAddr>().ok())?,
            user_agent: row.optional_text("user_agent")?,
        },
        team: row.optional_parsed("team_uid", |text| TeamUid::parse(text).ok())?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}
