//! One-time codes with which a person opens a session.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::sessions::{self, NewSession, OpenError, OpenedSession};
use super::sign_ins::{self, Arrival};
use super::users;
use crate::domain::audit::Event;
use crate::domain::credential::{CredentialKind, SecretHash};
use crate::domain::id::{CredentialId, TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::session::SignedIn;

/// A code to be saved; of it only the hash.
#[derive(Debug, Clone)]
pub struct NewEnrolmentCode {
    /// Its id.
    pub id: CredentialId,
    /// The hash of its text.
    pub hash: SecretHash,
    /// Whom it lets in.
    pub user: UserUid,
    /// By whose credential it is made.
    pub created_by: Option<CredentialId>,
    /// The team whose admin makes it; `None` where an operator does. Then the person must be in that team alone.
    pub team: Option<TeamUid>,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Until when it can be redeemed.
    pub expires_at: OffsetDateTime,
}

/// A code as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// Its id.
    pub id: CredentialId,
    /// Whom it lets in.
    pub user: UserUid,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Until when it can be redeemed.
    pub expires_at: OffsetDateTime,
    /// When it was redeemed.
    pub redeemed_at: Option<OffsetDateTime>,
    /// When it was withdrawn.
    pub revoked_at: Option<OffsetDateTime>,
}

/// Whom a redeemed code let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// The code.
    pub code: CredentialId,
    /// The person.
    pub user: UserUid,
}

/// Why a code opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// There is no such code.
    #[error("the enrolment code is not known")]
    Unknown,
    /// Its time is over.
    #[error("the enrolment code has expired")]
    Expired,
    /// It was redeemed before, or withdrawn.
    #[error("the enrolment code has been used or withdrawn")]
    Used,
    /// The person is disabled or deleted.
    #[error("the person of the enrolment code is disabled or deleted")]
    UserDead,
    /// The browser in which it was shown is on no way any more.
    #[error("the browser's sign-in is over")]
    Over,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Saves a code for a living person. One of a team's admin is saved only while the person is in that team and
    /// in no other; a join and this wait for each other.
    pub async fn create_enrolment_code(
        &self,
        code: &NewEnrolmentCode,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let alive = "SELECT 1 AS one FROM users WHERE uid = $1 AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [(&code.user).into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        if let Some(team) = &code.team
            && users::teams_in(&mut tx, &code.user).await? != [team.clone()]
        {
            return Err(ChangeError::NotFound);
        }
        let inserted = tx
            .execute(
                "INSERT INTO enrolment_codes (id, secret_hash, user_uid, created_by, created_at, expires_at,
                    team_uid)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                [
                    code.id.into(),
                    code.hash.to_hex().into(),
                    (&code.user).into(),
                    code.created_by.into(),
                    code.created_at.into(),
                    code.expires_at.into(),
                    code.team.as_ref().map(TeamUid::as_str).into(),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::Conflict("credential_known"));
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// One code, open or not.
    pub async fn enrolment_code(&self, id: CredentialId) -> Result<Option<EnrolmentCode>, StoreError> {
        let sql =
            "SELECT id, user_uid, created_at, expires_at, redeemed_at, revoked_at FROM enrolment_codes WHERE id = $1";
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(enrolment_code).transpose()
    }

    /// A page of codes, the oldest first.
    pub async fn enrolment_codes(&self, page: &Page) -> Result<Paged<EnrolmentCode>, StoreError> {
        let sql = "SELECT id, user_uid, created_at, expires_at, redeemed_at, revoked_at
            FROM enrolment_codes WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let codes = rows.iter().map(enrolment_code).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(codes, |code| code.id.to_string()))
    }

    /// Withdraws an open code.
    pub async fn revoke_enrolment_code(&self, id: CredentialId, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let sql = "UPDATE enrolment_codes SET revoked_at = $2
            WHERE id = $1 AND redeemed_at IS NULL AND revoked_at IS NULL";
        if tx.execute(sql, [id.into(), event.at.into()]).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }

    /// Redeems a code for a session, both or neither; of any number of tries exactly one wins. The audit row gets
    /// the code and the person where `event` leaves them out.
    pub async fn redeem_enrolment_code(
        &self,
        hash: &SecretHash,
        session: &NewSession,
        now: OffsetDateTime,
        event: &Event,
    ) -> Result<(Redeemed, OpenedSession), RedeemError> {
        let mut tx = self.db.change(event).await?;
        let redeemed = redeem(&mut tx, hash, now).await?;
        let signed_in = SignedIn::by_code(redeemed.user.clone(), redeemed.code, now);
        let opened = match sessions::open(&mut tx, &signed_in, session, &event.origin, now).await {
            Ok(opened) => opened,
            Err(OpenError::Store(error)) => return Err(error.into()),
            Err(OpenError::UserDead) => return Err(RedeemError::UserDead),
            // What was redeemed in this transaction neither ends nor is withdrawn before it commits.
            Err(OpenError::ProviderDead | OpenError::Withdrawn | OpenError::Over) => return Err(RedeemError::Used),
        };
        tx.commit_with(&about(event, &redeemed)).await?;
        Ok((redeemed, opened))
    }

    /// Redeems a code in a browser, for a session that is opened later and stays tied to it. The browser is noted with it,
    /// or the code stays unused.
    pub async fn redeem_enrolment_code_in_browser(
        &self,
        hash: &SecretHash,
        arrival: Option<Arrival<'_>>,
        now: OffsetDateTime,
        event: &Event,
    ) -> Result<SignedIn, RedeemError> {
        let mut tx = self.db.change(event).await?;
        let redeemed = redeem(&mut tx, hash, now).await?;
        let alive = "SELECT 1 AS one FROM users WHERE uid = $1 AND disabled_at IS NULL AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [(&redeemed.user).into()]).await?.is_none() {
            return Err(RedeemError::UserDead);
        }
        let signed_in = SignedIn::by_code(redeemed.user.clone(), redeemed.code, now);
        if let Some(arrival) = arrival
            && !sign_ins::note(&mut tx, arrival, &signed_in, now).await?
        {
            return Err(RedeemError::Over);
        }
        tx.commit_with(&about(event, &redeemed)).await?;
        Ok(signed_in)
    }
}

async fn redeem(tx: &mut Tx, hash: &SecretHash, now: OffsetDateTime) -> Result<Redeemed, RedeemError> {
    let sql = "UPDATE enrolment_codes SET redeemed_at = $2
        WHERE secret_hash = $1 AND redeemed_at IS NULL AND revoked_at IS NULL AND expires_at > $2
        RETURNING id, user_uid";
    match tx.fetch_optional(sql, [hash.to_hex().into(), now.into()]).await? {
        Some(row) => Ok(Redeemed { code: row.handle("id")?, user: row.uid("user_uid")? }),
        None => Err(why_not(tx, hash, now).await?),
    }
}

fn about(event: &Event, redeemed: &Redeemed) -> Event {
    let mut event = event.clone();
    event.credential.get_or_insert((CredentialKind::Enrolment, redeemed.code));
    event.principal.get_or_insert_with(|| Principal::User(redeemed.user.clone()));
    event
}

/// Ends what the admins of one team enrolled a person with: codes behind which there is no session yet, redeemed in a
/// browser or not at all, and the sessions opened with them.
pub(super) async fn end_those_of_teams(tx: &mut Tx, user: &UserUid, at: OffsetDateTime) -> Result<(), StoreError> {
    for sql in [
        "UPDATE enrolment_codes SET revoked_at = $2
            WHERE user_uid = $1 AND team_uid IS NOT NULL AND session_id IS NULL AND revoked_at IS NULL",
        "UPDATE sessions SET ended_at = $2 WHERE ended_at IS NULL AND id IN
            (SELECT session_id FROM enrolment_codes WHERE user_uid = $1 AND team_uid IS NOT NULL)",
    ] {
        tx.execute(sql, [user.into(), at.into()]).await?;
    }
    Ok(())
}

async fn why_not(tx: &mut Tx, hash: &SecretHash, now: OffsetDateTime) -> Result<RedeemError, StoreError> {
    let sql = "SELECT id, user_uid, created_at, expires_at, redeemed_at, revoked_at
        FROM enrolment_codes WHERE secret_hash = $1";
    let Some(row) = tx.fetch_optional(sql, [hash.to_hex().into()]).await? else { return Ok(RedeemError::Unknown) };
    let code = enrolment_code(&row)?;
    let used = code.redeemed_at.is_some() || code.revoked_at.is_some();
    Ok(if !used && code.expires_at <= now { RedeemError::Expired } else { RedeemError::Used })
}

fn enrolment_code(row: &Row) -> Result<EnrolmentCode, StoreError> {
    Ok(EnrolmentCode {
        id: row.handle("id")?,
        user: row.uid("user_uid")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        redeemed_at: row.optional_time("redeemed_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}
